"""Validation of Services, Ingresses and NetworkPolicies."""

# ruff: noqa: ARG001 -- the checks of a table share one signature
from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.kubernetes.apimachinery import errors
from sandbox.kubernetes.apimachinery.errors import (
    Cause,
    forbidden_field,
    invalid_value,
    required,
    unsupported,
)
from sandbox.kubernetes.storage.cluster_state import ClusterState
from sandbox.kubernetes.validation import pod as pods
from sandbox.kubernetes.validation.metadata import (
    DNS_LABEL,
    DNS_SUBDOMAIN,
    LABEL_RULE,
    SUBDOMAIN_RULE,
    validate_labels,
)


def validate_service(  # noqa: PLR0912 - one branch per rule
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    """Validate type, ports, selector and addresses."""
    spec = new["spec"]
    allowed = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
    if spec.get("type") not in allowed:
        yield unsupported("spec.type", spec.get("type"), allowed)
    if spec.get("type") == "ExternalName":
        if not spec.get("externalName"):
            yield required("spec.externalName")
        return
    if spec.get("sessionAffinity") not in {"None", "ClientIP"}:
        yield unsupported("spec.sessionAffinity", spec.get("sessionAffinity"), ["ClientIP", "None"])
    ports = spec.get("ports") or []
    if not ports and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    names: set[str] = set()
    numbers: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        name = port.get("name", "")
        number = (port.get("protocol"), port.get("port"))
        if number in numbers:
            value = {"Name": "", "Protocol": number[0], "Port": number[1]}
            yield errors.duplicate(path, value)
        numbers.add(number)
        if not name and len(ports) > 1:
            yield required(f"{path}.name")
        elif name and not DNS_LABEL.match(name):
            yield invalid_value(f"{path}.name", name, LABEL_RULE)
        if name and name in names:
            yield errors.duplicate(f"{path}.name", name)
        names.add(name)
        yield from pods.validate_port(port.get("port"), f"{path}.port")
        yield from pods.validate_port_reference(port.get("targetPort"), f"{path}.targetPort")
        yield from pods.validate_protocol(port.get("protocol"), f"{path}.protocol")
        node_port = port.get("nodePort")
        if node_port and spec.get("type") == "ClusterIP":
            text = "may not be used when `type` is 'ClusterIP'"
            yield forbidden_field(f"{path}.nodePort", text)
        elif node_port and not 30000 <= node_port <= 32767:
            yield invalid_value(
                f"{path}.nodePort",
                node_port,
                "provided port is not in the valid range. The range of valid ports is 30000-32767",
            )
    yield from validate_labels(spec.get("selector") or {}, "spec.selector")
    yield from _validate_traffic(spec)
    address = spec.get("clusterIP")
    old = ((live or {}).get("spec") or {}).get("clusterIP")
    if old and old != address:
        yield invalid_value("spec.clusterIPs[0]", [address], "may not change once set")
    elif live is None and address and address != "None":
        yield from _validate_address(address, state)


def _validate_traffic(spec: Mapping[str, Any]) -> Iterator[Cause]:
    ranges = spec.get("loadBalancerSourceRanges") or ()
    for index, source in enumerate(ranges):
        if "/" not in source or not _is_network(source):
            yield invalid_value(f"spec.LoadBalancerSourceRanges[{index}]", source, _CIDR_RULE)
    policy = spec.get("externalTrafficPolicy", "Cluster")
    if policy not in {"Cluster", "Local"}:
        yield unsupported("spec.externalTrafficPolicy", policy, ["Cluster", "Local"])


_CIDR_RULE = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _validate_address(address: str, state: ClusterState) -> Iterator[Cause]:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        text = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        yield invalid_value("spec.clusterIPs[0]", address, text)
        return
    reason = ""
    if parsed not in ipaddress.ip_network(state.service_cidr):
        reason = "the provided network does not match the current range"
    elif address in state.cluster_ips():
        reason = "provided IP is already allocated"
    if reason:
        text = f"failed to allocate IP {address}: {reason}"
        yield invalid_value("spec.clusterIPs", [address], text)


def validate_ingress(
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    """Validate hosts, paths and backends."""
    spec = new.get("spec") or {}
    if not spec.get("rules") and not spec.get("defaultBackend"):
        yield invalid_value("spec", None, "either `defaultBackend` or `rules` must be specified")
    for index, rule in enumerate(spec.get("rules") or ()):
        host = str(rule.get("host", ""))
        yield from _validate_host(host, f"spec.rules[{index}].host")
        for number, path in enumerate((rule.get("http") or {}).get("paths") or ()):
            field = f"spec.rules[{index}].http.paths[{number}]"
            kinds = ["Exact", "ImplementationSpecific", "Prefix"]
            if not path.get("pathType"):
                yield required(f"{field}.pathType", "pathType must be specified")
            elif path["pathType"] not in kinds:
                yield unsupported(f"{field}.pathType", path["pathType"], kinds)
            elif path.get("pathType") in {"Exact", "Prefix"}:
                yield from _validate_path(str(path.get("path", "")), f"{field}.path")
            port = ((path.get("backend") or {}).get("service") or {}).get("port") or {}
            if not path.get("backend"):
                text = "resource or service backend is required"
                yield invalid_value(f"{field}.backend", "", text)
            elif "service" in path["backend"] and not port:
                yield required(f"{field}.backend", "port name or number is required")
            elif port.get("name") and port.get("number"):
                text = "cannot set both port name & port number"
                yield invalid_value(f"{field}.backend", "", text)


_WILDCARD_RULE = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which "
    "must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric "
    "character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*"
    "[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


def _validate_host(host: str, path: str) -> Iterator[Cause]:
    if not host:
        return
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        yield invalid_value(path, host, "must be a DNS name, not an IP address")
        return
    if not DNS_SUBDOMAIN.match(host.removeprefix("*.")):
        yield invalid_value(path, host, _WILDCARD_RULE if "*" in host else SUBDOMAIN_RULE)


def _validate_path(text: str, path: str) -> Iterator[Cause]:
    if not text.startswith("/"):
        yield invalid_value(path, text, "must be an absolute path")
        return
    for part in ("//", "/./", "/../", "%2f", "%2F"):
        if part in text:
            yield invalid_value(path, text, f"must not contain '{part}'")
    for end in ("/..", "/."):
        if text.endswith(end):
            yield invalid_value(path, text, f"cannot end with '{end}'")


def validate_network_policy(
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    """Validate peers and ports."""
    spec = new.get("spec") or {}
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or ()):
            for number, peer in enumerate(rule.get(peers) or ()):
                field = f"spec.{direction}[{index}].{peers}[{number}]"
                if not peer:
                    yield required(field, "must specify a peer")
                elif "ipBlock" in peer:
                    if len(peer) > 1:
                        yield forbidden_field(
                            field, "may not specify both ipBlock and another peer"
                        )
                    yield from _validate_block(peer["ipBlock"], f"{field}.ipBlock")
            for number, port in enumerate(rule.get("ports") or ()):
                yield from pods.validate_protocol(
                    port.get("protocol", "TCP"),
                    f"spec.{direction}[{index}].ports[{number}].protocol",
                )
                yield from pods.validate_port_reference(
                    port.get("port"), f"spec.{direction}[{index}].ports[{number}].port"
                )
                end = port.get("endPort")
                if end is not None and end < port.get("port", 0):
                    yield invalid_value(
                        f"spec.{direction}[{index}].ports[{number}].endPort",
                        port.get("port"),
                        "must be greater than or equal to `port`",
                    )
    for index, kind in enumerate(spec.get("policyTypes") or ()):
        if kind not in {"Ingress", "Egress"}:
            yield unsupported(f"spec.policyTypes[{index}]", kind, ["Ingress", "Egress"])


def _validate_block(block: Mapping[str, Any], path: str) -> Iterator[Cause]:
    try:
        network = ipaddress.ip_network(block.get("cidr", ""))
    except ValueError:
        yield invalid_value(f"{path}.cidr", block.get("cidr"), _CIDR_RULE)
        return
    for index, text in enumerate(block.get("except") or ()):
        field = f"{path}.except[{index}]"
        if not _is_network(text):
            yield invalid_value(field, text, _CIDR_RULE)
            continue
        exception: Any = ipaddress.ip_network(text, strict=False)
        inside = exception.version == network.version and exception.subnet_of(network)
        if not inside or exception == network:
            yield invalid_value(field, text, "must be a strict subset of `cidr`")
