"""The resource metrics API (metrics.k8s.io), which metrics-server serves in a real cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.kubernetes.apimachinery import errors, selectors
from sandbox.kubernetes.apiserver.messages import ApiRequest
from sandbox.kubernetes.apiserver.object_meta import now
from sandbox.kubernetes.apiserver.resource_paths import ResourcePath
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.storage.object_store import Json

_WINDOW = "5s"
_API = "metrics.k8s.io/v1beta1"


def handle(cluster: Cluster, request: ApiRequest, path: ResourcePath) -> Json:
    """Return the metrics of nodes or pods."""
    namespace, plural, name = path.namespace, path.plural, path.name
    if plural not in {"nodes", "pods"} or request.method != "GET":
        raise errors.no_such_path()
    labels = selectors.parse_labels(request.query.get("labelSelector", ""))
    objects = [
        item
        for item in cluster.store.list_objects(plural, namespace)
        if selectors.selects(labels, item) and name in {"", item["metadata"]["name"]}
    ]
    describe = _node if plural == "nodes" else _pod
    items = [entry for item in objects if (entry := describe(cluster, item))]
    if not name:
        kind = "NodeMetricsList" if plural == "nodes" else "PodMetricsList"
        return {"kind": kind, "apiVersion": _API, "metadata": {}, "items": items}
    if not items:
        raise errors.ApiError(404, "NotFound", f'{plural}.metrics.k8s.io "{name}" not found')
    return items[0]


def _pod(cluster: Cluster, pod: Json) -> Json | None:
    usage = cluster.controllers.kubelet.container_usage(str(pod["metadata"]["uid"]))
    if not usage:
        return None
    return {
        **_head("PodMetrics", pod),
        "containers": [{"name": name, "usage": _usage(item)} for name, item in usage.items()],
    }


def _node(cluster: Cluster, node: Json) -> Json:
    total = {"cpu": 0.0, "memory": 0.0}
    for pod in cluster.store.list_objects("pods"):
        if pod["spec"].get("nodeName") == node["metadata"]["name"]:
            for item in cluster.controllers.kubelet.container_usage(
                pod["metadata"]["uid"]
            ).values():
                for resource, value in item.items():
                    total[resource] += value
    return {**_head("NodeMetrics", node), "usage": _usage(total)}


def _head(kind: str, item: Json) -> Json:
    meta: dict[str, Any] = {
        key: item["metadata"][key]
        for key in ("name", "namespace", "labels", "creationTimestamp")
        if key in item["metadata"]
    }
    return {
        "kind": kind,
        "apiVersion": _API,
        "metadata": meta,
        "timestamp": now(),
        "window": _WINDOW,
    }


def _usage(usage: Mapping[str, float]) -> dict[str, str]:
    return {"cpu": f"{int(usage['cpu'] * 1e9)}n", "memory": f"{int(usage['memory'] / 1024)}Ki"}
