"""EventBridge rules whose target is a pipeline start an execution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sandbox.account.core import authorization
from sandbox.account.core.determinism import random_uuid
from sandbox.account.core.errors import AwsError
from sandbox.account.services import events
from sandbox.account.services.codepipeline import executions
from sandbox.contracts.pipeline_runner import ExecutionOrder

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext


def _start(
    context: RequestContext,
    rule: Any,
    target: Mapping[str, Any],
    content: Any,  # noqa: ARG001 - a pipeline gets no input
) -> None:
    """Start the target's pipeline if the target's role may; EventBridge reports no failure."""
    record = next(
        (r for r in context.table("codepipeline").values() if r["arn"] == target["Arn"]), None
    )
    if record is None or context.replaying:
        return
    action, role = "codepipeline:StartPipelineExecution", str(target.get("RoleArn"))
    if not authorization.role_allows(
        context,
        "events.amazonaws.com",
        role,
        rule.region_name,
        action,
        record["arn"],
        source_arn=str(rule.arn),
    ):
        return
    declared = record["versions"][-1].get("variables") or []
    order = ExecutionOrder(
        id=random_uuid(),
        pipeline_arn=record["arn"],
        trigger=("CloudWatchEvent", str(rule.arn)),
        variables={item["name"]: item.get("defaultValue", "") for item in declared},
    )
    try:
        executions.start(context, record, order)
    except AwsError:
        return


events.TARGETS["codepipeline"] = _start
