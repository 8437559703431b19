"""CodePipeline: executions, which the pipeline runner runs.

Nothing here is in the account's journal: executions have their own records, and a replay must not
start them again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sandbox.account.core.determinism import random_uuid
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import implements
from sandbox.account.services.codepipeline import pipelines
from sandbox.account.services.sts.tokens import caller
from sandbox.contracts.pipeline_runner import ExecutionOrder, PipelineRefusalError

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext
    from sandbox.account.core.wire import Call

T = TypeVar("T")
# Source: CodePipeline User Guide, "Quotas": executions in QUEUED and PARALLEL mode.
_MAXIMUM_LIVE = 50
_LIVE = {"InProgress", "Stopping"}


def reconcile(context: RequestContext) -> None:
    """Report the pipelines to the runner after a replay of the journal."""
    context.pipelines.reconcile(
        [pipelines.facts(record) for record in context.table("codepipeline").values()]
    )


def _ask(request: Callable[[], T]) -> T:
    try:
        return request()
    except PipelineRefusalError as error:
        raise AwsError(error.code, error.message) from None


def _page(call: Call, items: Sequence[Any], name: str, largest: int = 100) -> dict[str, Any]:
    try:
        start = int(call.get("nextToken") or 0)
    except ValueError:
        raise AwsError(
            "InvalidNextTokenException", f"The next token '{call['nextToken']}' is not valid"
        ) from None
    end = start + min(call.get("maxResults") or largest, largest)
    page: dict[str, Any] = {name: list(items[start:end])}
    return {**page, "nextToken": str(end)} if end < len(items) else page


@implements("codepipeline", "StartPipelineExecution", journaled=False)
def start_pipeline_execution(context: RequestContext, call: Call) -> dict[str, Any]:
    """Start an execution; a repeated clientRequestToken returns the first one's ID."""
    record = pipelines.find(context, call, call["name"])
    token = call.get("clientRequestToken")
    unique = random_uuid()
    if token:
        unique = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{record['arn']}/{token}"))
    if context.replaying:  # a journal from before executions had their own records
        return {"pipelineExecutionId": unique}
    order = ExecutionOrder(
        id=unique,
        pipeline_arn=record["arn"],
        trigger=("StartPipelineExecution", caller(context, call.access_key)),
        variables=_variables(record, call),
        revisions=_revisions(record, call),
    )
    start(context, record, order)
    return {"pipelineExecutionId": unique}


def start(context: RequestContext, record: Record, order: ExecutionOrder) -> None:
    """Start an execution. Raises AwsError if too many wait or run."""
    live = [item for item in context.pipelines.executions(record["arn"]) if item["status"] in _LIVE]
    if len(live) >= _MAXIMUM_LIVE and record["versions"][-1]["executionMode"] != "SUPERSEDED":
        text = f"The pipeline has {_MAXIMUM_LIVE} executions in progress, which is the maximum"
        raise AwsError("ConcurrentPipelineExecutionsLimitExceededException", text)
    _ask(lambda: context.pipelines.start(order))


def _variables(record: Record, call: Call) -> dict[str, str]:
    values = {variable["name"]: variable["value"] for variable in call.get("variables") or []}
    declared = {
        variable["name"]: variable.get("defaultValue")
        for variable in record["versions"][-1].get("variables") or []
    }
    unknown = set(values) - set(declared)
    if unknown:
        raise AwsError(
            "ValidationException", f"The pipeline has no variables {', '.join(sorted(unknown))}"
        )
    lacking = [name for name, default in declared.items() if default is None and name not in values]
    if lacking:
        raise AwsError(
            "ValidationException",
            f"The pipeline's variables {', '.join(lacking)} have no default and need a value",
        )
    return {name: str(values.get(name, default)) for name, default in declared.items()}


def _revisions(record: Record, call: Call) -> dict[str, str]:
    revisions = {
        item["actionName"]: item["revisionValue"] for item in call.get("sourceRevisions") or []
    }
    actions = {action["name"] for action in record["versions"][-1]["stages"][0]["actions"]}
    unknown = sorted(set(revisions) - actions)
    if unknown:
        raise AwsError("ValidationException", f"The pipeline has no source action '{unknown[0]}'")
    return revisions


@implements("codepipeline", "GetPipelineExecution")
def get_pipeline_execution(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return an execution."""
    arn = pipelines.find(context, call, call["pipelineName"])["arn"]
    execution = _ask(lambda: context.pipelines.execution(arn, call["pipelineExecutionId"]))
    return {"pipelineExecution": dict(execution)}


@implements("codepipeline", "ListPipelineExecutions")
def list_pipeline_executions(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return a pipeline's executions, newest first."""
    arn = pipelines.find(context, call, call["pipelineName"])["arn"]
    stage = ((call.get("filter") or {}).get("succeededInStage") or {}).get("stageName") or ""
    executions = _ask(lambda: context.pipelines.executions(arn, stage))
    return _page(call, executions, "pipelineExecutionSummaries")


def _execution_filter(call: Call) -> str:
    conditions = call.get("filter") or {}
    latest = conditions.get("latestInPipelineExecution") or {}
    return str(conditions.get("pipelineExecutionId") or latest.get("pipelineExecutionId") or "")


@implements("codepipeline", "ListActionExecutions")
def list_action_executions(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the executions of actions, newest first."""
    arn = pipelines.find(context, call, call["pipelineName"])["arn"]
    details = _ask(lambda: context.pipelines.action_executions(arn, _execution_filter(call)))
    return _page(call, details, "actionExecutionDetails")


@implements("codepipeline", "ListRuleExecutions")
def list_rule_executions(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the executions of rules, newest first."""
    arn = pipelines.find(context, call, call["pipelineName"])["arn"]
    details = _ask(lambda: context.pipelines.rule_executions(arn, _execution_filter(call)))
    return _page(call, details, "ruleExecutionDetails")


@implements("codepipeline", "GetPipelineState")
def get_pipeline_state(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the stages with their transitions and latest executions."""
    record = pipelines.find(context, call, call["name"])
    pipeline = record["versions"][-1]
    by_name = _ask(lambda: context.pipelines.stage_states(record["arn"]))
    states = []
    for index, stage in enumerate(pipeline["stages"]):
        state = dict(by_name[stage["name"]])
        if index:
            disabled = record["disabled"].get(stage["name"])
            state["inboundTransitionState"] = {"enabled": disabled is None, **(disabled or {})}
        states.append(state)
    return {
        "pipelineName": pipeline["name"],
        "pipelineVersion": pipeline["version"],
        "stageStates": states,
        "created": record["created"],
        "updated": record["updated"],
    }


@implements("codepipeline", "StopPipelineExecution", journaled=False)
def stop_pipeline_execution(context: RequestContext, call: Call) -> dict[str, Any]:
    """Stop an execution."""
    arn, id = (
        pipelines.find(context, call, call["pipelineName"])["arn"],
        call["pipelineExecutionId"],
    )
    if not context.replaying:
        _ask(
            lambda: context.pipelines.stop(
                arn, id, abandon=bool(call.get("abandon")), reason=call.get("reason") or ""
            )
        )
    return {"pipelineExecutionId": id}


@implements("codepipeline", "PutApprovalResult", journaled=False)
def put_approval_result(context: RequestContext, call: Call) -> dict[str, Any]:
    """Approve or reject a waiting action."""
    record = pipelines.find(context, call, call["pipelineName"])
    stage = pipelines.stage_name(record, call)
    declaration = next(s for s in record["versions"][-1]["stages"] if s["name"] == stage)
    if call["actionName"] not in {action["name"] for action in declaration["actions"]}:
        raise AwsError(
            "ActionNotFoundException", f"Stage '{stage}' has no action '{call['actionName']}'"
        )
    _ask(
        lambda: context.pipelines.put_approval(
            record["arn"],
            stage,
            call["actionName"],
            token=call["token"],
            approved=call["result"]["status"] == "Approved",
            summary=call["result"]["summary"],
            by=caller(context, call.access_key),
        )
    )
    return {"approvedAt": context.clock.now()}


@implements("codepipeline", "RetryStageExecution", journaled=False)
def retry_stage_execution(context: RequestContext, call: Call) -> dict[str, Any]:
    """Retry the failed stage of an execution."""
    record = pipelines.find(context, call, call["pipelineName"])
    stage, id = pipelines.stage_name(record, call), call["pipelineExecutionId"]
    _ask(lambda: context.pipelines.retry(record["arn"], stage, id, mode=call["retryMode"]))
    return {"pipelineExecutionId": id}


@implements("codepipeline", "RollbackStage", journaled=False)
def roll_back_stage(context: RequestContext, call: Call) -> dict[str, Any]:
    """Start an execution that repeats the stage of an earlier one."""
    record, id = pipelines.find(context, call, call["pipelineName"]), random_uuid()
    stage, target = pipelines.stage_name(record, call), call["targetPipelineExecutionId"]
    _ask(lambda: context.pipelines.roll_back(record["arn"], stage, target, id))
    return {"pipelineExecutionId": id}


@implements("codepipeline", "OverrideStageCondition", journaled=False)
def override_stage_condition(context: RequestContext, call: Call) -> dict[str, Any]:
    """Continue an execution that a condition has failed."""
    record = pipelines.find(context, call, call["pipelineName"])
    stage, id = pipelines.stage_name(record, call), call["pipelineExecutionId"]
    _ask(
        lambda: context.pipelines.override_condition(
            record["arn"], stage, id, call["conditionType"]
        )
    )
    return {}
