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
from sandbox.kubernetes.validation.configuration import (
    validate_binding,
    validate_config,
    validate_limit_range,
    validate_quota,
    validate_role,
)
from sandbox.kubernetes.validation.metadata import validate_metadata
from sandbox.kubernetes.validation.networking import (
    validate_ingress,
    validate_network_policy,
    validate_service,
)
from sandbox.kubernetes.validation.workloads import (
    IMMUTABLE,
    validate_cron_job,
    validate_job,
    validate_percent,
    validate_workload,
)

_MAX_PRIORITY = 1_000_000_000
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
        causes += validate_cron_job(spec)
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
        text = (
            "must specify at least one Object or External metric to support scaling to zero "
            "replicas"
        )
        yield forbidden_field("spec.metrics", text)
    if high < 1:
        yield invalid_value("spec.maxReplicas", high, "must be greater than 0")
    if high < low:
        yield invalid_value(
            "spec.maxReplicas", high, "must be greater than or equal to `minReplicas`"
        )
    for index, metric in enumerate(spec.get("metrics") or ()):
        kinds = ["ContainerResource", "External", "Object", "Pods", "Resource"]
        if metric.get("type") not in kinds:
            # Kubernetes reports it twice.
            yield unsupported(f"spec.metrics[{index}].type", metric.get("type"), kinds)
            yield unsupported(f"spec.metrics[{index}].type", metric.get("type"), kinds)
        elif not metric.get(metric["type"][0].lower() + metric["type"][1:]):
            yield required(
                f"spec.metrics[{index}].{metric['type'][0].lower() + metric['type'][1:]}",
                "must populate information for the given metric source",
            )
        elif metric["type"] == "Resource":
            target = metric["resource"].get("target") or {}
            if not {"averageUtilization", "averageValue"} & target.keys():
                yield required(
                    f"spec.metrics[{index}].resource.target.averageUtilization",
                    "must set either a target raw value or a target utilization",
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
    elif parse(size) <= 0:
        yield invalid_value("spec.resources[storage]", size, "must be greater than zero")
    modes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]
    for mode in spec.get("accessModes") or ():
        if mode not in modes:
            yield unsupported("spec.accessModes", mode, modes)
    if live is not None:
        bound = (live.get("status") or {}).get("phase") == "Bound"
        grown = ("resources",) if not bound else ()
        for name in ("accessModes", "storageClassName", "volumeMode", "selector", *grown):
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
    if new.get("volumeBindingMode") not in {"Immediate", "WaitForFirstConsumer"}:
        allowed = ["Immediate", "WaitForFirstConsumer"]
        yield unsupported("volumeBindingMode", new.get("volumeBindingMode"), allowed)
    if new.get("reclaimPolicy") not in {"Delete", "Retain"}:
        yield unsupported("reclaimPolicy", new.get("reclaimPolicy"), ["Delete", "Retain"])


def _priority_class(
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    name, value = new["metadata"].get("name", ""), new.get("value", 0)
    system = name in {"system-cluster-critical", "system-node-critical"}
    if name.startswith("system-") and not system:
        yield forbidden_field(
            "metadata.name",
            "priority class names with 'system-' prefix are reserved for system use only. error: "
            f"{name} is not a known system priority class",
        )
    elif value > _MAX_PRIORITY and not system:
        text = f"maximum allowed value of a user defined priority is {_MAX_PRIORITY}"
        yield forbidden_field("value", text)
    policy = new.get("preemptionPolicy")
    if policy not in {"PreemptLowerPriority", "Never"}:
        yield unsupported("preemptionPolicy", policy, ["PreemptLowerPriority", "Never"])
    if live is not None and live.get("value") != value:
        yield forbidden_field("value", "may not be changed in an update.")


def _ingress_class(
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    controller = (new.get("spec") or {}).get("controller", "")
    if not re.fullmatch(r"[^/]+\.[^/]+/.+", controller):
        text = 'must be a domain-prefixed path (such as "acme.io/foo")'
        yield invalid_value("spec.controller", controller, text)
    elif live is not None and (live.get("spec") or {}).get("controller") != controller:
        yield invalid_value("spec.controller", controller, IMMUTABLE)


def _definition(
    new: Mapping[str, Any], live: Mapping[str, Any] | None, state: ClusterState
) -> Iterator[Cause]:
    spec = new["spec"]
    name, plural = new["metadata"].get("name", ""), (spec.get("names") or {}).get("plural", "")
    if name != f"{plural}.{spec.get('group', '')}":
        yield invalid_value("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    versions = spec.get("versions") or []
    for index, version in enumerate(versions):
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            yield required(f"spec.versions[{index}].schema.openAPIV3Schema")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        text = "must have exactly one version marked as storage version"
        yield invalid_value("spec.versions", versions, text)
        text = "must have at least one stored version"
        yield invalid_value("status.storedVersions", None, text)


_CHECKS = {
    "Service": validate_service,
    "HorizontalPodAutoscaler": _autoscaler,
    "PodDisruptionBudget": _disruption_budget,
    "Ingress": validate_ingress,
    "NetworkPolicy": validate_network_policy,
    "ResourceQuota": validate_quota,
    "ConfigMap": validate_config,
    "Secret": validate_config,
    "RoleBinding": validate_binding,
    "ClusterRoleBinding": validate_binding,
    "PersistentVolumeClaim": _claim,
    "StorageClass": _storage_class,
    "PriorityClass": _priority_class,
    "IngressClass": _ingress_class,
    "CustomResourceDefinition": _definition,
    "LimitRange": validate_limit_range,
    "Role": validate_role,
    "ClusterRole": validate_role,
}
