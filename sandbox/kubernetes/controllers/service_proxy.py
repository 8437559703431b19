"""Passes each Service with its ready pods and load balancers to the proxy, as kube-proxy does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.contracts.container_runtime import ContainerRuntime
from sandbox.contracts.service_proxy import ProxiedService, Target
from sandbox.kubernetes.controllers.context import ControllerContext, terminating
from sandbox.kubernetes.ports import annotations_of
from sandbox.kubernetes.storage.object_store import Json


def services(context: ControllerContext) -> None:
    """Update the proxy; without a runtime, no pod serves."""
    runtime, proxy = context.external.runtime, context.external.service_proxy
    if runtime is None or proxy is None:
        return
    ingresses = context.list_objects("ingresses.networking.k8s.io")
    proxied = [
        _proxied(context, runtime, service, ingresses)
        for service in context.list_objects("services")
        if service["spec"].get("selector") and not terminating(service)
    ]
    proxy.set_services(context.facts.arn, proxied)


def _proxied(
    context: ControllerContext,
    runtime: ContainerRuntime,
    service: Json,
    ingresses: list[Json],
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
    balancers = {host: {port["port"]: port["port"] for port in ports} for host in _hosts(service)}
    sources = source_ranges(service, "service.beta.kubernetes.io/aws-load-balancer-")
    for ingress in ingresses:
        if ingress["metadata"]["namespace"] == meta["namespace"]:
            for backend_port in backend_ports(ingress, service):
                sources += source_ranges(ingress, "alb.ingress.kubernetes.io/")
                for host in _hosts(ingress):
                    balancers[host] = {80: backend_port, 443: backend_port}
    return ProxiedService(
        namespace=meta["namespace"],
        name=meta["name"],
        targets=targets,
        load_balancers=balancers,
        source_ranges=sources,
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


def backend_ports(ingress: Mapping[str, Any], service: Mapping[str, Any]) -> list[int]:
    """Return the Service's port behind an Ingress, if the Ingress has this Service."""
    backends = [ingress["spec"].get("defaultBackend")] + [
        path.get("backend")
        for rule in ingress["spec"].get("rules") or ()
        for path in (rule.get("http") or {}).get("paths") or ()
    ]
    named = {port.get("name"): port["port"] for port in service["spec"].get("ports") or ()}
    ports = []
    for backend in backends:
        reference = (backend or {}).get("service") or {}
        if reference.get("name") == service["metadata"]["name"]:
            port = reference.get("port") or {}
            ports.append(port.get("number") or named.get(port.get("name"), 0))
    return ports[:1]
