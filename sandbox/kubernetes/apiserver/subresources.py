"""Subresources other than status: scale, eviction, binding, and the log that pods here don't have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sandbox.kubernetes.apimachinery import errors
from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.kubernetes.apimachinery.selectors import from_object, selects
from sandbox.kubernetes.apiserver import patches
from sandbox.kubernetes.apiserver.verbs import Write
from sandbox.kubernetes.storage.object_store import Json

if TYPE_CHECKING:
    from sandbox.kubernetes.cluster import Cluster


def answer(
    cluster: Cluster, kind: Kind, place: tuple[str, str, str], method: str, content_type: str, body: Any, how: Write
) -> tuple[Any, int]:
    """Answer a request for a subresource; `place` is namespace, name, subresource."""
    namespace, name, subresource = place
    if subresource == "scale" and "scale" in kind.subresources:
        return _scale(cluster, kind, namespace, name, method, content_type, body, how), 200
    if kind.kind == "Pod" and subresource == "eviction" and method == "POST":
        return _evict(cluster, kind, namespace, name, dry_run=how.dry_run), 201
    if kind.kind == "Pod" and subresource in {"log", "exec", "attach", "portforward", "proxy"}:
        cluster.api.get(kind, namespace, name)
        raise errors.ApiError(
            404, "NotFound",
            f'pod "{name}" has no {subresource}: in this tier of the sandbox pods are objects only, no container runs. '
            "Use a tier with a kubelet to run it.",
            {"name": name, "kind": "pods"},
        )  # fmt: skip
    if kind.kind == "Namespace" and subresource == "finalize" and method == "PUT":
        live = cluster.api.get(kind, "", name)
        live["spec"]["finalizers"] = (body.get("spec") or {}).get("finalizers") or []
        with cluster.store.lock:
            stored = cluster.store.put(cluster.api.key(kind, "", name), live)
            if stored["metadata"].get("deletionTimestamp") and not live["spec"]["finalizers"]:
                cluster.store.remove(cluster.api.key(kind, "", name))
        return stored, 200
    raise errors.ApiError(
        404, "NotFound", f"{kind.qualified}/{subresource} isn't emulated by the sandbox's API server", {}
    )


def _scale(
    cluster: Cluster, kind: Kind, namespace: str, name: str, method: str, content_type: str, body: Any, how: Write
) -> Json:
    with cluster.store.lock:
        live = cluster.api.get(kind, namespace, name)
        current = _as_scale(live)
        if method == "GET":
            return current
        if method == "PUT":
            wanted: Mapping[str, Any] = body
        elif content_type == "application/json-patch+json":
            wanted = patches.json_patch(current, body)
        else:
            wanted = patches.merge_patch(current, body)
        if not isinstance((wanted.get("spec") or {}).get("replicas", 0), int):
            raise errors.bad_request(
                "json: cannot unmarshal into Go struct field ScaleSpec.spec.replicas of type int32"
            )
        live["spec"]["replicas"] = (wanted.get("spec") or {}).get("replicas", 0)
        given = (wanted.get("metadata") or {}).get("resourceVersion")
        if method == "PUT" and given:
            live["metadata"]["resourceVersion"] = given
        return _as_scale(cluster.api.update(kind, namespace, name, live, how))


def _as_scale(document: Json) -> Json:
    selector = document["spec"].get("selector") or {}
    labels = (
        selector.get("matchLabels", {}) if "matchLabels" in selector or "matchExpressions" in selector else selector
    )
    meta = document["metadata"]
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {k: meta[k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")},
        "spec": {"replicas": document["spec"].get("replicas", 0)},
        "status": {
            "replicas": (document.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{k}={v}" for k, v in labels.items()),
        },
    }


def _evict(cluster: Cluster, kind: Kind, namespace: str, name: str, *, dry_run: bool) -> Json:
    with cluster.store.lock:
        pod = cluster.api.get(kind, namespace, name)
        for budget in cluster.store.listed("poddisruptionbudgets.policy", namespace):
            if not selects(from_object(budget["spec"].get("selector")), pod):
                continue
            status = budget.get("status") or {}
            if status.get("disruptionsAllowed", 0) < 1:
                raise errors.ApiError(
                    429, "TooManyRequests",
                    "Cannot evict pod as it would violate the pod's disruption budget.",
                    {"causes": [{
                        "reason": "DisruptionBudget",
                        "message": f"The disruption budget {budget['metadata']['name']} needs "
                        f"{status.get('desiredHealthy', 0)} healthy pods and has {status.get('currentHealthy', 0)} currently",
                    }]},
                )  # fmt: skip
        cluster.api.delete(kind, namespace, name, {}, dry_run=dry_run)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
