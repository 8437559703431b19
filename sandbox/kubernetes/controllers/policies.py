"""Controllers of disruption budgets, quotas and service accounts."""

from __future__ import annotations

from decimal import Decimal

from sandbox.kubernetes.admission import resource_quota
from sandbox.kubernetes.apimachinery.errors import ApiError
from sandbox.kubernetes.apimachinery.quantities import render
from sandbox.kubernetes.apimachinery.selectors import from_object, selects
from sandbox.kubernetes.controllers.context import (
    ControllerContext,
    set_condition,
    terminating,
)
from sandbox.kubernetes.controllers.deployments import is_ready, resolve_count


def disruption_budgets(context: ControllerContext) -> None:
    """Count the allowed disruptions of each budget."""
    for item in context.list_objects("poddisruptionbudgets.policy"):
        spec = item.get("spec") or {}
        pods = [
            p
            for p in context.list_objects("pods", item["metadata"]["namespace"])
            if selects(from_object(spec.get("selector")), p) and not terminating(p)
        ]
        expected, healthy = len(pods), sum(is_ready(p) for p in pods)
        if spec.get("maxUnavailable") is not None:
            desired = expected - resolve_count(spec["maxUnavailable"], expected, up=True)
        else:
            desired = resolve_count(spec.get("minAvailable", 1), expected, up=True)
        allowed = max(0, healthy - desired) if expected else 0
        old = (item.get("status") or {}).get("conditions") or []
        reason = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
        context.update_status(
            item,
            {
                "observedGeneration": item["metadata"].get("generation", 1),
                "expectedPods": expected,
                "currentHealthy": healthy,
                "desiredHealthy": max(0, desired),
                "disruptionsAllowed": allowed,
                "conditions": set_condition(old, "DisruptionAllowed", reason[0], reason[1], ""),
            },
        )


def quotas(context: ControllerContext) -> None:
    """Set the usage of each quota."""
    for item in context.list_objects("resourcequotas"):
        hard = item["spec"].get("hard") or {}
        used = {
            name: render(
                resource_quota.used(context.store, item["metadata"]["namespace"], name)
                or Decimal(0),
                name,
            )
            for name in hard
        }
        context.update_status(item, {"hard": hard, "used": used})


def service_accounts(context: ControllerContext) -> None:
    """Create the default service account of each namespace."""
    for item in context.list_objects("namespaces"):
        name = item["metadata"]["name"]
        if not terminating(item) and context.get_object("serviceaccounts", name, "default") is None:
            try:
                context.create("v1", "ServiceAccount", name, {"metadata": {"name": "default"}})
            except ApiError as error:
                if error.code not in {403, 404}:
                    raise
