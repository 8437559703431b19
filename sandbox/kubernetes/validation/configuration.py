"""Validation of ConfigMaps, Secrets, quotas, limit ranges, roles and their bindings."""

# ruff: noqa: ARG001 -- the checks of a table share one signature
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.kubernetes.apimachinery.errors import (
    Cause,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
    too_long,
    unsupported,
)
from sandbox.kubernetes.apimachinery.quantities import RULE, is_quantity, parse
from sandbox.kubernetes.storage.cluster_state import ClusterState
from sandbox.kubernetes.validation.workloads import IMMUTABLE

_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
    "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_MAX_CONTENT = 1024 * 1024
_REQUIRED_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
}
_LIMIT_TYPES = frozenset({"Pod", "Container", "PersistentVolumeClaim"})
_COUNTED = frozenset({
    "pods", "services", "secrets", "configmaps", "persistentvolumeclaims",
    "replicationcontrollers", "resourcequotas", "services.loadbalancers", "services.nodeports",
})  # fmt: skip
_MEASURED = frozenset({
    "cpu", "memory", "ephemeral-storage", "storage", "requests.cpu", "requests.memory",
    "requests.storage", "requests.ephemeral-storage", "limits.cpu", "limits.memory",
    "limits.ephemeral-storage",
})  # fmt: skip


def validate_config(
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    """Validate keys and size of ConfigMap and Secret, `immutable`, and the Secret's type."""
    data, binary = new.get("data") or {}, new.get("binaryData") or {}
    for part, content in (("data", data), ("binaryData", binary)):
        for name in content:
            if not re.fullmatch(r"[-._a-zA-Z0-9]+", name) or len(name) > 253:
                yield invalid_value(f"{part}[{name}]", name, _KEY_RULE)
            if part == "data" and name in binary:
                text = "duplicate of key present in binaryData"
                yield invalid_value(f"data[{name}]", name, text)
    is_secret = new.get("kind") == "Secret"
    encoded = data if is_secret else binary
    size = sum(len(value.rstrip("=")) * 3 // 4 for value in encoded.values())
    size += 0 if is_secret else sum(len(value.encode()) for value in data.values())
    if size > _MAX_CONTENT:
        yield too_long("data" if is_secret else "[]", _MAX_CONTENT)
    for name in _REQUIRED_KEYS.get(new.get("type", ""), ()):
        if name not in data:
            yield required(f"data[{name}]")
    if live is None:
        return
    if live.get("type") != new.get("type"):
        yield invalid_value("type", new.get("type"), IMMUTABLE)
    if live.get("immutable"):
        for part in ("data", "binaryData", "immutable"):
            if live.get(part) != new.get(part):
                yield forbidden_field(part, "field is immutable when `immutable` is set")


def validate_quota(
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    """Validate names and quantities."""
    for name, value in ((new.get("spec") or {}).get("hard") or {}).items():
        field = f"spec.hard[{name}]"
        standard = name in _COUNTED | _MEASURED or "/" in name or "hugepages-" in name
        if not standard and not name.endswith(".storageclass.storage.k8s.io"):
            yield invalid_value(field, name, "must be a standard resource type or fully qualified")
            yield invalid_value(field, name, "must be a standard resource for quota")
        elif not is_quantity(value):
            yield invalid_value(field, value, RULE)
        elif parse(value) < 0:
            yield invalid_value(field, value, "must be greater than or equal to 0")
        elif name in _COUNTED and parse(value) % 1:
            yield invalid_value(field, value, "must be an integer")


def validate_limit_range(
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    """Validate types, and that defaults are within the limits."""
    types: set[str] = set()
    for index, limit in enumerate((new.get("spec") or {}).get("limits") or ()):
        field, kind = f"spec.limits[{index}]", limit.get("type", "")
        if kind not in _LIMIT_TYPES and "/" not in kind:
            text = "must be a standard limit type or fully qualified"
            yield invalid_value(f"{field}.type", kind, text)
        if kind in types:
            yield duplicate(f"{field}.type", kind)
        types.add(kind)
        for name, highest in (limit.get("max") or {}).items():
            for part, title in (("defaultRequest", "default request"), ("default", "default")):
                value = (limit.get(part) or {}).get(name)
                if value is not None and parse(value) > parse(highest):
                    shown = value if part == "defaultRequest" else highest
                    text = f"{title} value {value} is greater than max value {highest}"
                    yield invalid_value(f"{field}.{part}[{name}]", shown, text)


def validate_role(
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    """Validate the rules."""
    namespaced = new.get("kind") == "Role"
    for index, rule in enumerate(new.get("rules") or ()):
        field, urls = f"rules[{index}]", rule.get("nonResourceURLs")
        if not rule.get("verbs"):
            yield required(f"{field}.verbs", "verbs must contain at least one value")
        if urls:
            if namespaced:
                text = "namespaced rules cannot apply to non-resource URLs"
                yield invalid_value(f"{field}.nonResourceURLs", urls, text)
            if rule.get("apiGroups") or rule.get("resources"):
                text = "rules cannot apply to both regular resources and non-resource URLs"
                yield invalid_value(f"{field}.nonResourceURLs", urls, text)
            continue
        if not rule.get("apiGroups"):
            yield required(
                f"{field}.apiGroups", "resource rules must supply at least one api group"
            )
        if not rule.get("resources"):
            yield required(f"{field}.resources", "resource rules must supply at least one resource")


def validate_binding(
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    """Validate role and subjects."""
    reference = new.get("roleRef") or {}
    if live is not None and live.get("roleRef") != reference:
        yield invalid_value("roleRef", reference, "cannot change roleRef")
    roles = ["Role", "ClusterRole"] if new.get("kind") == "RoleBinding" else ["ClusterRole"]
    if reference.get("kind") not in roles:
        yield unsupported("roleRef.kind", reference.get("kind"), roles)
    kinds = ["ServiceAccount", "User", "Group"]
    for index, subject in enumerate(new.get("subjects") or ()):
        if subject.get("kind") not in kinds:
            yield unsupported(f"subjects[{index}].kind", subject.get("kind"), kinds)
        elif (
            subject["kind"] == "ServiceAccount"
            and not subject.get("namespace")
            and new.get("kind") == "ClusterRoleBinding"
        ):
            yield required(f"subjects[{index}].namespace")
