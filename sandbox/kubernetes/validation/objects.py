"""Validation rules that the OpenAPI schema lacks, for each kind."""

# ruff: noqa: ARG001 -- the checks of a table share one signature
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.kubernetes.apimachinery.errors import (
    Cause,
    forbidden_field,
    invalid_value,
    required,
    unsupported,
)
from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.kubernetes.apimachinery.quantities import RULE, is_quantity, parse
from sandbox.kubernetes.storage.cluster_state import ClusterState
from sandbox.kubernetes.validation import pod as pods
from sandbox.kubernetes.validation.metadata import validate_metadata
from sandbox.kubernetes.validation.networking import (
    validate_ingress,
    validate_network_policy,
    validate_service,
)
from sandbox.kubernetes.validation.workloads import (
    IMMUTABLE,
    validate_job,
    validate_percent,
    validate_workload,
)

_WORKLOADS = frozenset({"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"})


def validate_object(
    kind: Kind, new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> list[Cause]:
    """Return all errors of an object, or of the change from `live` to it."""
    causes = list(validate_metadata(kind, new))
    spec = new.get("spec") or {}
    old = (live or {}).get("spec") or {} if live is not None else None
    if kind.kind in _WORKLOADS:
        causes += validate_workload(kind.kind, spec, old)
    elif kind.kind == "Pod":
        causes += pods.validate_pod_spec(spec, "spec")
        if live is not None:
            causes += pods.validate_pod_update(spec, old or {})
    elif kind.kind == "Job":
        causes += validate_job(spec, old)
    elif kind.kind == "CronJob":
        causes += pods.validate_pod_spec(
            spec["jobTemplate"]["spec"]["template"].get("spec") or {},
            "spec.jobTemplate.spec.template.spec",
        )
        if len(str(spec.get("schedule", "")).split()) != 5 and not str(
            spec.get("schedule", "")
        ).startswith("@"):
            causes.append(
                invalid_value("spec.schedule", spec.get("schedule"), "expected exactly 5 fields")
            )
    elif kind.kind in _CHECKS:
        causes += _CHECKS[kind.kind](new, live, state)
    return causes


def _autoscaler(
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    spec = new["spec"]
    low, high = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    if low < 1:
        yield invalid_value("spec.minReplicas", low, "must be greater than or equal to 1")
    if high < 1:
        yield invalid_value("spec.maxReplicas", high, "must be greater than 0")
    elif high < low:
        yield invalid_value(
            "spec.maxReplicas", high, "must be greater than or equal to `minReplicas`"
        )
    for index, metric in enumerate(spec.get("metrics") or ()):
        kinds = ["ContainerResource", "External", "Object", "Pods", "Resource"]
        if metric.get("type") not in kinds:
            yield unsupported(f"spec.metrics[{index}].type", metric.get("type"), kinds)
        elif not metric.get(metric["type"][0].lower() + metric["type"][1:]):
            yield required(
                f"spec.metrics[{index}].{metric['type'][0].lower() + metric['type'][1:]}",
                "must populate information for the given metric source",
            )


def _disruption_budget(
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    spec = new.get("spec") or {}
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        yield invalid_value(
            "spec",
            {k: spec[k] for k in ("minAvailable", "maxUnavailable")},
            "minAvailable and maxUnavailable cannot be both set",
        )
    for name in ("minAvailable", "maxUnavailable"):
        yield from validate_percent(spec.get(name), f"spec.{name}")


def _quota(
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    for name, value in ((new.get("spec") or {}).get("hard") or {}).items():
        if not is_quantity(value):
            yield invalid_value(f"spec.hard[{name}]", value, RULE)
        elif parse(value) < 0:
            yield invalid_value(f"spec.hard[{name}]", value, "must be greater than or equal to 0")


def _config(
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    """Validate key names of ConfigMap and Secret, `immutable`, and the Secret's type."""
    for name in {**(new.get("data") or {}), **(new.get("binaryData") or {})}:
        if not re.fullmatch(r"[-._a-zA-Z0-9]+", name) or len(name) > 253:
            yield invalid_value(
                f"data[{name}]",
                name,
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            )
    if live is None:
        return
    if live.get("type") != new.get("type"):
        yield invalid_value("type", new.get("type"), IMMUTABLE)
    if live.get("immutable"):
        for part in ("data", "binaryData", "immutable"):
            if live.get(part) != new.get(part):
                yield forbidden_field(part, "field is immutable when `immutable` is set")


def _binding(
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    if live is not None and live.get("roleRef") != new.get("roleRef"):
        yield invalid_value("roleRef", new.get("roleRef"), "cannot change roleRef")
    for index, subject in enumerate(new.get("subjects") or ()):
        if subject.get("kind") not in {"User", "Group", "ServiceAccount"}:
            yield unsupported(
                f"subjects[{index}].kind", subject.get("kind"), ["Group", "ServiceAccount", "User"]
            )
        elif subject["kind"] == "ServiceAccount" and not subject.get("namespace"):
            yield required(f"subjects[{index}].namespace")


def _claim(
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    spec = new["spec"]
    if not spec.get("accessModes"):
        yield required("spec.accessModes", "at least 1 access mode is required")
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if size is None:
        yield required("spec.resources[storage]")
    elif not is_quantity(size):
        yield invalid_value("spec.resources.requests.storage", size, RULE)
    if live is not None:
        for name in ("accessModes", "storageClassName", "volumeMode", "selector"):
            if live["spec"].get(name) != spec.get(name):
                yield forbidden_field(
                    "spec",
                    "spec is immutable after creation except resources.requests and "
                    "volumeAttributesClassName for bound claims",
                )
                return


def _storage_class(
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    for name in (
        ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode")
        if live is not None
        else ()
    ):
        if live is not None and live.get(name) != new.get(name):
            yield forbidden_field(name, f"updates to {name} are forbidden.")


_CHECKS = {
    "Service": validate_service,
    "HorizontalPodAutoscaler": _autoscaler,
    "PodDisruptionBudget": _disruption_budget,
    "Ingress": validate_ingress,
    "NetworkPolicy": validate_network_policy,
    "ResourceQuota": _quota,
    "ConfigMap": _config,
    "Secret": _config,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "PersistentVolumeClaim": _claim,
    "StorageClass": _storage_class,
}
