"""Passes Services with their ready pods, and load balancers, to the proxy, as kube-proxy does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.contracts.container_runtime import ContainerRuntime
from sandbox.contracts.service_proxy import (
    ProxiedLoadBalancer,
    ProxiedService,
    Target,
)
from sandbox.kubernetes.controllers.context import ControllerContext, terminating
from sandbox.kubernetes.controllers.load_balancer_listeners import (
    APPLICATION_PREFIX,
    NETWORK_PREFIX,
    application_listeners,
    certificates,
    network_listeners,
)
from sandbox.kubernetes.ports import annotations_of
from sandbox.kubernetes.storage.object_store import Json


def services(context: ControllerContext) -> None:
    """Update the proxy; without a runtime, no pod serves."""
    runtime, proxy = context.external.runtime, context.external.service_proxy
    if runtime is None or proxy is None:
        return
    present = [
        service
        for service in context.list_objects("services")
        if service["spec"].get("selector") and not terminating(service)
    ]
    balanced = [service for service in present if service["spec"].get("type") == "LoadBalancer"]
    proxy.set_services(
        context.facts.arn,
        [_proxied(context, runtime, service) for service in present],
        [
            *(balancer for service in balanced for balancer in _network(context, service)),
            *(
                balancer
                for ingress in context.list_objects("ingresses.networking.k8s.io")
                if not terminating(ingress)
                for balancer in _application(context, ingress, present)
            ),
        ],
    )


def _proxied(
    context: ControllerContext, runtime: ContainerRuntime, service: Json
) -> ProxiedService:
    meta = service["metadata"]
    endpoints = context.get_object("endpoints", meta["namespace"], meta["name"]) or {}
    pods = {
        item["metadata"]["uid"]: item for item in context.list_objects("pods", meta["namespace"])
    }
    ports = service["spec"].get("ports") or ()
    targets: dict[int, list[Target]] = {port["port"]: [] for port in ports}
    for subset in endpoints.get("subsets") or ():
        for port, target in zip(ports, subset["ports"], strict=False):
            targets[port["port"]] = [
                (runtime.pod_address(address["targetRef"]["uid"]), target["port"])
                for address in subset.get("addresses") or ()
                if _runs(runtime, pods.get(address["targetRef"]["uid"]))
            ]
    return ProxiedService(namespace=meta["namespace"], name=meta["name"], targets=targets)


def _network(context: ControllerContext, service: Json) -> Iterator[ProxiedLoadBalancer]:
    """Return the network load balancer of a Service."""
    notes, meta = annotations_of(service), service["metadata"]
    for host in _hosts(service):
        yield ProxiedLoadBalancer(
            namespace=meta["namespace"],
            host=host,
            names=_certificate_names(context, notes),
            listeners=network_listeners(service),
            source_ranges=source_ranges(service, NETWORK_PREFIX),
        )


def _application(
    context: ControllerContext, ingress: Json, present: list[Json]
) -> Iterator[ProxiedLoadBalancer]:
    """Return the application load balancer of an Ingress."""
    notes, namespace = annotations_of(ingress), ingress["metadata"]["namespace"]
    for host in _hosts(ingress):
        yield ProxiedLoadBalancer(
            namespace=namespace,
            host=host,
            names=_certificate_names(context, notes),
            listeners=application_listeners(ingress, present),
            source_ranges=source_ranges(ingress, APPLICATION_PREFIX),
        )


def _certificate_names(
    context: ControllerContext, annotations: Mapping[str, str]
) -> tuple[str, ...]:
    return tuple(
        name for arn in certificates(annotations) for name in context.certificate_names.get(arn, ())
    )


def source_ranges(document: Json, prefix: str) -> tuple[str, ...]:
    """Return the CIDRs that may connect to an object's load balancer; none for all."""
    notes = annotations_of(document)
    listed = notes.get(f"{prefix}inbound-cidrs") or notes.get(f"{prefix}source-ranges") or ""
    return tuple(document["spec"].get("loadBalancerSourceRanges") or ()) or tuple(
        item.strip() for item in listed.split(",") if item.strip()
    )


def _runs(runtime: ContainerRuntime, pod: Json | None) -> bool:
    return pod is not None and all(
        runtime.can_run(container["image"]) for container in pod["spec"]["containers"]
    )


def _hosts(document: Mapping[str, Any]) -> list[str]:
    balancer = (document.get("status") or {}).get("loadBalancer") or {}
    return [item["hostname"] for item in balancer.get("ingress") or () if item.get("hostname")]
