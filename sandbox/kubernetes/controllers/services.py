"""Endpoints of Services, and load balancers of Services and Ingresses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.contracts.cluster_host import ClusterFacts
from sandbox.contracts.service_proxy import Listener
from sandbox.kubernetes.apimachinery.errors import ApiError
from sandbox.kubernetes.apimachinery.selectors import Requirement, selects
from sandbox.kubernetes.controllers.context import ControllerContext, condition, terminating
from sandbox.kubernetes.controllers.deployments import is_ready
from sandbox.kubernetes.controllers.load_balancer_listeners import (
    application_listeners,
    certificates,
    network_listeners,
)
from sandbox.kubernetes.ports import LoadBalancerError, LoadBalancerSpec, annotations_of
from sandbox.kubernetes.storage.object_store import Json

_SERVICE_FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
_INGRESS_FINALIZER = "ingress.k8s.aws/resources"
_AUTO_ALB, _LBC_ALB = "eks.amazonaws.com/alb", "ingress.k8s.aws/alb"
_RETRY = 2.0
_SCHEME = "load-balancer-scheme"


def endpoints(context: ControllerContext) -> None:
    """Set the Endpoints and EndpointSlice of each Service with a selector."""
    for service in context.list_objects("services"):
        selector = service["spec"].get("selector")
        if not selector or terminating(service):
            continue
        requirements = [Requirement(key, "In", (value,)) for key, value in selector.items()]
        namespace = service["metadata"]["namespace"]
        pods = [
            p
            for p in context.list_objects("pods", namespace)
            if selects(requirements, p)
            and not terminating(p)
            and (p.get("status") or {}).get("podIP")
            and p["status"].get("phase") not in {"Succeeded", "Failed"}
        ]
        ready = [p for p in pods if is_ready(p)]
        ports = list(_ports(service, pods))
        _write_endpoints(context, service, pods, ready, ports)
        _write_slice(context, service, pods, ports)


def _ports(service: Json, pods: list[Json]) -> Iterator[Json]:
    for port in service["spec"].get("ports") or ():
        target: Any = port.get("targetPort", port["port"])
        if isinstance(target, str):
            named = [
                p["containerPort"]
                for pod in pods[:1]
                for container in pod["spec"]["containers"]
                for p in container.get("ports") or ()
                if p.get("name") == target
            ]
            if not named:
                continue
            target = named[0]
        yield {
            **({"name": port["name"]} if port.get("name") else {}),
            "port": target,
            "protocol": port["protocol"],
        }


def _address(pod: Json) -> Json:
    meta = pod["metadata"]
    reference = {
        "kind": "Pod",
        "name": meta["name"],
        "namespace": meta["namespace"],
        "uid": meta["uid"],
    }
    return {
        "ip": pod["status"]["podIP"],
        "nodeName": pod["spec"]["nodeName"],
        "targetRef": reference,
    }


def _write_endpoints(
    context: ControllerContext,
    service: Json,
    pods: list[Json],
    ready: list[Json],
    ports: list[Json],
) -> None:
    subset: Json = {"ports": ports}
    if ready:
        subset["addresses"] = [_address(pod) for pod in ready]
    if len(ready) < len(pods):
        subset["notReadyAddresses"] = [_address(pod) for pod in pods if pod not in ready]
    _upsert(
        context,
        service,
        "v1",
        "Endpoints",
        service["metadata"]["name"],
        {"subsets": [subset] if pods else []},
        {},
    )


def _write_slice(
    context: ControllerContext, service: Json, pods: list[Json], ports: list[Json]
) -> None:
    name = service["metadata"]["name"]
    ready_endpoints = [
        {
            "addresses": [pod["status"]["podIP"]],
            "conditions": {"ready": is_ready(pod), "serving": is_ready(pod), "terminating": False},
            "nodeName": pod["spec"]["nodeName"],
            "targetRef": _address(pod)["targetRef"],
        }
        for pod in pods
    ]
    labels = {
        "kubernetes.io/service-name": name,
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    slice_ports = [{"name": port.get("name", ""), **port} for port in ports]
    content = {"addressType": "IPv4", "endpoints": ready_endpoints, "ports": slice_ports}
    _upsert(
        context, service, "discovery.k8s.io/v1", "EndpointSlice", f"{name}-sandbox", content, labels
    )


def _upsert(
    context: ControllerContext,
    owner: Json,
    api_version: str,
    kind: str,
    name: str,
    content: Json,
    labels: Mapping[str, str],
) -> None:
    namespace = owner["metadata"]["namespace"]
    live = context.get_object(context.api.kind(api_version, kind).group_resource, namespace, name)
    if live is not None:
        context.save({**live, **content})
        return
    # Real Endpoints have no owner and are removed by the endpoints controller; here both are
    # garbage-collected.
    metadata: Json = {
        "name": name,
        "ownerReferences": [context.owner_reference(owner)],
        "labels": dict(labels),
    }
    try:
        context.create(api_version, kind, namespace, {"metadata": metadata, **content})
    except ApiError as error:
        if error.code != 403:
            raise


def load_balancers(context: ControllerContext) -> None:
    """Create and delete load balancers. Runs without the store's lock: it calls the account over
    HTTP.
    """
    for service in context.list_objects("services"):
        required = service["spec"].get("type") == "LoadBalancer"
        if required or _SERVICE_FINALIZER in (service["metadata"].get("finalizers") or ()):
            _sync_load_balancer(
                context,
                service,
                _service_spec(context, service),
                _SERVICE_FINALIZER,
                required=required,
            )
    for ingress in context.list_objects("ingresses.networking.k8s.io"):
        missing = _missing_controller(context, ingress)
        if missing:
            if _INGRESS_FINALIZER in (ingress["metadata"].get("finalizers") or ()):
                missing = f"the load balancer cannot be removed: {missing}"
            with context.store.lock:
                context.record_event(
                    ingress, "NoIngressController", missing, "sandbox", warning=True
                )
        else:
            _sync_load_balancer(
                context,
                ingress,
                _ingress_spec(context, ingress),
                _INGRESS_FINALIZER,
                required=True,
            )


def _service_spec(context: ControllerContext, service: Json) -> LoadBalancerSpec:
    return service_load_balancer(context.facts, service, _targets(context, service))


def service_load_balancer(
    facts: ClusterFacts, service: Json, targets: Mapping[int, tuple[tuple[str, int], ...]]
) -> LoadBalancerSpec:
    """Return the load balancer that a Service requires, with the ready pods behind each port."""
    notes = annotations_of(service)
    scheme = notes.get(f"service.beta.kubernetes.io/aws-{_SCHEME}")
    if scheme is None:
        internal = (
            notes.get("service.beta.kubernetes.io/aws-load-balancer-internal", "false") == "true"
        )
        scheme = "internal" if internal or facts.auto_mode else "internet-facing"
    name = service["metadata"]["name"]
    by_service = {(name, port): addresses for port, addresses in targets.items()}
    listeners = network_listeners(service)
    return _load_balancer_spec(facts, service, "network", scheme, listeners, by_service)


def _targets(context: ControllerContext, service: Json) -> dict[int, tuple[tuple[str, int], ...]]:
    """Return address and port of the ready pods behind each port of a Service."""
    meta, ports = service["metadata"], service["spec"].get("ports") or ()
    endpoints = context.get_object("endpoints", meta["namespace"], meta["name"]) or {}
    targets: dict[int, tuple[tuple[str, int], ...]] = {port["port"]: () for port in ports}
    for subset in endpoints.get("subsets") or ():
        for port, target in zip(ports, subset["ports"], strict=False):
            targets[port["port"]] = tuple(
                sorted((item["ip"], target["port"]) for item in subset.get("addresses") or ())
            )
    return targets


def _ingress_spec(context: ControllerContext, ingress: Json) -> LoadBalancerSpec:
    notes = annotations_of(ingress)
    scheme = notes.get("alb.ingress.kubernetes.io/scheme", "internal")
    services = {
        item["metadata"]["name"]: item
        for item in context.list_objects("services", ingress["metadata"]["namespace"])
    }
    listeners = application_listeners(ingress, list(services.values()))
    targets = {
        (route.service, route.port): _targets(context, services[route.service])[route.port]
        for listener in listeners
        for route in listener.routes
    }
    return _load_balancer_spec(context.facts, ingress, "application", scheme, listeners, targets)


def _load_balancer_spec(
    facts: ClusterFacts,
    item: Json,
    kind: str,
    scheme: str,
    listeners: tuple[Listener, ...],
    targets: Mapping[tuple[str, int], tuple[tuple[str, int], ...]],
) -> LoadBalancerSpec:
    meta = item["metadata"]
    return LoadBalancerSpec(
        cluster=facts.name,
        cluster_arn=facts.arn,
        kind=item["kind"],
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        type=kind,
        scheme=scheme,
        listeners=listeners,
        source_ranges=tuple(item["spec"].get("loadBalancerSourceRanges") or ()),
        targets=dict(targets),
        annotations=dict(annotations_of(item)),
    )


def _missing_controller(context: ControllerContext, ingress: Json) -> str:  # noqa: PLR0911 - one per reason
    """Return why no controller handles an Ingress, or ""."""
    name = ingress["spec"].get("ingressClassName") or annotations_of(ingress).get(
        "kubernetes.io/ingress.class", ""
    )
    if not name:
        default = [
            c
            for c in context.list_objects("ingressclasses.networking.k8s.io")
            if annotations_of(c).get("ingressclass.kubernetes.io/is-default-class") == "true"
        ]
        if not default:
            return "it names no ingress class, and there is no default one"
        name = default[0]["metadata"]["name"]
    item = context.get_object("ingressclasses.networking.k8s.io", "", name)
    if item is None:
        return f'there is no IngressClass "{name}"'
    controller = (item.get("spec") or {}).get("controller", "")
    if controller == _AUTO_ALB:
        if context.facts.auto_mode:
            return ""
        return f'IngressClass "{name}" is for EKS Auto Mode, which this cluster does not have'
    if controller != _LBC_ALB:
        return f'IngressClass "{name}" has the unsupported controller "{controller}"'
    available = any(
        "aws-load-balancer-controller" in deployment["metadata"]["name"]
        and condition(deployment, "Available").get("status") == "True"
        for deployment in context.list_objects("deployments.apps")
    )
    if available:
        return ""
    return (
        f'IngressClass "{name}" needs the AWS Load Balancer Controller, and no such '
        "Deployment is available"
    )


def _sync_load_balancer(
    context: ControllerContext,
    item: Json,
    spec: LoadBalancerSpec,
    finalizer: str,
    *,
    required: bool,
) -> None:
    finalizers = list(item["metadata"].get("finalizers") or ())
    try:
        if terminating(item) or not required:
            if finalizer in finalizers:
                context.external.load_balancers.remove(spec)
                context.load_balancers.pop(spec.uid, None)
                _remove_finalizer(context, item, finalizer)
            return
        if finalizer not in finalizers:
            with context.store.lock:
                item = context.save(
                    {
                        **item,
                        "metadata": {**item["metadata"], "finalizers": [*finalizers, finalizer]},
                    }
                )
        if (item.get("status") or {}).get("loadBalancer", {}).get(
            "ingress"
        ) and context.load_balancers.get(spec.uid) == spec:
            return
        hostname = context.external.load_balancers.ensure(spec)
        _look_up_certificates(context, spec)
        context.load_balancers[spec.uid] = spec
    except LoadBalancerError as error:
        verb = "FailedDeleteLoadBalancer" if terminating(item) else "SyncLoadBalancerFailed"
        with context.store.lock:
            context.record_event(
                item,
                verb,
                f"Error syncing load balancer: {error}",
                "service-controller",
                warning=True,
            )
        context.requeue_after(_RETRY)
        return
    with context.store.lock:
        live = context.get_object(
            context.api.kind(item["apiVersion"], item["kind"]).group_resource,
            spec.namespace,
            spec.name,
        )
        if live is not None:
            context.update_status(
                live,
                {
                    **(live.get("status") or {}),
                    "loadBalancer": {"ingress": [{"hostname": hostname}]},
                },
            )
            context.record_event(
                live, "EnsuredLoadBalancer", "Ensured load balancer", "service-controller"
            )


def _look_up_certificates(context: ControllerContext, spec: LoadBalancerSpec) -> None:
    """Let the proxy know the names of the certificates."""
    for arn in certificates(spec.annotations):
        names = context.external.load_balancers.certificate_names(spec.cluster_arn, arn)
        if context.certificate_names.get(arn) != names:
            context.certificate_names[arn] = names
            context.requeue_after(0)


def _remove_finalizer(context: ControllerContext, item: Json, finalizer: str) -> None:
    with context.store.lock:
        kind = context.api.kind(item["apiVersion"], item["kind"])
        live = context.get_object(
            kind.group_resource, item["metadata"]["namespace"], item["metadata"]["name"]
        )
        if live is None or live["metadata"]["uid"] != item["metadata"]["uid"]:
            return
        rest = [entry for entry in live["metadata"].get("finalizers") or () if entry != finalizer]
        live["metadata"]["finalizers"] = rest
        if live["spec"].get("type") != "LoadBalancer" and kind.kind == "Service":
            live["status"] = {"loadBalancer": {}}
        context.save(live)
        if terminating(live) and not rest:
            context.store.remove(
                context.api.key(kind, live["metadata"]["namespace"], live["metadata"]["name"])
            )
