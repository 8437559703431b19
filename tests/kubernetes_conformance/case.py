"""Cases of the corpus: requests to an API server, and objects to send."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

_APPS = "/apis/apps/v1/namespaces/{ns}"
_CORE = "/api/v1/namespaces/{ns}"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
PATHS = {
    "ConfigMap": f"{_CORE}/configmaps",
    "ClusterRole": f"{_RBAC}/clusterroles",
    "ClusterRoleBinding": f"{_RBAC}/clusterrolebindings",
    "CronJob": "/apis/batch/v1/namespaces/{ns}/cronjobs",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "DaemonSet": f"{_APPS}/daemonsets",
    "Deployment": f"{_APPS}/deployments",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{ns}/horizontalpodautoscalers",
    "Ingress": "/apis/networking.k8s.io/v1/namespaces/{ns}/ingresses",
    "IngressClass": "/apis/networking.k8s.io/v1/ingressclasses",
    "Job": "/apis/batch/v1/namespaces/{ns}/jobs",
    "LimitRange": f"{_CORE}/limitranges",
    "Namespace": "/api/v1/namespaces",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{ns}/networkpolicies",
    "PersistentVolumeClaim": f"{_CORE}/persistentvolumeclaims",
    "Pod": f"{_CORE}/pods",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{ns}/poddisruptionbudgets",
    "PriorityClass": "/apis/scheduling.k8s.io/v1/priorityclasses",
    "ReplicaSet": f"{_APPS}/replicasets",
    "ResourceQuota": f"{_CORE}/resourcequotas",
    "Role": f"{_RBAC}/namespaces/{{ns}}/roles",
    "RoleBinding": f"{_RBAC}/namespaces/{{ns}}/rolebindings",
    "Secret": f"{_CORE}/secrets",
    "Service": f"{_CORE}/services",
    "ServiceAccount": f"{_CORE}/serviceaccounts",
    "StatefulSet": f"{_APPS}/statefulsets",
    "StorageClass": "/apis/storage.k8s.io/v1/storageclasses",
}
STRICT = "fieldManager=test&fieldValidation=Strict"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request; `{ns}` in path and body is the case's namespace.

    A watch ends after `timeoutSeconds` of its query; its answer is the list of events.
    """

    method: str
    path: str
    body: Any = None
    content_type: str = JSON
    accept: str = ""


@dataclass(frozen=True)
class Case:
    """Calls that run one after another in a namespace of their own."""

    name: str
    calls: tuple[Call, ...]


class _Remove:
    """Marks a field that `change` removes."""


REMOVE = _Remove()


def change(document: Json, changes: Mapping[str, Any]) -> Json:
    """Return a copy with values at dotted paths, such as `spec.ports.0.port`."""
    result = copy.deepcopy(document)
    for path, value in changes.items():
        *parents, last = path.replace("\\.", "\0").split(".")
        target: Any = result
        for name in parents:
            key = name.replace("\0", ".")
            target = target[int(key)] if isinstance(target, list) else target.setdefault(key, {})
        last = last.replace("\0", ".")
        if isinstance(value, _Remove):
            del target[int(last) if isinstance(target, list) else last]
        elif isinstance(target, list) and int(last) == len(target):
            target.append(value)
        else:
            target[int(last) if isinstance(target, list) else last] = value
    return result


def collection(kind: str) -> str:
    """Return the path of a kind's objects."""
    return PATHS[kind]


def path_of(document: Json) -> str:
    """Return the path of an object."""
    return f"{PATHS[document['kind']]}/{document['metadata']['name']}"


def create(document: Json, query: str = STRICT) -> Call:
    """Return a request that creates an object."""
    return Call(method="POST", path=f"{PATHS[document['kind']]}?{query}", body=document)


def replace(document: Json, query: str = STRICT) -> Call:
    """Return a request that replaces an object."""
    return Call(method="PUT", path=f"{path_of(document)}?{query}", body=document)


def patch(
    document: Json, body: Any, content_type: str, *, query: str = STRICT, subresource: str = ""
) -> Call:
    """Return a request that patches an object."""
    path = f"{path_of(document)}{subresource}?{query}"
    return Call(method="PATCH", path=path, body=body, content_type=content_type)


def apply(document: Json, manager: str = "test", query: str = "", subresource: str = "") -> Call:
    """Return a server-side apply."""
    return patch(
        document, document, APPLY, query=f"fieldManager={manager}{query}", subresource=subresource
    )


def read(document: Json, subresource: str = "", accept: str = "") -> Call:
    """Return a request that reads an object."""
    return Call(method="GET", path=f"{path_of(document)}{subresource}", accept=accept)


def get(path: str, accept: str = "") -> Call:
    """Return a GET request."""
    return Call(method="GET", path=path, accept=accept)


def delete(document: Json, query: str = "", body: Any = None) -> Call:
    """Return a request that deletes an object."""
    return Call(method="DELETE", path=f"{path_of(document)}?{query}".rstrip("?"), body=body)
