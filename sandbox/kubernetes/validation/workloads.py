"""Validation of Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs and CronJobs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import available_timezones

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


def validate_workload(  # noqa: PLR0912 - one branch per rule
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
    if requirements is None or requirements:
        if not selects(requirements, {"metadata": {"labels": labels}}):
            yield invalid_value(
                "spec.template.metadata.labels",
                dict(labels) or None,
                "`selector` does not match template `labels`",
            )
    elif not requirements:
        yield invalid_value("spec.selector", {}, f"empty selector is invalid for {kind.lower()}")
    pod = template.get("spec") or {}
    if pod.get("restartPolicy", "Always") != "Always":
        yield unsupported("spec.template.spec.restartPolicy", pod["restartPolicy"], ["Always"])
    if kind != "DaemonSet" and pod.get("activeDeadlineSeconds") is not None:
        yield forbidden_field(
            "spec.template.spec.activeDeadlineSeconds",
            "activeDeadlineSeconds in ReplicaSet is not Supported",
        )
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
    strategy = (spec.get("updateStrategy") or {}).get("type")
    shown = {"Type": strategy, "RollingUpdate": None}
    if kind == "DaemonSet" and strategy not in {"RollingUpdate", "OnDelete"}:
        yield unsupported("spec.updateStrategy", shown, ["RollingUpdate", "OnDelete"])
    if kind == "StatefulSet":
        policy = spec.get("podManagementPolicy")
        if policy not in {"OrderedReady", "Parallel"}:
            text = "must be 'OrderedReady' or 'Parallel'"
            yield invalid_value("spec.podManagementPolicy", policy, text)
        if strategy not in {"RollingUpdate", "OnDelete"}:
            text = "must be 'RollingUpdate' or 'OnDelete'"
            yield invalid_value("spec.updateStrategy", shown, text)
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
        shown = {"Type": kind, "RollingUpdate": None}
        yield unsupported("spec.strategy", shown, ["Recreate", "RollingUpdate"])
    elif kind == "Recreate" and rolling is not None:
        yield forbidden_field(
            "spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"
        )
    elif rolling is not None:
        values = [rolling.get("maxSurge"), rolling.get("maxUnavailable")]
        for name, value in zip(("maxSurge", "maxUnavailable"), values, strict=True):
            field = f"spec.strategy.rollingUpdate.{name}"
            yield from validate_percent(value, field, limited=name == "maxUnavailable")
        if all(value in {0, "0%"} for value in values):
            yield invalid_value(
                "spec.strategy.rollingUpdate.maxUnavailable", 0, "may not be 0 when `maxSurge` is 0"
            )


def validate_percent(value: Any, path: str, *, limited: bool = True) -> Iterator[Cause]:
    """Validate a count or percentage; a `limited` one is at most 100%."""
    if isinstance(value, str) and not re.fullmatch(r"\d+%", value):
        yield invalid_value(
            path,
            value,
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. "
            "'1%',  or '93%', regex used for validation is '[0-9]+%')",
        )
    elif isinstance(value, str) and limited and int(value[:-1]) > 100:
        yield invalid_value(path, value, "must not be greater than 100%")
    elif isinstance(value, int) and value < 0:
        yield invalid_value(path, value, "must be greater than or equal to 0")


_CONCURRENCY = ["Allow", "Forbid", "Replace"]
# Minute, hour, day of month, month, day of week.
_SCHEDULE_LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def validate_cron_job(spec: Mapping[str, Any]) -> Iterator[Cause]:
    """Validate schedule, time zone, policy and template."""
    schedule = str(spec.get("schedule", ""))
    problem = "" if schedule.startswith("@") else _schedule_problem(schedule)
    if problem:
        yield invalid_value("spec.schedule", schedule, problem)
    zone = spec.get("timeZone")
    if zone and zone not in available_timezones():
        yield invalid_value("spec.timeZone", zone, f"unknown time zone {zone}")
    policy = spec.get("concurrencyPolicy")
    if policy not in _CONCURRENCY:
        yield unsupported("spec.concurrencyPolicy", policy, _CONCURRENCY)
    yield from pods.validate_pod_spec(
        spec["jobTemplate"]["spec"]["template"].get("spec") or {},
        "spec.jobTemplate.spec.template.spec",
    )


def _schedule_problem(schedule: str) -> str:
    fields = schedule.split()
    if len(fields) != len(_SCHEDULE_LIMITS):
        return f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]"
    for text, (low, high) in zip(fields, _SCHEDULE_LIMITS, strict=True):
        for number in map(int, re.findall(r"\d+", text.partition("/")[0])):
            if number > high:
                return f"end of range ({number}) above maximum ({high}): {text}"
            if number < low:
                return f"beginning of range ({number}) below minimum ({low}): {text}"
    return ""


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
    mode = spec.get("completionMode")
    if mode not in {"NonIndexed", "Indexed"}:
        yield unsupported("spec.completionMode", mode, ["NonIndexed", "Indexed"])
    if mode == "Indexed" and spec.get("completions") is None:
        yield required("spec.completions", "when completion mode is Indexed")
    # The default of a pod, Always, counts as no value.
    if pod.get("restartPolicy", "Always") == "Always":
        yield required("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
    yield from pods.validate_pod_spec(pod, "spec.template.spec")
    if old is not None:
        requirements = from_object(spec.get("selector"))
        labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
        for _ in range(2):  # Kubernetes reports both twice
            if requirements is None:
                yield required("spec.selector")
            if not selects(requirements, {"metadata": {"labels": labels}}):
                text = "`selector` does not match template `labels`"
                yield invalid_value("spec.template.metadata.labels", labels, text)
        if (
            old.get("completions") != spec.get("completions")
            and spec.get("completionMode") != "Indexed"
        ):
            yield invalid_value("spec.completions", spec.get("completions"), IMMUTABLE)
        for name in ("selector", "template", "completionMode"):
            if old.get(name) != spec.get(name):
                yield invalid_value(f"spec.{name}", spec.get(name), IMMUTABLE)
