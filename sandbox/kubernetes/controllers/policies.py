"""Controllers that only look and count: autoscalers (to their limits), disruption budgets, quotas, service accounts."""

from __future__ import annotations

from decimal import Decimal

from sandbox.kubernetes.admission import resource_quota
from sandbox.kubernetes.apimachinery.errors import ApiError
from sandbox.kubernetes.apimachinery.quantities import render
from sandbox.kubernetes.apimachinery.selectors import from_object, selects
from sandbox.kubernetes.apiserver.verbs import Write
from sandbox.kubernetes.controllers.context import Work, now, set_condition, terminating
from sandbox.kubernetes.controllers.deployments import count_of, is_ready
from sandbox.kubernetes.storage.object_store import Json

_NO_METRICS = "the sandbox has no metrics: the number of replicas is only kept between minReplicas and maxReplicas"


def autoscalers(work: Work) -> None:
    """Keep the replicas of every target between its autoscaler's bounds."""
    for item in work.listed("horizontalpodautoscalers.autoscaling"):
        if terminating(item):
            continue
        reference = item["spec"]["scaleTargetRef"]
        kind = work.api.kinds.named(reference.get("apiVersion", ""), reference["kind"])
        target = None
        if kind is not None and "scale" in kind.subresources:
            target = work.named(kind.qualified, item["metadata"]["namespace"], reference["name"])
        old = (item.get("status") or {}).get("conditions") or []
        if kind is None or target is None:
            message = f'the HPA controller was unable to get the target\'s current scale: {reference["kind"]} "{reference["name"]}" not found'
            work.status(
                item,
                {
                    **(item.get("status") or {}),
                    "conditions": set_condition(old, "AbleToScale", "False", "FailedGetScale", message),
                },
            )
            continue
        current = target["spec"].get("replicas", 1)
        low, high = item["spec"]["minReplicas"], item["spec"]["maxReplicas"]
        wanted = current if current == 0 else min(max(current, low), high)
        if wanted != current:
            target["spec"]["replicas"] = wanted
            how = Write(manager="kube-controller-manager")
            work.api.update(kind, target["metadata"]["namespace"], target["metadata"]["name"], target, how, "scale")
            reason = (
                "Current number of replicas below Spec.MinReplicas"
                if current < low
                else "Current number of replicas above Spec.MaxReplicas"
            )
            work.event(item, "SuccessfulRescale", f"New size: {wanted}; reason: {reason}", "horizontal-pod-autoscaler")
        conditions = set_condition(
            old,
            "AbleToScale",
            "True",
            "SucceededGetScale",
            "the HPA controller was able to get the target's current scale",
        )
        conditions = set_condition(conditions, "ScalingActive", "False", "FailedGetResourceMetric", _NO_METRICS)
        status: Json = {"currentReplicas": current, "desiredReplicas": wanted, "conditions": conditions}
        if wanted != current:
            status["lastScaleTime"] = now()
        elif "lastScaleTime" in (item.get("status") or {}):
            status["lastScaleTime"] = item["status"]["lastScaleTime"]
        work.status(item, status)


def disruption_budgets(work: Work) -> None:
    """Count how many pods of each budget may go."""
    for item in work.listed("poddisruptionbudgets.policy"):
        spec = item.get("spec") or {}
        pods = [
            p for p in work.listed("pods", item["metadata"]["namespace"])
            if selects(from_object(spec.get("selector")), p) and not terminating(p)
        ]  # fmt: skip
        expected, healthy = len(pods), sum(is_ready(p) for p in pods)
        if spec.get("maxUnavailable") is not None:
            desired = expected - count_of(spec["maxUnavailable"], expected, up=True)
        else:
            desired = count_of(spec.get("minAvailable", 1), expected, up=True)
        allowed = max(0, healthy - desired) if expected else 0
        old = (item.get("status") or {}).get("conditions") or []
        reason = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
        work.status(
            item,
            {
                "observedGeneration": item["metadata"].get("generation", 1), "expectedPods": expected,
                "currentHealthy": healthy, "desiredHealthy": max(0, desired), "disruptionsAllowed": allowed,
                "conditions": set_condition(old, "DisruptionAllowed", reason[0], reason[1], ""),
            },
        )  # fmt: skip


def quotas(work: Work) -> None:
    """Write what each quota's namespace uses."""
    for item in work.listed("resourcequotas"):
        hard = item["spec"].get("hard") or {}
        used = {
            name: render(resource_quota.used(work.store, item["metadata"]["namespace"], name) or Decimal(0), name)
            for name in hard
        }
        work.status(item, {"hard": hard, "used": used})


def service_accounts(work: Work) -> None:
    """Give every namespace its default service account."""
    for item in work.listed("namespaces"):
        name = item["metadata"]["name"]
        if not terminating(item) and work.named("serviceaccounts", name, "default") is None:
            try:
                work.create("v1", "ServiceAccount", name, {"metadata": {"name": "default"}})
            except ApiError as error:
                if error.code not in {403, 404}:
                    raise
