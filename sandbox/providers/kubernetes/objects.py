"""Kubernetes objects as Pulumi resources: tokens, names, paths, differences, replacements."""

# ruff: noqa: ARG002 -- _Alone answers every question with nothing
from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.kubernetes.apimachinery.schema import Schema
from sandbox.kubernetes.apiserver import defaults
from sandbox.kubernetes.apiserver.object_meta import without_nulls
from sandbox.kubernetes.storage.cluster_state import ClusterState
from sandbox.kubernetes.storage.object_store import Json
from sandbox.kubernetes.validation import objects
from sandbox.providers.property_values import UNKNOWN
from sandbox.providers.protocol import Change, Failure

AUTONAMED = "pulumi.com/autonamed"
_HIDDEN = ("managedFields",)
_REVISION = "deployment.kubernetes.io/revision"
"""Annotation of the Deployment's controller."""
# Properties whose change replaces the object: immutable in Kubernetes or, for ConfigMap and Secret,
# by Pulumi's convention, so that their users restart. Source: pulumi-kubernetes' documentation.
_REPLACED: Mapping[str, tuple[str, ...]] = {
    "apps:DaemonSet": ("spec.selector",),
    "apps:Deployment": ("spec.selector",),
    "apps:ReplicaSet": ("spec.selector",),
    "apps:StatefulSet": (
        "spec.selector",
        "spec.serviceName",
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.volumeClaimTemplates",
    ),
    "batch:Job": (
        "spec.selector",
        "spec.template",
        "spec.completions",
        "spec.completionMode",
        "spec.parallelism",
    ),
    ":PersistentVolumeClaim": (
        "spec.accessModes",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeName",
        "spec.volumeMode",
    ),
    ":PersistentVolume": ("spec.csi", "spec.volumeMode"),
    ":ResourceQuota": ("spec.scopes",),
    ":Service": ("spec.clusterIP",),
    ":Pod": ("spec",),
    "rbac.authorization.k8s.io:RoleBinding": ("roleRef",),
    "rbac.authorization.k8s.io:ClusterRoleBinding": ("roleRef",),
    "storage.k8s.io:StorageClass": (
        "parameters",
        "provisioner",
        "reclaimPolicy",
        "volumeBindingMode",
    ),
    "scheduling.k8s.io:PriorityClass": ("value", "preemptionPolicy"),
}
_CONTENT = ("data", "binaryData", "stringData", "type")


def parse_token(token: str) -> tuple[str, str]:
    """Return (apiVersion, kind) of a type token. Raises Failure for other than plain objects."""
    match = re.fullmatch(r"kubernetes:([\w.-]+/v[\w]+|v[\w]+):(\w+)", token)
    if not match or match.group(1).split("/")[0].split(".")[0] in {"helm", "kustomize", "yaml"}:
        raise Failure(
            f"{token} is not emulated by the sandbox: its Kubernetes provider manages plain "
            "objects only, no charts, kustomizations or YAML bundles."
        )
    api_version, kind = match.group(1).removeprefix("core/"), match.group(2)
    return api_version, kind


def kind_of(token: str, schema: Schema) -> Kind:
    """Return the kind of a token in a Kubernetes version; unknown groups are custom resources."""
    api_version, name = parse_token(token)
    table = schema.kinds()
    served = table.by_name(api_version, name)
    if served is not None:
        return served
    group, _, version = api_version.rpartition("/")
    builtin = {kind.group for kind in table.all()} | {"", "extensions"}
    if name.endswith("Patch") and table.by_name(api_version, name.removesuffix("Patch")):
        raise Failure(
            f"{token} is not emulated by the sandbox: patch resources of shared objects are not."
        )
    if name.endswith("List") and table.by_name(api_version, name.removesuffix("List")):
        raise Failure(
            f"{token} is not emulated by the sandbox: declare the objects of the list one by one."
        )
    if group in builtin:
        others = sorted(k.api_version for k in table.all() if k.kind == name)
        hint = f"; it has {name} in {', '.join(others)}" if others else ""
        raise Failure(f"Kubernetes {schema.version} has no {api_version} {name}{hint}.")
    plural = (
        re.sub(r"([^aeiou])y$", r"\1ies", name.lower())
        if name.lower().endswith("y")
        else name.lower() + "s"
    )
    plural = name.lower() if name.lower().endswith("params") else plural
    return Kind(
        group=group, version=version, kind=name, plural=plural, namespaced=name not in _CLUSTER_WIDE
    )


# Cluster-scoped custom kinds of EKS Auto Mode and Karpenter.
_CLUSTER_WIDE = frozenset(
    {"IngressClassParams", "NodeClass", "NodePool", "NodeClaim", "EC2NodeClass"}
)


def path(kind: Kind, namespace: str, name: str = "") -> str:
    """Return the URL path of an object or its collection."""
    base = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    middle = f"/namespaces/{namespace}" if kind.namespaced else ""
    return f"{base}{middle}/{kind.plural}" + (f"/{name}" if name else "")


def identifier(kind: Kind, document: Mapping[str, Any]) -> str:
    """Return a resource ID: `namespace/name`, or `name` for a cluster-scoped object."""
    meta = document["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if kind.namespaced else str(meta["name"])


def split_identifier(kind: Kind, id: str, namespace: str) -> tuple[str, str]:
    """Return (namespace, name) of a resource ID."""
    before, _, name = id.rpartition("/")
    return (before or namespace) if kind.namespaced else "", name


def autoname(name: str, seed: bytes, urn: str) -> str:
    """Return `name-<8 hex>`."""
    return f"{name[:54].lower()}-{sha256(seed + urn.encode()).hexdigest()[:8]}"


def unknown_paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield the paths of unknown values."""
    if value is UNKNOWN:
        yield prefix
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from unknown_paths(item, f"{prefix}.{key}" if prefix else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknown_paths(item, f"{prefix}[{index}]")


def known_part(value: Any) -> Any:
    """Return a document without unknown values."""
    if isinstance(value, Mapping):
        return {key: known_part(item) for key, item in value.items() if item is not UNKNOWN}
    if isinstance(value, list):
        return [known_part(item) for item in value if item is not UNKNOWN]
    return value


class _EmptyCluster(ClusterState):
    """An empty cluster, for validation without a connection."""

    def __init__(self) -> None:
        self.service_cidr = "10.100.0.0/16"

    def namespace(self, name: str) -> Json | None:
        return None

    def get_object(self, resource: str, name: str, namespace: str = "") -> Json | None:
        return None

    def list_objects(self, resource: str, namespace: str = "") -> list[Json]:
        return []

    def cluster_ips(self) -> set[str]:
        return set()

    def node_ports(self) -> set[int]:
        return set()

    def default_storage_class(self, claim: Json) -> None:
        return


def api_errors(schema: Schema, kind: Kind, document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the API server would refuse, as (property, reason), without a cluster."""
    known_document = known_part(document)
    errors = schema.check(kind, known_document)
    failures = [
        (field, f'unknown field "{field}" in {kind.api_version} {kind.kind}')
        for field in errors.unknown
    ]
    failures += [("", text.removeprefix("json: ")) for text in errors.types]
    unknown = list(unknown_paths(document))
    missing = [
        cause
        for cause in errors.missing
        if not any(cause.field.startswith(field) for field in unknown)
    ]
    failures += [(cause.field, f"{cause.field}: {cause.message}") for cause in missing]
    if not failures and not unknown:
        copy: Json = without_nulls(known_document)
        if kind.kind == "Pod":
            copy.setdefault("spec", {})
        defaults.set_defaults(kind, copy)
        defaults.allocate(kind, copy, _EmptyCluster())
        if not (kind.kind == "Job" and not (known_document.get("spec") or {}).get("template")):
            failures = [
                (c.field, str(c))
                for c in objects.validate_object(kind, copy, None, _EmptyCluster())
            ]
    return failures


def compare(old: Any, new: Any, path_prefix: str = "") -> Iterator[tuple[str, Change]]:
    """Yield the differences of two documents by property path."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            property_path = _key_path(path_prefix, key)
            if key not in new:
                yield property_path, Change.DELETE
            elif key not in old:
                yield property_path, Change.ADD
            else:
                yield from compare(old[key], new[key], property_path)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            property_path = f"{path_prefix}[{index}]"
            if index >= len(new):
                yield property_path, Change.DELETE
            elif index >= len(old):
                yield property_path, Change.ADD
            else:
                yield from compare(old[index], new[index], property_path)
    elif new is UNKNOWN or old != new:
        yield path_prefix, Change.UPDATE


def _key_path(path_prefix: str, key: str) -> str:
    if re.fullmatch(r"[\w$-]+", key):
        return f"{path_prefix}.{key}" if path_prefix else key
    return f'{path_prefix}["{key}"]'


def replaces(
    kind: Kind, change: str, old: Mapping[str, Any], new: Mapping[str, Any], mutable: frozenset[str]
) -> bool:
    """Return whether a changed property replaces the object."""
    if change in {
        "apiVersion",
        "kind",
        "metadata.name",
        "metadata.namespace",
        "metadata.generateName",
    }:
        return change not in {"apiVersion"} or _group(old) != _group(new)
    if kind.kind in {"ConfigMap", "Secret"} and not kind.group:
        return (
            kind.kind not in mutable
            and change.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0] in _CONTENT
        )
    if kind.kind == "Pod" and re.fullmatch(
        r"spec\.activeDeadlineSeconds|spec\.tolerations.*", change
    ):
        return False
    return any(
        change == field or change.startswith((f"{field}.", f"{field}["))
        for field in _REPLACED.get(f"{kind.group}:{kind.kind}", ())
    )


def _group(document: Mapping[str, Any]) -> str:
    return str(document.get("apiVersion", "")).rpartition("/")[0]


_REPLACING = {
    Change.ADD: Change.ADD_REPLACE,
    Change.DELETE: Change.DELETE_REPLACE,
    Change.UPDATE: Change.UPDATE_REPLACE,
}


def differences(
    kind: Kind, old: Mapping[str, Any], new: Mapping[str, Any], mutable: frozenset[str]
) -> dict[str, Change]:
    """Compare inputs and mark the changes that replace the object."""
    return {
        property_path: _REPLACING[change]
        if replaces(kind, property_path, old, new, mutable)
        else change
        for property_path, change in compare(old, new)
    }


def state_of(document: Mapping[str, Any], manager: str) -> Json:
    """Return a live object as a resource's state."""
    meta = {k: v for k, v in document["metadata"].items() if k not in _HIDDEN}
    return {
        **document,
        "metadata": meta,
        "__fieldManager": manager,
        "__initialApiVersion": document["apiVersion"],
    }


def project_live(live: Any, inputs: Any) -> Any:
    """Return the live values of declared properties; drift becomes a difference of inputs."""
    if isinstance(inputs, Mapping) and isinstance(live, Mapping):
        return {key: project_live(live[key], value) for key, value in inputs.items() if key in live}
    if isinstance(inputs, list) and isinstance(live, list):
        if all(isinstance(item, Mapping) and "name" in item for item in (*inputs, *live)):
            by_name = {item["name"]: item for item in live}
            entries = [
                project_live(by_name[item["name"]], item)
                for item in inputs
                if item["name"] in by_name
            ]
            return entries + [
                item for item in live if item["name"] not in {i["name"] for i in inputs}
            ]
        if len(inputs) == len(live):
            return [project_live(there, here) for there, here in zip(live, inputs, strict=True)]
    return live


def import_inputs(document: Mapping[str, Any]) -> Json:
    """Return the inputs of an imported object: without server-set metadata and status."""
    drop = {
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "managedFields",
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "ownerReferences",
    }
    meta = {k: v for k, v in document["metadata"].items() if k not in drop}
    annotations = {k: v for k, v in meta.pop("annotations", {}).items() if k != _REVISION}
    if annotations:
        meta["annotations"] = annotations
    return {**{k: v for k, v in document.items() if k != "status"}, "metadata": meta}


def to_object(inputs: Mapping[str, Any]) -> Json:
    """Return inputs as an object for the API server."""
    document: Json = {
        k: v for k, v in without_nulls(inputs).items() if not k.startswith("__") and k != "status"
    }
    return document


def with_string_data(live: Mapping[str, Any], inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add a Secret's declared `stringData`, which the API server returns as `data`."""
    string_data = inputs.get("stringData")
    if live.get("kind") != "Secret" or not isinstance(string_data, Mapping):
        return live
    data = live.get("data") or {}
    return {
        **live,
        "stringData": {
            key: b64decode(data[key]).decode(errors="replace") for key in string_data if key in data
        },
    }
