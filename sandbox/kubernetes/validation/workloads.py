"""Validation of Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs and CronJobs."""

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
from sandbox.kubernetes.apimachinery.selectors import from_object, selects
from sandbox.kubernetes.validation import pod as pods
from sandbox.kubernetes.validation.metadata import validate_labels

IMMUTABLE = "field is immutable"


def _validate_not_negative(spec: Mapping[str, Any], *names: str) -> Iterator[Cause]:
    for name in names:
        value = spec.get(name)
        if isinstance(value, int) and value < 0:
            yield invalid_value(f"spec.{name}", value, "must be greater than or equal to 0")


def validate_workload(
    kind: str, spec: Mapping[str, Any], old: Mapping[str, Any] | None
) -> Iterator[Cause]:
    """Validate counts, selector, template, strategy and immutable fields."""
    yield from _validate_not_negative(
        spec, "replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"
    )
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    yield from validate_labels(labels, "spec.template.metadata.labels")
    requirements = from_object(spec.get("selector"))
    if requirements is not None:
        if not requirements:
            yield invalid_value(
                "spec.selector", {}, f"empty selector is invalid for {kind.lower()}"
            )
        elif not selects(requirements, {"metadata": {"labels": labels}}):
            yield invalid_value(
                "spec.template.metadata.labels",
                dict(labels),
                "`selector` does not match template `labels`",
            )
    pod = template.get("spec") or {}
    if pod.get("restartPolicy", "Always") != "Always":
        yield unsupported("spec.template.spec.restartPolicy", pod["restartPolicy"], ["Always"])
    yield from pods.validate_pod_spec(pod, "spec.template.spec")
    if old is not None and old.get("selector") != spec.get("selector"):
        yield invalid_value("spec.selector", spec.get("selector"), IMMUTABLE)
    if kind == "Deployment":
        yield from _strategy(spec.get("strategy") or {})
        if spec.get("progressDeadlineSeconds", 600) <= spec.get("minReadySeconds", 0):
            yield invalid_value(
                "spec.progressDeadlineSeconds",
                spec["progressDeadlineSeconds"],
                "must be greater than minReadySeconds",
            )
    if kind == "StatefulSet" and old is not None:
        free = {
            "replicas",
            "ordinals",
            "template",
            "updateStrategy",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
            "revisionHistoryLimit",
        }
        if any(
            spec.get(name) != old.get(name)
            for name in (spec.keys() | old.keys()) - free - {"selector"}
        ):
            yield forbidden_field(
                "spec",
                "updates to statefulset spec for fields other than 'replicas', 'ordinals', "
                "'template', 'updateStrategy', "
                "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
                "'minReadySeconds' are forbidden",
            )


def _strategy(strategy: Mapping[str, Any]) -> Iterator[Cause]:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind not in {"RollingUpdate", "Recreate"}:
        yield unsupported("spec.strategy.type", kind, ["Recreate", "RollingUpdate"])
    elif kind == "Recreate" and rolling is not None:
        yield forbidden_field(
            "spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"
        )
    elif rolling is not None:
        values = [rolling.get("maxSurge"), rolling.get("maxUnavailable")]
        for name, value in zip(("maxSurge", "maxUnavailable"), values, strict=True):
            yield from validate_percent(value, f"spec.strategy.rollingUpdate.{name}")
        if all(value in {0, "0%"} for value in values):
            yield invalid_value(
                "spec.strategy.rollingUpdate.maxUnavailable", 0, "may not be 0 when `maxSurge` is 0"
            )


def validate_percent(value: Any, path: str) -> Iterator[Cause]:
    """Validate a count or percentage."""
    if isinstance(value, str) and not re.fullmatch(r"\d+%", value):
        yield invalid_value(
            path,
            value,
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. "
            "'1%',  or '93%', regex used for validation is '[0-9]+%')",
        )
    elif isinstance(value, int) and value < 0:
        yield invalid_value(path, value, "must be greater than or equal to 0")


def validate_job(spec: Mapping[str, Any], old: Mapping[str, Any] | None) -> Iterator[Cause]:
    """Validate counts, template and immutable fields."""
    yield from _validate_not_negative(
        spec,
        "parallelism",
        "completions",
        "backoffLimit",
        "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
    )
    pod = (spec.get("template") or {}).get("spec") or {}
    if pod.get("restartPolicy") not in {"OnFailure", "Never"}:
        cause = unsupported(
            "spec.template.spec.restartPolicy", pod.get("restartPolicy"), ["OnFailure", "Never"]
        )
        yield (
            required("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
            if not pod.get("restartPolicy")
            else cause
        )
    yield from pods.validate_pod_spec(pod, "spec.template.spec")
    if old is not None:
        for name in ("template", "selector", "completionMode"):
            if old.get(name) != spec.get(name):
                yield invalid_value(f"spec.{name}", spec.get(name), IMMUTABLE)
        if (
            old.get("completions") != spec.get("completions")
            and spec.get("completionMode") != "Indexed"
        ):
            yield invalid_value("spec.completions", spec.get("completions"), IMMUTABLE)
