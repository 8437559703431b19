"""The resource types of a Kubernetes version: plural names, scope, short names, subresources.

Types come from the version's OpenAPI definitions. Scope, plural and short names, which OpenAPI
lacks, are in tables after `kubectl api-resources` of a real cluster. Only GA versions are served,
as by default in a real cluster; virtual kinds (reviews, bindings, scales) are not listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_CLUSTER_SCOPED = frozenset({
    "APIService", "CSIDriver", "CSINode", "CertificateSigningRequest", "ClusterRole",
    "ClusterRoleBinding", "CustomResourceDefinition", "DeviceClass", "FlowSchema", "IPAddress",
    "IngressClass", "MutatingWebhookConfiguration", "Namespace", "Node", "PersistentVolume",
    "PriorityClass", "PriorityLevelConfiguration", "ResourceSlice", "RuntimeClass", "ServiceCIDR",
    "StorageClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration", "VolumeAttachment", "VolumeAttributesClass",
    "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
})  # fmt: skip
_SHORT_NAMES = {
    "ConfigMap": "cm", "Endpoints": "ep", "Event": "ev", "LimitRange": "limits", "Namespace": "ns",
    "Node": "no", "PersistentVolumeClaim": "pvc", "PersistentVolume": "pv", "Pod": "po",
    "ReplicationController": "rc", "ResourceQuota": "quota", "ServiceAccount": "sa",
    "Service": "svc", "DaemonSet": "ds", "Deployment": "deploy", "ReplicaSet": "rs",
    "StatefulSet": "sts", "HorizontalPodAutoscaler": "hpa", "CronJob": "cj", "Ingress": "ing",
    "NetworkPolicy": "netpol", "PodDisruptionBudget": "pdb", "PriorityClass": "pc",
    "StorageClass": "sc", "IPAddress": "ip",
}  # fmt: skip
_IN_ALL = frozenset({
    "Pod", "ReplicationController", "Service", "DaemonSet", "Deployment", "ReplicaSet",
    "StatefulSet", "HorizontalPodAutoscaler", "CronJob", "Job",
})  # fmt: skip
# Not stored: request bodies, parts of other objects, and second views of a served kind (Event of
# events.k8s.io, HPA of autoscaling/v1).
_NOT_SERVED = frozenset({
    ("", "v1", "Binding"), ("", "v1", "ComponentStatus"), ("", "v1", "APIGroup"),
    ("", "v1", "APIVersions"), ("", "v1", "Status"), ("", "v1", "DeleteOptions"),
    ("", "v1", "WatchEvent"), ("events.k8s.io", "v1", "Event"),
    ("autoscaling", "v1", "HorizontalPodAutoscaler"), ("autoscaling", "v1", "Scale"),
    ("policy", "v1", "Eviction"),
})  # fmt: skip
_REVIEW_GROUPS = frozenset({"authentication.k8s.io", "authorization.k8s.io"})
SCALABLE = frozenset({"Deployment", "ReplicaSet", "StatefulSet", "ReplicationController"})
WITH_POD_TEMPLATE = SCALABLE | {"DaemonSet"}
_NO_STATUS = frozenset({
    "ConfigMap", "Secret", "ServiceAccount", "Role", "RoleBinding", "ClusterRole",
    "ClusterRoleBinding", "Event", "Endpoints", "EndpointSlice", "LimitRange", "PodTemplate",
    "StorageClass", "IngressClass", "PriorityClass", "NetworkPolicy", "ControllerRevision", "Lease",
    "CSIDriver", "CSINode", "RuntimeClass", "CSIStorageCapacity", "IPAddress",
    "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A served resource type; `definition` is its OpenAPI name, empty for a custom resource."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    definition: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """Return the `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> str:
        """Return the plural with its group, as in `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def plural_of(kind: str) -> str:
    """Return the resource name of a kind (`NetworkPolicy` → `networkpolicies`)."""
    name = kind.lower()
    if name == "endpoints":
        return name
    if re.search(r"(s|x|ch)$", name):
        return name + "es"
    if re.search(r"[^aeiou]y$", name):
        return name[:-1] + "ies"
    return name + "s"


def is_served(group: str, version: str, kind: str) -> bool:
    """Return whether a cluster serves this type: a GA version of a stored kind."""
    if not re.fullmatch(r"v\d+", version) or kind.endswith("List"):
        return False
    return (group, version, kind) not in _NOT_SERVED and group not in _REVIEW_GROUPS


def describe(group: str, version: str, kind: str, definition: str) -> Kind:
    """Return the Kind of an OpenAPI definition, completed from the tables."""
    crd = kind == "CustomResourceDefinition"
    subresources = [] if kind in _NO_STATUS else ["status"]
    if kind in SCALABLE:
        subresources.append("scale")
    if kind == "Pod":
        subresources += ["log", "eviction", "binding"]
    return Kind(
        group=group,
        version=version,
        kind=kind,
        plural=plural_of(kind),
        namespaced=kind not in _CLUSTER_SCOPED,
        definition=definition,
        short_names=_short_names(kind),
        categories=("all",) if kind in _IN_ALL else (("api-extensions",) if crd else ()),
        subresources=tuple(subresources),
    )


def _short_names(kind: str) -> tuple[str, ...]:
    if kind == "CustomResourceDefinition":
        return ("crd", "crds")
    return (_SHORT_NAMES[kind],) if kind in _SHORT_NAMES else ()


class KindTable:
    """Kinds by path (group, version, plural) and by apiVersion and kind."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._by_path: dict[tuple[str, str, str], Kind] = {}
        self._by_name: dict[tuple[str, str], Kind] = {}
        for kind in kinds:
            self.add(kind)

    def add(self, kind: Kind) -> None:
        """Serve a custom resource."""
        self._by_path[kind.group, kind.version, kind.plural] = kind
        self._by_name[kind.api_version, kind.kind] = kind

    def remove(self, kind: Kind) -> None:
        """Stop serving a custom resource."""
        self._by_path.pop((kind.group, kind.version, kind.plural), None)
        self._by_name.pop((kind.api_version, kind.kind), None)

    def by_path(self, group: str, version: str, plural: str) -> Kind | None:
        """Return the kind of a URL."""
        return self._by_path.get((group, version, plural))

    def by_name(self, api_version: str, kind: str) -> Kind | None:
        """Return the kind of an object."""
        return self._by_name.get((api_version, kind))

    def all(self) -> list[Kind]:
        """Return all kinds, sorted by path."""
        return [self._by_path[key] for key in sorted(self._by_path)]
