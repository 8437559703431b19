"""Kubernetes objects as Pulumi resources: tokens, names, URLs, differences and what forces a replacement."""

# ruff: noqa: ARG002 -- _Alone answers every question with nothing
from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from sandbox.kubernetes.admission.chain import Context
from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.kubernetes.apimachinery.schema import Schema
from sandbox.kubernetes.apiserver import defaults
from sandbox.kubernetes.storage.object_store import Json
from sandbox.kubernetes.validation import objects
from sandbox.providers.property_values import UNKNOWN
from sandbox.providers.protocol import Change, Failure

AUTONAMED = "pulumi.com/autonamed"
_HIDDEN = ("managedFields",)
# Fields whose change needs a new object: immutable in Kubernetes, or (ConfigMap, Secret) immutable by Pulumi's
# convention, so that what uses them rolls. After pulumi-kubernetes' documentation of each kind.
_REPLACED: Mapping[str, tuple[str, ...]] = {
    "apps:DaemonSet": ("spec.selector",),
    "apps:Deployment": ("spec.selector",),
    "apps:ReplicaSet": ("spec.selector",),
    "apps:StatefulSet": ("spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"),
    "batch:Job": ("spec.selector", "spec.template", "spec.completions", "spec.completionMode"),
    ":PersistentVolumeClaim": (
        "spec.accessModes",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeName",
        "spec.volumeMode",
    ),
    ":PersistentVolume": ("spec.csi", "spec.volumeMode"),
    ":Service": ("spec.clusterIP", "spec.type"),
    ":Pod": ("spec",),
    "rbac.authorization.k8s.io:RoleBinding": ("roleRef",),
    "rbac.authorization.k8s.io:ClusterRoleBinding": ("roleRef",),
    "storage.k8s.io:StorageClass": ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"),
    "scheduling.k8s.io:PriorityClass": ("value", "preemptionPolicy"),
}
_CONTENT = ("data", "binaryData", "stringData", "type", "immutable")


def parse_token(token: str) -> tuple[str, str]:
    """Return (apiVersion, kind) of a type token; raises Failure for what is no plain Kubernetes object."""
    match = re.fullmatch(r"kubernetes:([\w.-]+/v[\w]+|v[\w]+):(\w+)", token)
    if not match or match.group(1).split("/")[0].split(".")[0] in {"helm", "kustomize", "yaml"}:
        raise Failure(
            f"{token} isn't emulated by the sandbox: its Kubernetes provider manages plain objects only, no charts, kustomizations or YAML bundles."
        )
    api_version, kind = match.group(1).removeprefix("core/"), match.group(2)
    return api_version, kind


def kind_of(token: str, schema: Schema) -> Kind:
    """Return the kind behind a token, in one Kubernetes version; custom resources are taken as they come."""
    api_version, name = parse_token(token)
    table = schema.kinds()
    found = table.named(api_version, name)
    if found is not None:
        return found
    group, _, version = api_version.rpartition("/")
    builtin = {kind.group for kind in table.all()} | {"", "extensions"}
    if name.endswith("Patch") and table.named(api_version, name.removesuffix("Patch")):
        raise Failure(f"{token} isn't emulated by the sandbox: patch resources of shared objects are not.")
    if name.endswith("List") and table.named(api_version, name.removesuffix("List")):
        raise Failure(f"{token} isn't emulated by the sandbox: declare the objects of the list one by one.")
    if group in builtin:
        others = sorted(k.api_version for k in table.all() if k.kind == name)
        hint = f"; it has {name} in {', '.join(others)}" if others else ""
        raise Failure(f"Kubernetes {schema.version} has no {api_version} {name}{hint}.")
    plural = re.sub(r"([^aeiou])y$", r"\1ies", name.lower()) if name.lower().endswith("y") else name.lower() + "s"
    plural = name.lower() if name.lower().endswith("params") else plural
    return Kind(group=group, version=version, kind=name, plural=plural, namespaced=name not in _CLUSTER_WIDE)


# Custom kinds of EKS Auto Mode and Karpenter that have no namespace.
_CLUSTER_WIDE = frozenset({"IngressClassParams", "NodeClass", "NodePool", "NodeClaim", "EC2NodeClass"})


def path(kind: Kind, namespace: str, name: str = "") -> str:
    """Return the URL path of an object, or of its collection."""
    base = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    middle = f"/namespaces/{namespace}" if kind.namespaced else ""
    return f"{base}{middle}/{kind.plural}" + (f"/{name}" if name else "")


def identifier(kind: Kind, document: Mapping[str, Any]) -> str:
    """Return a resource id: `namespace/name`, or `name` for cluster-wide objects."""
    meta = document["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if kind.namespaced else str(meta["name"])


def split_identifier(kind: Kind, id: str, namespace: str) -> tuple[str, str]:
    """Return (namespace, name) of a resource id."""
    before, _, name = id.rpartition("/")
    return (before or namespace) if kind.namespaced else "", name


def autoname(name: str, seed: bytes, urn: str) -> str:
    """Return `name-<8 hex>`."""
    return f"{name[:54].lower()}-{sha256(seed + urn.encode() if seed else urn.encode()).hexdigest()[:8]}"


def unknown_paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield where a document isn't known yet."""
    if value is UNKNOWN:
        yield prefix
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from unknown_paths(item, f"{prefix}.{key}" if prefix else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknown_paths(item, f"{prefix}[{index}]")


def known_part(value: Any) -> Any:
    """Return a document without what isn't known yet."""
    if isinstance(value, Mapping):
        return {key: known_part(item) for key, item in value.items() if item is not UNKNOWN}
    if isinstance(value, list):
        return [known_part(item) for item in value if item is not UNKNOWN]
    return value


class _Alone(Context):
    """What rules may ask when no cluster is at hand: there is nothing."""

    def __init__(self) -> None:
        self.service_cidr = "10.100.0.0/16"

    def namespace(self, name: str) -> Json | None:
        return None

    def named(self, resource: str, name: str, namespace: str = "") -> Json | None:
        return None

    def listed(self, resource: str, namespace: str = "") -> list[Json]:
        return []

    def cluster_ips(self) -> set[str]:
        return set()

    def node_ports(self) -> set[int]:
        return set()

    def default_storage_class(self, claim: Json) -> None:
        return


def problems(schema: Schema, kind: Kind, document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the API server would refuse, as far as that can be said without one: (property, reason)."""
    known = known_part(document)
    found = schema.check(kind, known)
    failures = [(where, f'unknown field "{where}" in {kind.api_version} {kind.kind}') for where in found.unknown]
    failures += [("", text.removeprefix("json: ")) for text in found.types]
    unknown = list(unknown_paths(document))
    missing = [cause for cause in found.missing if not any(cause.field.startswith(where) for where in unknown)]
    failures += [(cause.field, f"{cause.field}: {cause.message}") for cause in missing]
    if not failures and not unknown:
        copy: Json = _deep(known)
        if kind.kind == "Pod":
            defaults.pod_spec(copy.setdefault("spec", {}))
        defaults.fill(kind, copy, _Alone())
        if not (kind.kind == "Job" and not (known.get("spec") or {}).get("template")):
            failures = [(c.field, str(c)) for c in objects.check(kind, copy, None, _Alone())]
    return failures


def _deep(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _deep(v) for k, v in value.items() if v is not None}
    return [_deep(item) for item in value] if isinstance(value, list) else value


def compare(old: Any, new: Any, where: str = "") -> Iterator[tuple[str, Change]]:
    """Yield each difference between two documents by property path."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            place = _key_path(where, key)
            if key not in new:
                yield place, Change.DELETE
            elif key not in old:
                yield place, Change.ADD
            else:
                yield from compare(old[key], new[key], place)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            place = f"{where}[{index}]"
            if index >= len(new):
                yield place, Change.DELETE
            elif index >= len(old):
                yield place, Change.ADD
            else:
                yield from compare(old[index], new[index], place)
    elif new is UNKNOWN or old != new:
        yield where, Change.UPDATE


def _key_path(where: str, key: str) -> str:
    if re.fullmatch(r"[\w$-]+", key):
        return f"{where}.{key}" if where else key
    return f'{where}["{key}"]'


def replaces(kind: Kind, change: str, old: Mapping[str, Any], new: Mapping[str, Any], mutable: frozenset[str]) -> bool:
    """Say whether a changed property needs a new object."""
    if change in {"apiVersion", "kind", "metadata.name", "metadata.namespace", "metadata.generateName"}:
        return change not in {"apiVersion"} or _group(old) != _group(new)
    if kind.kind in {"ConfigMap", "Secret"} and not kind.group:
        return kind.kind not in mutable and change.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0] in _CONTENT
    if kind.kind == "Service" and change == "spec.type":
        return "ExternalName" in {(old.get("spec") or {}).get("type"), (new.get("spec") or {}).get("type")}
    if kind.kind == "Pod" and re.fullmatch(
        r"spec\.(initC|c)ontainers\[\d+\]\.image|spec\.activeDeadlineSeconds|spec\.tolerations.*", change
    ):
        return False
    return any(
        change == field or change.startswith((f"{field}.", f"{field}["))
        for field in _REPLACED.get(f"{kind.group}:{kind.kind}", ())
    )


def _group(document: Mapping[str, Any]) -> str:
    return str(document.get("apiVersion", "")).rpartition("/")[0]


_CHANGED = {Change.ADD: Change.ADD_REPLACE, Change.DELETE: Change.DELETE_REPLACE, Change.UPDATE: Change.UPDATE_REPLACE}


def differences(
    kind: Kind, old: Mapping[str, Any], new: Mapping[str, Any], mutable: frozenset[str]
) -> dict[str, Change]:
    """Compare two sets of inputs; changes that need a new object are marked."""
    return {
        place: _CHANGED[change] if replaces(kind, place, old, new, mutable) else change
        for place, change in compare(old, new)
    }


def state_of(document: Mapping[str, Any], manager: str) -> Json:
    """Return a live object as a resource's state."""
    meta = {k: v for k, v in document["metadata"].items() if k not in _HIDDEN}
    return {**document, "metadata": meta, "__fieldManager": manager, "__initialApiVersion": document["apiVersion"]}


def project(live: Any, inputs: Any) -> Any:
    """Return what the live object has where the inputs say something: drift is then a difference of inputs."""
    if isinstance(inputs, Mapping) and isinstance(live, Mapping):
        return {key: project(live[key], value) for key, value in inputs.items() if key in live}
    if isinstance(inputs, list) and isinstance(live, list):
        if all(isinstance(item, Mapping) and "name" in item for item in (*inputs, *live)):
            by_name = {item["name"]: item for item in live}
            kept = [project(by_name[item["name"]], item) for item in inputs if item["name"] in by_name]
            return kept + [item for item in live if item["name"] not in {i["name"] for i in inputs}]
        if len(inputs) == len(live):
            return [project(there, here) for there, here in zip(live, inputs, strict=True)]
    return live


def importable(document: Mapping[str, Any]) -> Json:
    """Return the inputs that would make a live object: it without what the server fills in about it."""
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
    return {**{k: v for k, v in document.items() if k != "status"}, "metadata": meta}


def plain(inputs: Mapping[str, Any]) -> Json:
    """Return inputs as an object for the API server."""
    found: Json = {k: v for k, v in _deep(inputs).items() if not k.startswith("__") and k != "status"}
    return found


def with_string_data(live: Mapping[str, Any], inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a Secret with the `stringData` that its inputs speak of; the API server keeps it as `data` only."""
    wanted = inputs.get("stringData")
    if live.get("kind") != "Secret" or not isinstance(wanted, Mapping):
        return live
    data = live.get("data") or {}
    return {**live, "stringData": {key: b64decode(data[key]).decode(errors="replace") for key in wanted if key in data}}
