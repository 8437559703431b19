"""Listeners and routes of load balancers, from fields and annotations of Services and Ingresses.

https://kubernetes-sigs.github.io/aws-load-balancer-controller/ (guide/service/annotations,
guide/ingress/annotations)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sandbox.contracts.service_proxy import Listener, ListenerProtocol, Route
from sandbox.kubernetes.ports import annotations_of
from sandbox.kubernetes.storage.object_store import Json

APPLICATION_PREFIX = "alb.ingress.kubernetes.io/"
NETWORK_PREFIX = "service.beta.kubernetes.io/aws-load-balancer-"
_PROTOCOLS: dict[str, ListenerProtocol] = {"HTTP": "HTTP", "HTTPS": "HTTPS"}


def certificates(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ARNs of a load balancer's certificates."""
    keys = (f"{APPLICATION_PREFIX}certificate-arn", f"{NETWORK_PREFIX}ssl-cert")
    listed = ",".join(annotations.get(key, "") for key in keys)
    return tuple(arn.strip() for arn in listed.split(",") if arn.strip())


def is_tls_port(annotations: Mapping[str, str], port: Mapping[str, Any]) -> bool:
    """Return whether the listener of a Service's port terminates TLS; without a list, each does."""
    if not annotations.get(f"{NETWORK_PREFIX}ssl-cert"):
        return False
    listed = annotations.get(f"{NETWORK_PREFIX}ssl-ports", "*")
    names = {item.strip() for item in listed.split(",")}
    return bool(names & {"*", str(port["port"]), port.get("name")})


def network_listeners(service: Json) -> tuple[Listener, ...]:
    """Return the listeners of a Service's network load balancer."""
    notes = annotations_of(service)
    return tuple(
        Listener(
            port=port["port"],
            protocol="TLS" if is_tls_port(notes, port) else "TCP",
            routes=(Route(service=service["metadata"]["name"], port=port["port"]),),
        )
        for port in service["spec"].get("ports") or ()
    )


def application_listeners(ingress: Json, services: Sequence[Json]) -> tuple[Listener, ...]:
    """Return the listeners of an Ingress's application load balancer."""
    routes, redirect = tuple(ingress_routes(ingress, services)), ssl_redirect(ingress)
    return tuple(
        Listener(
            port=port,
            protocol=protocol,
            routes=routes,
            redirect_port=redirect if protocol == "HTTP" else 0,
        )
        for port, protocol in ingress_listeners(ingress).items()
    )


def ingress_listeners(ingress: Json) -> dict[int, ListenerProtocol]:
    """Return the protocol of each listener port of an Ingress."""
    notes = annotations_of(ingress)
    try:
        listed = json.loads(notes.get(f"{APPLICATION_PREFIX}listen-ports", "[]"))
        ports = {
            int(port): _PROTOCOLS[protocol] for item in listed for protocol, port in item.items()
        }
    except (ValueError, AttributeError, TypeError, KeyError):
        ports = {}
    if ports:
        return ports
    secure = ingress["spec"].get("tls") or f"{APPLICATION_PREFIX}certificate-arn" in notes
    return {443: "HTTPS"} if secure else {80: "HTTP"}


def ssl_redirect(ingress: Json) -> int:
    """Return the HTTPS port to which HTTP listeners redirect, or 0."""
    value = annotations_of(ingress).get(f"{APPLICATION_PREFIX}ssl-redirect", "")
    return int(value) if value.isdigit() else 0


def ingress_routes(ingress: Json, services: Sequence[Json]) -> Iterator[Route]:
    """Yield the routes of an Ingress: exact paths first, then longer prefixes, then the default.

    Backends whose Service or port does not exist have no route.
    """
    namespace, spec = ingress["metadata"]["namespace"], ingress["spec"]
    named = {
        service["metadata"]["name"]: {
            key: port["port"]
            for port in service["spec"].get("ports") or ()
            for key in (port["port"], port.get("name"))
        }
        for service in services
        if service["metadata"]["namespace"] == namespace
    }

    def routes(backend: Json, host: str, path: str, *, exact: bool) -> Iterator[Route]:
        reference = backend.get("service") or {}
        port = reference.get("port") or {}
        key = port.get("number") or port.get("name")
        number = named.get(reference.get("name"), {}).get(key)
        if number is not None:
            name = str(reference["name"])
            yield Route(service=name, port=number, host=host, path=path, exact=exact)

    for rule in spec.get("rules") or ():
        paths = (rule.get("http") or {}).get("paths") or ()
        host = (rule.get("host") or "").lower()
        # An ImplementationSpecific path is a pattern, whose final asterisk makes it a prefix.
        ordered = sorted(
            (
                item.get("pathType") == "Prefix" or str(item.get("path")).endswith("*"),
                -len(item.get("path") or "/"),
                index,
            )
            for index, item in enumerate(paths)
        )
        for prefix, _, index in ordered:
            item = paths[index]
            path = str(item.get("path") or "/").rstrip("*") or "/"
            yield from routes(item["backend"], host, path, exact=not prefix)
    if spec.get("defaultBackend"):
        yield from routes(spec["defaultBackend"], "", "/", exact=False)
