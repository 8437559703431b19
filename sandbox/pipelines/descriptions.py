"""Records of executions in the shapes of CodePipeline's API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.pipelines.records import ActionRun, Condition, Execution, RuleRun, StageRun

_Shape = dict[str, Any]
_CONDITION_KEYS: dict[Condition, str] = {
    "beforeEntry": "beforeEntryConditionState",
    "onSuccess": "onSuccessConditionState",
    "onFailure": "onFailureConditionState",
}


def _present(**fields: Any) -> _Shape:
    return {name: value for name, value in fields.items() if value not in (None, "", {})}


def _common(execution: Execution) -> _Shape:
    trigger, detail = execution.trigger
    return _present(
        pipelineExecutionId=execution.id,
        status=execution.status,
        statusSummary=execution.summary,
        trigger={"triggerType": trigger, "triggerDetail": detail},
        executionMode=execution.mode,
        executionType="ROLLBACK" if execution.is_rollback else "STANDARD",
        rollbackMetadata=_present(rollbackTargetPipelineExecutionId=execution.rollback_target),
    )


def execution(execution: Execution) -> _Shape:
    """Return a PipelineExecution."""
    return {
        **_common(execution),
        "pipelineName": execution.pipeline,
        "pipelineVersion": execution.version,
        "artifactRevisions": [
            _present(
                name=_output_name(execution, action),
                revisionId=revision.id,
                revisionSummary=revision.summary,
                revisionUrl=revision.url,
            )
            for action, revision in execution.revisions.items()
        ],
        "variables": [
            {"name": name, "resolvedValue": value} for name, value in execution.variables.items()
        ],
    }


def execution_summary(execution: Execution) -> _Shape:
    """Return a PipelineExecutionSummary."""
    return {
        **_common(execution),
        "startTime": execution.started,
        "lastUpdateTime": execution.updated,
        "sourceRevisions": [
            _present(
                actionName=action,
                revisionId=revision.id,
                revisionSummary=revision.summary,
                revisionUrl=revision.url,
            )
            for action, revision in execution.revisions.items()
        ],
        **_present(stopTrigger=_present(reason=execution.stop_reason)),
    }


def action_execution(execution: Execution, stage: StageRun, run: ActionRun) -> _Shape:
    """Return ActionExecutionDetails."""
    declaration = _declaration(execution, stage.name, run.name)
    return {
        "pipelineExecutionId": execution.id,
        "actionExecutionId": run.id,
        "pipelineVersion": execution.version,
        "stageName": stage.name,
        "actionName": run.name,
        "startTime": run.started,
        "lastUpdateTime": run.updated,
        "status": run.status,
        **_present(updatedBy=run.updated_by),
        "input": _present(
            actionTypeId=declaration["actionTypeId"],
            configuration=declaration.get("configuration"),
            resolvedConfiguration=run.configuration,
            roleArn=declaration.get("roleArn"),
            region=execution.region,
            namespace=declaration.get("namespace"),
            inputArtifacts=_artifacts(run.inputs) or None,
        ),
        "output": _present(
            outputArtifacts=_artifacts(run.outputs) or None,
            outputVariables=run.variables,
            executionResult=_present(
                externalExecutionId=run.external_id,
                externalExecutionSummary=run.summary,
                externalExecutionUrl=run.external_url,
                errorDetails=_present(code=run.error_code, message=run.error_message),
                logStreamARN=run.log_stream,
            ),
        ),
    }


def rule_execution(execution: Execution, stage: StageRun, run: RuleRun) -> _Shape:
    """Return RuleExecutionDetails."""
    declaration = next(
        rule
        for item in (execution.declaration(stage.name).get(run.condition) or {})["conditions"]
        for rule in item["rules"]
        if rule["name"] == run.name
    )
    error = {"code": "RuleFailed", "message": run.message} if run.status == "Failed" else {}
    return {
        "pipelineExecutionId": execution.id,
        "ruleExecutionId": run.id,
        "pipelineVersion": execution.version,
        "stageName": stage.name,
        "ruleName": run.name,
        "startTime": run.started,
        "lastUpdateTime": run.updated,
        "status": run.status,
        "input": _present(
            ruleTypeId=declaration["ruleTypeId"],
            configuration=declaration.get("configuration"),
            resolvedConfiguration=run.configuration,
            roleArn=declaration.get("roleArn"),
            region=execution.region,
        ),
        "output": {
            "executionResult": _present(
                externalExecutionId=run.external_id,
                externalExecutionSummary="" if error else run.message,
                errorDetails=error,
            )
        },
    }


def stage_state(
    declaration: Mapping[str, Any], executions: Sequence[Execution], waiting: Sequence[Execution]
) -> _Shape:
    """Return a StageState without its transition; executions are newest first."""
    name = declaration["name"]
    entered = [(item, run) for item in executions if (run := item.run_of(name)) is not None]
    inside = [pair for pair in entered if pair[0].stage == name and pair[0].inside]
    state: _Shape = {"stageName": name}
    if waiting:
        state["inboundExecutions"] = [_stage_execution(item, "InProgress") for item in waiting]
        state["inboundExecution"] = state["inboundExecutions"][0]
    if entered:
        execution, run = (inside or entered)[0]
        status = "Stopping" if execution.status == "Stopping" and inside else run.status
        state["latestExecution"] = _stage_execution(execution, status)
        for condition, key in _CONDITION_KEYS.items():
            if condition in run.conditions:
                state[key] = _condition_state(run, condition)
        if run.retry_trigger:
            state["retryStageMetadata"] = {
                "autoStageRetryAttempt": run.automatic_retries,
                "manualStageRetryAttempt": run.manual_retries,
                "latestRetryTrigger": run.retry_trigger,
            }
    runs = [run for _, run in (*inside, *entered)]
    state["actionStates"] = [
        _action_state(
            action["name"],
            next((last for run in runs if (last := run.latest(action["name"]))), None),
            executions,
        )
        for action in declaration["actions"]
    ]
    return state


def _stage_execution(execution: Execution, status: str) -> _Shape:
    kind = "ROLLBACK" if execution.is_rollback else "STANDARD"
    return {"pipelineExecutionId": execution.id, "status": status, "type": kind}


def _condition_state(run: StageRun, condition: Condition) -> _Shape:
    status = run.conditions[condition]
    rules = {rule.name: rule for rule in run.rules if rule.condition == condition}
    states = [
        {
            "ruleName": rule.name,
            "latestExecution": _present(
                ruleExecutionId=rule.id,
                status=rule.status,
                summary=rule.message,
                lastStatusChange=rule.updated,
            ),
        }
        for rule in rules.values()
    ]
    latest = {"status": status}
    return {
        "latestExecution": latest,
        "conditionStates": [{"latestExecution": latest, "ruleStates": states}],
    }


def _action_state(name: str, run: ActionRun | None, executions: Sequence[Execution]) -> _Shape:
    state: _Shape = {"actionName": name}
    if run is None:
        return state
    state["latestExecution"] = _present(
        actionExecutionId=run.id,
        status=run.status,
        summary=run.summary,
        lastStatusChange=run.updated,
        token=run.token,
        lastUpdatedBy=run.updated_by,
        externalExecutionId=run.external_id,
        externalExecutionUrl=run.external_url,
        errorDetails=_present(code=run.error_code, message=run.error_message),
        logStreamARN=run.log_stream,
    )
    if run.external_url:
        state["entityUrl"] = run.external_url
    revision = next((item.revisions[name] for item in executions if name in item.revisions), None)
    if revision is not None:
        state["currentRevision"] = {
            "revisionId": revision.id,
            "revisionChangeId": revision.id,
            "created": run.updated,
        }
    return state


def _artifacts(artifacts: Mapping[str, Any]) -> list[_Shape]:
    return [
        {"name": name, "s3location": {"bucket": item.bucket, "key": item.key}}
        for name, item in artifacts.items()
    ]


def _declaration(execution: Execution, stage: str, action: str) -> Mapping[str, Any]:
    actions = execution.declaration(stage)["actions"]
    declaration: Mapping[str, Any] = next(item for item in actions if item["name"] == action)
    return declaration


def _output_name(execution: Execution, action: str) -> str:
    for stage in execution.definition["stages"]:
        for item in stage["actions"]:
            if item["name"] == action and item.get("outputArtifacts"):
                return str(item["outputArtifacts"][0]["name"])
    return action
