"""Endpoints of Services, and the load balancers that Services and Ingresses ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.kubernetes.apimachinery.errors import ApiError
from sandbox.kubernetes.apimachinery.selectors import Requirement, selects
from sandbox.kubernetes.controllers.context import Work, condition, terminating
from sandbox.kubernetes.controllers.deployments import is_ready
from sandbox.kubernetes.ports import LoadBalancerError, LoadBalancerFacts, annotations_of
from sandbox.kubernetes.storage.object_store import Json

_SERVICE_FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
_INGRESS_FINALIZER = "ingress.k8s.aws/resources"
_AUTO_ALB, _LBC_ALB = "eks.amazonaws.com/alb", "ingress.k8s.aws/alb"
_RETRY = 2.0
_SCHEME = "load-balancer-scheme"


def endpoints(work: Work) -> None:
    """Write the Endpoints and EndpointSlice of every Service with a selector."""
    for service in work.listed("services"):
        selector = service["spec"].get("selector")
        if not selector or terminating(service):
            continue
        wanted = [Requirement(key, "In", (value,)) for key, value in selector.items()]
        namespace = service["metadata"]["namespace"]
        pods = [
            p for p in work.listed("pods", namespace)
            if selects(wanted, p) and not terminating(p) and (p.get("status") or {}).get("podIP")
            and p["status"].get("phase") not in {"Succeeded", "Failed"}
        ]  # fmt: skip
        ready = [p for p in pods if is_ready(p)]
        ports = list(_ports(service, pods))
        _write_endpoints(work, service, pods, ready, ports)
        _write_slice(work, service, pods, ports)


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
        yield {**({"name": port["name"]} if port.get("name") else {}), "port": target, "protocol": port["protocol"]}


def _address(pod: Json) -> Json:
    meta = pod["metadata"]
    reference = {"kind": "Pod", "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}
    return {"ip": pod["status"]["podIP"], "nodeName": pod["spec"]["nodeName"], "targetRef": reference}


def _write_endpoints(work: Work, service: Json, pods: list[Json], ready: list[Json], ports: list[Json]) -> None:
    subset: Json = {"ports": ports}
    if ready:
        subset["addresses"] = [_address(pod) for pod in ready]
    if len(ready) < len(pods):
        subset["notReadyAddresses"] = [_address(pod) for pod in pods if pod not in ready]
    _upsert(work, service, "v1", "Endpoints", service["metadata"]["name"], {"subsets": [subset] if pods else []}, {})


def _write_slice(work: Work, service: Json, pods: list[Json], ports: list[Json]) -> None:
    name = service["metadata"]["name"]
    found = [
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
    content = {"addressType": "IPv4", "endpoints": found, "ports": slice_ports}
    _upsert(work, service, "discovery.k8s.io/v1", "EndpointSlice", f"{name}-sandbox", content, labels)


def _upsert(
    work: Work, owner: Json, api_version: str, kind: str, name: str, content: Json, labels: Mapping[str, str]
) -> None:
    namespace = owner["metadata"]["namespace"]
    live = work.named(work.api.kind(api_version, kind).qualified, namespace, name)
    if live is not None:
        work.save({**live, **content})
        return
    # The real Endpoints have no owner, the endpoints controller removes them; here both are collected as garbage.
    metadata: Json = {"name": name, "ownerReferences": [work.reference(owner)], "labels": dict(labels)}
    try:
        work.create(api_version, kind, namespace, {"metadata": metadata, **content})
    except ApiError as error:
        if error.code != 403:
            raise


def load_balancers(work: Work) -> None:
    """Make and remove load balancers. Runs without the store's lock, since the account may be asked over HTTP."""
    for service in work.listed("services"):
        wanted = service["spec"].get("type") == "LoadBalancer"
        if wanted or _SERVICE_FINALIZER in (service["metadata"].get("finalizers") or ()):
            _balance(work, service, _service_facts(work, service), _SERVICE_FINALIZER, wanted=wanted)
    for ingress in work.listed("ingresses.networking.k8s.io"):
        missing = _no_controller(work, ingress)
        if missing and _INGRESS_FINALIZER not in (ingress["metadata"].get("finalizers") or ()):
            with work.store.lock:
                work.event(ingress, "NoIngressController", missing, "sandbox", warning=True)
        elif missing:
            with work.store.lock:
                work.event(
                    ingress,
                    "NoIngressController",
                    f"the load balancer can't be removed: {missing}",
                    "sandbox",
                    warning=True,
                )
        else:
            _balance(work, ingress, _ingress_facts(work, ingress), _INGRESS_FINALIZER, wanted=True)


def _service_facts(work: Work, service: Json) -> LoadBalancerFacts:
    notes = annotations_of(service)
    scheme = notes.get(f"service.beta.kubernetes.io/aws-{_SCHEME}")
    if scheme is None:
        internal = notes.get("service.beta.kubernetes.io/aws-load-balancer-internal", "false") == "true"
        scheme = "internal" if internal or work.facts.auto_mode else "internet-facing"
    ports = tuple(port["port"] for port in service["spec"].get("ports") or ())
    return _facts(work, service, "network", scheme, ports)


def _ingress_facts(work: Work, ingress: Json) -> LoadBalancerFacts:
    notes = annotations_of(ingress)
    scheme = notes.get("alb.ingress.kubernetes.io/scheme", "internal")
    secure = bool(ingress["spec"].get("tls")) or "alb.ingress.kubernetes.io/certificate-arn" in notes
    try:
        listed = json.loads(notes.get("alb.ingress.kubernetes.io/listen-ports", "[]"))
        ports = tuple(int(port) for entry in listed for port in entry.values())
    except (ValueError, AttributeError, TypeError):
        ports = ()
    return _facts(work, ingress, "application", scheme, ports or ((443,) if secure else (80,)))


def _facts(work: Work, item: Json, kind: str, scheme: str, ports: tuple[int, ...]) -> LoadBalancerFacts:
    meta = item["metadata"]
    return LoadBalancerFacts(
        cluster=work.facts.name, cluster_arn=work.facts.arn, kind=item["kind"], namespace=meta["namespace"],
        name=meta["name"], uid=meta["uid"], type=kind, scheme=scheme, ports=ports,
        source_ranges=tuple(item["spec"].get("loadBalancerSourceRanges") or ()), annotations=dict(annotations_of(item)),
    )  # fmt: skip


def _no_controller(work: Work, ingress: Json) -> str:
    """Return why nobody looks after an Ingress, or nothing."""
    name = ingress["spec"].get("ingressClassName") or annotations_of(ingress).get("kubernetes.io/ingress.class", "")
    if not name:
        default = [
            c
            for c in work.listed("ingressclasses.networking.k8s.io")
            if annotations_of(c).get("ingressclass.kubernetes.io/is-default-class") == "true"
        ]
        if not default:
            return "it names no ingress class, and there is no default one"
        name = default[0]["metadata"]["name"]
    item = work.named("ingressclasses.networking.k8s.io", "", name)
    if item is None:
        return f'there is no IngressClass "{name}"'
    controller = (item.get("spec") or {}).get("controller", "")
    if controller == _AUTO_ALB and not work.facts.auto_mode:
        return f'IngressClass "{name}" is for EKS Auto Mode, which this cluster doesn\'t have'
    if controller == _LBC_ALB:
        running = [
            d for d in work.listed("deployments.apps")
            if "aws-load-balancer-controller" in d["metadata"]["name"] and condition(d, "Available").get("status") == "True"
        ]  # fmt: skip
        return (
            ""
            if running
            else f'IngressClass "{name}" needs the AWS Load Balancer Controller, and no such Deployment is available'
        )
    return (
        ""
        if controller == _AUTO_ALB
        else f'IngressClass "{name}" has the controller "{controller}", which the sandbox doesn\'t have'
    )


def _balance(work: Work, item: Json, facts: LoadBalancerFacts, finalizer: str, *, wanted: bool) -> None:
    finalizers = list(item["metadata"].get("finalizers") or ())
    try:
        if terminating(item) or not wanted:
            if finalizer in finalizers:
                work.hooks.load_balancers.remove(facts)
                work.balanced.pop(facts.uid, None)
                _finish(work, item, finalizer)
            return
        if finalizer not in finalizers:
            with work.store.lock:
                item = work.save({**item, "metadata": {**item["metadata"], "finalizers": [*finalizers, finalizer]}})
        if (item.get("status") or {}).get("loadBalancer", {}).get("ingress") and work.balanced.get(facts.uid) == facts:
            return
        hostname = work.hooks.load_balancers.ensure(facts)
        work.balanced[facts.uid] = facts
    except LoadBalancerError as error:
        verb = "FailedDeleteLoadBalancer" if terminating(item) else "SyncLoadBalancerFailed"
        with work.store.lock:
            work.event(item, verb, f"Error syncing load balancer: {error}", "service-controller", warning=True)
        work.again_in(_RETRY)
        return
    with work.store.lock:
        live = work.named(work.api.kind(item["apiVersion"], item["kind"]).qualified, facts.namespace, facts.name)
        if live is not None:
            work.status(live, {**(live.get("status") or {}), "loadBalancer": {"ingress": [{"hostname": hostname}]}})
            work.event(live, "EnsuredLoadBalancer", "Ensured load balancer", "service-controller")


def _finish(work: Work, item: Json, finalizer: str) -> None:
    with work.store.lock:
        kind = work.api.kind(item["apiVersion"], item["kind"])
        live = work.named(kind.qualified, item["metadata"]["namespace"], item["metadata"]["name"])
        if live is None or live["metadata"]["uid"] != item["metadata"]["uid"]:
            return
        rest = [entry for entry in live["metadata"].get("finalizers") or () if entry != finalizer]
        live["metadata"]["finalizers"] = rest
        if live["spec"].get("type") != "LoadBalancer" and kind.kind == "Service":
            live["status"] = {"loadBalancer": {}}
        work.save(live)
        if terminating(live) and not rest:
            work.store.remove(work.api.key(kind, live["metadata"]["namespace"], live["metadata"]["name"]))
