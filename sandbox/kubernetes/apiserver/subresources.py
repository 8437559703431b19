"""Subresources other than status: scale, eviction and finalize."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.kubernetes.apimachinery import errors
from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.kubernetes.apimachinery.selectors import from_object, selects
from sandbox.kubernetes.apiserver import patches
from sandbox.kubernetes.apiserver.object_meta import now
from sandbox.kubernetes.apiserver.verbs import WriteOptions
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.storage.object_store import Json, Key

_SCALE = Kind(group="autoscaling", version="v1", kind="Scale", plural="scales", namespaced=True)


def handle(
    cluster: Cluster,
    kind: Kind,
    path: tuple[str, str, str],
    method: str,
    content_type: str,
    body: Any,
    options: WriteOptions,
) -> tuple[Any, int]:
    """Handle a request for a subresource; `path` is namespace, name, subresource."""
    namespace, name, subresource = path
    if subresource == "scale" and "scale" in kind.subresources:
        return _scale(cluster, kind, namespace, name, method, content_type, body, options), 200
    if kind.kind == "Pod" and subresource == "eviction" and method == "POST":
        return _evict(cluster, kind, namespace, name, body or {}, dry_run=options.dry_run), 201
    if kind.kind == "Pod" and subresource == "binding" and method == "POST":
        return _bind(cluster, kind, namespace, name, body or {}), 201
    if kind.kind == "Namespace" and subresource == "finalize" and method == "PUT":
        live = cluster.api.get(kind, "", name)
        finalizers = (body.get("spec") or {}).get("finalizers") or []
        live["spec"] = {"finalizers": finalizers} if finalizers else {}
        with cluster.store.lock:
            stored = cluster.store.put(cluster.api.key(kind, "", name), live)
            if stored["metadata"].get("deletionTimestamp") and not finalizers:
                cluster.store.remove(cluster.api.key(kind, "", name))
        return stored, 200
    raise errors.ApiError(
        404,
        "NotFound",
        "the server could not find the requested resource",
        {},
    )


def _scale(
    cluster: Cluster,
    kind: Kind,
    namespace: str,
    name: str,
    method: str,
    content_type: str,
    body: Any,
    options: WriteOptions,
) -> Json:
    with cluster.store.lock:
        live = cluster.api.get(kind, namespace, name)
        current = _as_scale(live)
        if method == "GET":
            return current
        if method == "PUT":
            scale: Mapping[str, Any] = body
        elif content_type == "application/json-patch+json":
            scale = patches.json_patch(current, body)
        else:
            scale = patches.merge_patch(current, body)
        if not isinstance((scale.get("spec") or {}).get("replicas", 0), int):
            raise errors.bad_request(
                'Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal string '
                "into Go struct field ScaleSpec.spec.replicas of type int32"
            )
        if (scale.get("spec") or {}).get("replicas", 0) < 0:
            text = "must be greater than or equal to 0"
            cause = errors.invalid_value("spec.replicas", scale["spec"]["replicas"], text)
            raise errors.invalid(_SCALE, name, [cause])
        live["spec"]["replicas"] = (scale.get("spec") or {}).get("replicas", 0)
        resource_version = (scale.get("metadata") or {}).get("resourceVersion")
        if method == "PUT" and resource_version:
            live["metadata"]["resourceVersion"] = resource_version
        return _as_scale(cluster.api.update(kind, namespace, name, live, options, "scale"))


def _as_scale(document: Json) -> Json:
    selector = document["spec"].get("selector") or {}
    labels = (
        selector.get("matchLabels", {})
        if "matchLabels" in selector or "matchExpressions" in selector
        else selector
    )
    meta = document["metadata"]
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            k: meta[k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        },
        "spec": {"replicas": document["spec"].get("replicas", 0)},
        "status": {
            "replicas": (document.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{k}={v}" for k, v in labels.items()),
        },
    }


def _bind(
    cluster: Cluster, kind: Kind, namespace: str, name: str, binding: Mapping[str, Any]
) -> Json:
    node = (binding.get("target") or {}).get("name", "")
    if not node:
        raise errors.invalid(kind, name, [errors.required("target.name")])
    with cluster.store.lock:
        pod = cluster.api.get(kind, namespace, name)
        if pod["spec"].get("nodeName"):
            raise errors.conflict(
                kind, name, f'pod {name} is already assigned to node "{pod["spec"]["nodeName"]}"'
            )
        pod["spec"]["nodeName"] = node
        scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None}
        conditions = pod.setdefault("status", {}).setdefault("conditions", [])
        conditions.append({**scheduled, "lastTransitionTime": now()})
        cluster.store.put(cluster.api.key(kind, namespace, name), pod)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _evict(
    cluster: Cluster,
    kind: Kind,
    namespace: str,
    name: str,
    eviction: Mapping[str, Any],
    *,
    dry_run: bool,
) -> Json:
    if (eviction.get("metadata") or {}).get("name", name) != name:
        raise errors.bad_request("name in URL does not match name in Eviction object")
    delete_options = eviction.get("deleteOptions") or {}
    dry_run = dry_run or bool(delete_options.get("dryRun"))
    with cluster.store.lock:
        pod = cluster.api.get(kind, namespace, name)
        budgets = [
            budget
            for budget in cluster.store.list_objects("poddisruptionbudgets.policy", namespace)
            if selects(from_object(budget["spec"].get("selector")), pod)
        ]
        if (pod.get("status") or {}).get("phase") in {"Pending", "Succeeded", "Failed"}:
            budgets = []  # nobody relies on the pod
        if len(budgets) > 1:
            raise errors.ApiError(
                500,
                "",
                "This pod has more than one PodDisruptionBudget, which the eviction subresource "
                "does not support.",
            )
        for budget in budgets:
            status = budget.get("status") or {}
            if status.get("disruptionsAllowed", 0) < 1:
                raise _disruption_refused(budget["metadata"]["name"], status)
        cluster.api.delete(kind, namespace, name, delete_options, dry_run=dry_run)
        for budget in budgets if not dry_run else ():
            # Until the controller has counted again, further evictions must not exceed the budget.
            budget["status"]["disruptionsAllowed"] -= 1
            key = Key("poddisruptionbudgets.policy", namespace, budget["metadata"]["name"])
            cluster.store.put(key, budget)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _disruption_refused(budget: str, status: Mapping[str, Any]) -> errors.ApiError:
    desired, current = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
    text = (
        f"The disruption budget {budget} needs {desired} healthy pods and has {current} currently"
    )
    return errors.ApiError(
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
        {"causes": [{"reason": "DisruptionBudget", "message": text}]},
    )
