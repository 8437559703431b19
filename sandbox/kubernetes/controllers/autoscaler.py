"""HorizontalPodAutoscalers: replicas from the pods' use of CPU and memory, within the bounds.

Algorithm and defaults: kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale
("Algorithm details", "Default behavior").
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.kubernetes.apimachinery.quantities import parse
from sandbox.kubernetes.apimachinery.selectors import from_object, selects
from sandbox.kubernetes.apiserver.verbs import WriteOptions
from sandbox.kubernetes.controllers.context import (
    ControllerContext,
    condition,
    now,
    seconds_since,
    set_condition,
    terminating,
)
from sandbox.kubernetes.controllers.deployments import is_ready
from sandbox.kubernetes.storage.object_store import Json

_NO_METRICS = (
    "did not receive metrics for any ready pods; replicas are kept between minReplicas and "
    "maxReplicas"
)
_SYNC_SECONDS = 15.0
_START_SECONDS = 15.0
_TOLERANCE = 0.1
_STABILIZATION_SECONDS = 300.0
_MAX_ADDED_PODS = 4  # per sync, or twice the current number


@dataclass
class Recommendations:
    """The recommendations of one autoscaler, and the time of the next evaluation."""

    next_sync: float = 0.0
    history: list[tuple[float, int]] = field(default_factory=list)


def autoscalers(context: ControllerContext) -> None:
    """Scale the target of each autoscaler."""
    for item in context.list_objects("horizontalpodautoscalers.autoscaling"):
        if not terminating(item):
            _scale(context, item)


def _scale(context: ControllerContext, item: Json) -> None:
    reference = item["spec"]["scaleTargetRef"]
    kind = context.api.kinds.by_name(reference.get("apiVersion", ""), reference["kind"])
    target = None
    if kind is not None and "scale" in kind.subresources:
        target = context.get_object(
            kind.group_resource, item["metadata"]["namespace"], reference["name"]
        )
    status = item.get("status") or {}
    conditions = status.get("conditions") or []
    if kind is None or target is None:
        message = (
            "the HPA controller was unable to get the target's current scale: "
            f'{reference["kind"]} "{reference["name"]}" not found'
        )
        conditions = set_condition(conditions, "AbleToScale", "False", "FailedGetScale", message)
        context.update_status(item, {**status, "conditions": conditions})
        return
    current = int(target["spec"].get("replicas", 1))
    low, high = item["spec"]["minReplicas"], item["spec"]["maxReplicas"]
    metrics, proposed = _evaluate(context, item, target, current)
    replicas = current if current == 0 else min(max(proposed, low), high)
    if replicas != current:
        target["spec"]["replicas"] = replicas
        meta = target["metadata"]
        options = WriteOptions(manager="kube-controller-manager")
        context.api.update(kind, meta["namespace"], meta["name"], target, options, "scale")
        reason = (
            "Current number of replicas below Spec.MinReplicas"
            if current < low
            else "Current number of replicas above Spec.MaxReplicas"
            if current > high
            else f"resource utilization {'above' if replicas > current else 'below'} target"
        )
        message = f"New size: {replicas}; reason: {reason}"
        context.record_event(item, "SuccessfulRescale", message, "horizontal-pod-autoscaler")
    conditions = set_condition(
        conditions,
        "AbleToScale",
        "True",
        "SucceededGetScale",
        "the HPA controller was able to get the target's current scale",
    )
    active = ("True", "ValidMetricFound", "the HPA was able to compute a replica count")
    if not metrics:
        active = ("False", "FailedGetResourceMetric", _NO_METRICS)
    new: Json = {
        "currentReplicas": current,
        "desiredReplicas": replicas,
        "conditions": set_condition(conditions, "ScalingActive", *active),
        **({"currentMetrics": metrics} if metrics else {}),
    }
    if replicas != current:
        new["lastScaleTime"] = now()
    elif "lastScaleTime" in status:
        new["lastScaleTime"] = status["lastScaleTime"]
    context.update_status(item, new)


def _evaluate(
    context: ControllerContext, item: Json, target: Json, current: int
) -> tuple[list[Json], int]:
    """Return the current metrics and the proposed replicas; both unchanged between two syncs."""
    memory = context.recommendations.setdefault(item["metadata"]["uid"], Recommendations())
    metrics = list((item.get("status") or {}).get("currentMetrics") or ())
    moment = time.monotonic()
    if moment < memory.next_sync or current == 0:
        if metrics:
            context.requeue_after(memory.next_sync - moment)
        return metrics, current
    selected = [
        pod
        for pod in context.list_objects("pods", item["metadata"]["namespace"])
        if selects(from_object(target["spec"].get("selector")), pod)
    ]
    pods = [
        pod
        for pod in selected
        if is_ready(pod)
        # The use of CPU during its start says nothing about its load.
        and seconds_since(condition(pod, "Ready")["lastTransitionTime"]) >= _START_SECONDS
    ]
    usage = {pod["metadata"]["uid"]: context.pod_usage(pod["metadata"]["uid"]) for pod in pods}
    measured = [pod for pod in pods if usage[pod["metadata"]["uid"]]]
    if not measured:
        if selected or metrics:  # the end of a pod's start is no change that runs the controllers
            context.requeue_after(_START_SECONDS)
        return metrics, current
    memory.next_sync = moment + _SYNC_SECONDS
    context.requeue_after(_SYNC_SECONDS)
    metrics, proposals = [], []
    for metric in item["spec"].get("metrics") or ():
        if metric.get("type") == "Resource":
            status, ratio = _resource_metric(metric["resource"], measured, usage)
            metrics.append({"type": "Resource", "resource": status})
            within = abs(ratio - 1) <= _TOLERANCE
            proposals.append(current if within else math.ceil(len(measured) * ratio))
    proposed = max(proposals, default=current)
    memory.history = [
        (at, count) for at, count in memory.history if moment - at < _STABILIZATION_SECONDS
    ] + [(moment, proposed)]
    if proposed > current:
        return metrics, min(proposed, max(current + _MAX_ADDED_PODS, 2 * current))
    return metrics, min(current, max(count for _, count in memory.history))


def _resource_metric(
    resource: Mapping[str, Any],
    pods: Sequence[Json],
    usage: Mapping[str, Mapping[str, float]],
) -> tuple[Json, float]:
    """Return the metric's status, and its value relative to the target."""
    name, target = resource["name"], resource["target"]
    total = sum(usage[pod["metadata"]["uid"]].get(name, 0.0) for pod in pods)
    average = total / len(pods)
    current: Json = {"averageValue": _quantity(name, average)}
    if target.get("type") == "Utilization":
        requests = sum(
            float(parse(((c.get("resources") or {}).get("requests") or {}).get(name, "0")))
            for pod in pods
            for c in pod["spec"]["containers"]
        )
        percent = 100 * total / requests if requests else 0.0
        current["averageUtilization"] = int(percent)
        ratio = percent / target["averageUtilization"]
    else:
        ratio = average / float(parse(target["averageValue"]))
    return {"name": name, "current": current}, ratio


def _quantity(name: str, value: float) -> str:
    return f"{int(value * 1000)}m" if name == "cpu" else str(int(value))
