"""Validation of Services, Ingresses and NetworkPolicies."""

# ruff: noqa: ARG001 -- the checks of a table share one signature
from __future__ import annotations

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


def validate_service(
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
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        name = port.get("name", "")
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
        if node_port and not 30000 <= node_port <= 32767:
            yield invalid_value(
                f"{path}.nodePort",
                node_port,
                "provided port is not in the valid range. The range of valid ports is 30000-32767",
            )
    yield from validate_labels(spec.get("selector") or {}, "spec.selector")
    old = ((live or {}).get("spec") or {}).get("clusterIP")
    if old and old != spec.get("clusterIP"):
        yield invalid_value("spec.clusterIPs[0]", spec.get("clusterIP"), "may not change once set")
    address = spec.get("clusterIP")
    if live is None and address and address != "None" and address in state.cluster_ips():
        yield invalid_value(
            "spec.clusterIPs", [address], "failed to allocate IP: provided IP is already allocated"
        )


def validate_ingress(
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    """Validate hosts, paths and backends."""
    spec = new.get("spec") or {}
    if not spec.get("rules") and not spec.get("defaultBackend"):
        yield invalid_value("spec", {}, "either `defaultBackend` or `rules` must be specified")
    for index, rule in enumerate(spec.get("rules") or ()):
        host = str(rule.get("host", ""))
        if host and not DNS_SUBDOMAIN.match(host.removeprefix("*.")):
            yield invalid_value(f"spec.rules[{index}].host", host, SUBDOMAIN_RULE)
        for number, path in enumerate((rule.get("http") or {}).get("paths") or ()):
            field = f"spec.rules[{index}].http.paths[{number}]"
            kinds = ["Exact", "ImplementationSpecific", "Prefix"]
            if not path.get("pathType"):
                yield required(f"{field}.pathType", "pathType must be specified")
            elif path["pathType"] not in kinds:
                yield unsupported(f"{field}.pathType", path["pathType"], kinds)
            elif path["pathType"] != "ImplementationSpecific" and not str(
                path.get("path", "")
            ).startswith("/"):
                yield invalid_value(
                    f"{field}.path", path.get("path", ""), "must be an absolute path"
                )
            port = ((path.get("backend") or {}).get("service") or {}).get("port") or {}
            if "service" in (path.get("backend") or {}) and bool(port.get("name")) == bool(
                port.get("number")
            ):
                yield required(
                    f"{field}.backend",
                    "port name or number is required"
                    if not port
                    else "cannot set both port name & port number",
                )


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
                    try:
                        ipaddress.ip_network(peer["ipBlock"].get("cidr", ""))
                    except ValueError:
                        yield invalid_value(
                            f"{field}.ipBlock.cidr",
                            peer["ipBlock"].get("cidr"),
                            "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
                        )
            for number, port in enumerate(rule.get("ports") or ()):
                yield from pods.validate_protocol(
                    port.get("protocol", "TCP"),
                    f"spec.{direction}[{index}].ports[{number}].protocol",
                )
                yield from pods.validate_port_reference(
                    port.get("port"), f"spec.{direction}[{index}].ports[{number}].port"
                )
