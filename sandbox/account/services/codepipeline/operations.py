"""CodePipeline: pipelines with versions, state, transitions and executions.

Nothing runs executions yet: an execution stays InProgress, and its statusSummary says so.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends
from sandbox.account.core.determinism import random_uuid
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import OWN_SERVICES, Item, implements, lists
from sandbox.account.core.wire import ACCOUNT_ID
from sandbox.account.services.codepipeline import validation

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext
    from sandbox.account.core.wire import Call

OWN_SERVICES.add("codepipeline")
WAITING = "Waiting for a pipeline runner; the sandbox has none yet."
_ENDED = {"Succeeded", "Failed", "Stopped", "Superseded", "Cancelled"}


def _find(context: RequestContext, call: Call, name: str) -> Record:
    pipeline = context.table("codepipeline").get((call.region, name))
    if pipeline is None:
        text = f"Account '{ACCOUNT_ID}' does not have a pipeline with name '{name}'"
        raise AwsError("PipelineNotFoundException", text)
    return pipeline


def _complete(definition: dict[str, Any]) -> dict[str, Any]:
    pipeline = copy.deepcopy(definition)
    pipeline.setdefault("pipelineType", "V1")
    pipeline.setdefault("executionMode", "SUPERSEDED")
    for stage in pipeline["stages"]:
        for action in stage["actions"]:
            action.setdefault("runOrder", 1)
            for name, empty in (
                ("configuration", {}),
                ("inputArtifacts", []),
                ("outputArtifacts", []),
            ):
                action.setdefault(name, empty)
    return pipeline


def _check(context: RequestContext, pipeline: dict[str, Any]) -> None:
    validation.check(pipeline)
    roles = [
        pipeline["roleArn"],
        *(a["roleArn"] for s in pipeline["stages"] for a in s["actions"] if a.get("roleArn")),
    ]
    for index, arn in enumerate(roles):
        role = moto_backends.role(context, arn)
        if role is None or (
            index == 0 and not moto_backends.trusts(role, "codepipeline.amazonaws.com")
        ):
            text = f"CodePipeline is not authorized to perform AssumeRole on role {arn}"
            raise AwsError("InvalidStructureException", text)
    stores = (
        [pipeline["artifactStore"]]
        if pipeline.get("artifactStore")
        else list(pipeline["artifactStores"].values())
    )
    for store in stores:
        if store["location"] not in context.backend("s3").buckets:
            text = f"The artifact store bucket {store['location']} doesn't exist"
            raise AwsError("InvalidStructureException", text)


@implements("codepipeline", "CreatePipeline")
def create_pipeline(context: RequestContext, call: Call) -> dict[str, Any]:
    """Create a pipeline. On AWS it starts an execution; here executions start on request."""
    pipeline = _complete(call["pipeline"])
    name, key = pipeline["name"], (call.region, pipeline["name"])
    if key in context.table("codepipeline"):
        text = f"A pipeline with the name '{name}' already exists in account '{ACCOUNT_ID}'"
        raise AwsError("PipelineNameInUseException", text)
    _check(context, pipeline)
    pipeline["version"] = 1
    now = context.clock.now()
    context.table("codepipeline")[key] = {
        "versions": [pipeline],
        "arn": f"arn:aws:codepipeline:{call.region}:{ACCOUNT_ID}:{name}",
        "created": now,
        "updated": now,
        "tags": {tag["key"]: tag["value"] for tag in call.get("tags") or []},
        "disabled": {},
    }
    return {"pipeline": pipeline, "tags": call.get("tags") or []}


@implements("codepipeline", "UpdatePipeline")
def update_pipeline(context: RequestContext, call: Call) -> dict[str, Any]:
    """Create a new version of a pipeline."""
    record = _find(context, call, call["pipeline"]["name"])
    pipeline = _complete(call["pipeline"])
    _check(context, pipeline)
    pipeline["version"] = len(record["versions"]) + 1
    record["versions"].append(pipeline)
    record["updated"] = context.clock.now()
    return {"pipeline": pipeline}


@implements("codepipeline", "GetPipeline")
def get_pipeline(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return a pipeline or one of its versions."""
    record = _find(context, call, call["name"])
    version = call.get("version") or len(record["versions"])
    if version > len(record["versions"]):
        text = f"Pipeline '{call['name']}' has no version {version}"
        raise AwsError("PipelineVersionNotFoundException", text)
    metadata = {
        "pipelineArn": record["arn"],
        "created": record["created"],
        "updated": record["updated"],
    }
    return {"pipeline": record["versions"][version - 1], "metadata": metadata}


@implements("codepipeline", "ListPipelines")
def list_pipelines(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the region's pipelines."""
    summaries = []
    for key, record in context.table("codepipeline").items():
        if key[0] == call.region:
            current = record["versions"][-1]
            shown = {
                name: current[name] for name in ("name", "version", "pipelineType", "executionMode")
            }
            summaries.append({**shown, "created": record["created"], "updated": record["updated"]})
    return {"pipelines": summaries}


@implements("codepipeline", "DeletePipeline")
def delete_pipeline(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete a pipeline with its executions; a missing one is no error."""
    context.table("codepipeline").pop((call.region, call["name"]), None)
    executions = context.table("codepipeline.execution")
    for key in [key for key in executions if key[:2] == (call.region, call["name"])]:
        del executions[key]
    return {}


@implements("codepipeline", "StartPipelineExecution")
def start_pipeline_execution(context: RequestContext, call: Call) -> dict[str, Any]:
    """Record an execution."""
    record = _find(context, call, call["name"])
    pipeline = record["versions"][-1]
    values = {variable["name"]: variable["value"] for variable in call.get("variables") or []}
    declared = {
        variable["name"]: variable.get("defaultValue")
        for variable in pipeline.get("variables") or []
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
    execution = random_uuid()
    context.table("codepipeline.execution")[call.region, call["name"], execution] = {
        "pipelineName": call["name"],
        "pipelineVersion": pipeline["version"],
        "pipelineExecutionId": execution,
        "status": "InProgress",
        "statusSummary": WAITING,
        "artifactRevisions": [],
        "sourceRevisions": [],
        "variables": [
            {"name": n, "resolvedValue": values.get(n, default)} for n, default in declared.items()
        ],
        "trigger": {
            "triggerType": "StartPipelineExecution",
            "triggerDetail": moto_backends.CALLER_ARN,
        },
        "executionMode": pipeline["executionMode"],
        "executionType": "STANDARD",
        "startTime": context.clock.now(),
        "lastUpdateTime": context.clock.now(),
    }
    return {"pipelineExecutionId": execution}


def _execution(context: RequestContext, call: Call) -> Record:
    _find(context, call, call["pipelineName"])
    key = (call.region, call["pipelineName"], call["pipelineExecutionId"])
    execution = context.table("codepipeline.execution").get(key)
    if execution is None:
        text = f"The pipeline execution ID '{key[2]}' doesn't exist in pipeline '{key[1]}'"
        raise AwsError("PipelineExecutionNotFoundException", text)
    return execution


@implements("codepipeline", "GetPipelineExecution")
def get_pipeline_execution(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return an execution."""
    return {"pipelineExecution": _execution(context, call)}


@implements("codepipeline", "ListPipelineExecutions")
def list_pipeline_executions(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return a pipeline's executions, newest first."""
    _find(context, call, call["pipelineName"])
    key = (call.region, call["pipelineName"])
    executions = [r for k, r in context.table("codepipeline.execution").items() if k[:2] == key]
    return {
        "pipelineExecutionSummaries": list(reversed(executions))[: call.get("maxResults") or 100]
    }


@implements("codepipeline", "StopPipelineExecution")
def stop_pipeline_execution(context: RequestContext, call: Call) -> dict[str, Any]:
    """Stop an execution immediately, since none of its actions runs."""
    record = _execution(context, call)
    if record["status"] in _ENDED:
        text = (
            f"The execution {record['pipelineExecutionId']} cannot be stopped: it is "
            f"{record['status']}"
        )
        raise AwsError("PipelineExecutionNotStoppableException", text)
    reason = call.get("reason") or ""
    record.update(status="Stopped", statusSummary=reason, lastUpdateTime=context.clock.now())
    record["stopTrigger"] = {"reason": reason}
    return {"pipelineExecutionId": record["pipelineExecutionId"]}


@implements("codepipeline", "ListActionExecutions")
def list_action_executions(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the recorded action executions."""
    _find(context, call, call["pipelineName"])
    key = (call.region, call["pipelineName"])
    execution = (call.get("filter") or {}).get("pipelineExecutionId")
    executions = [r for k, r in context.table("codepipeline.action").items() if k[:2] == key]
    return {
        "actionExecutionDetails": [
            r for r in executions if execution in {None, r["pipelineExecutionId"]}
        ]
    }


@implements("codepipeline", "GetPipelineState")
def get_pipeline_state(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the stages with their transitions."""
    record = _find(context, call, call["name"])
    pipeline = record["versions"][-1]
    states = []
    for index, stage in enumerate(pipeline["stages"]):
        state: dict[str, Any] = {
            "stageName": stage["name"],
            "actionStates": [{"actionName": action["name"]} for action in stage["actions"]],
        }
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


def _stage(record: Record, call: Call) -> str:
    names = [stage["name"] for stage in record["versions"][-1]["stages"]]
    if call["stageName"] not in names:
        text = f"Pipeline '{call['pipelineName']}' has no stage '{call['stageName']}'"
        raise AwsError("StageNotFoundException", text)
    return str(call["stageName"])


@implements("codepipeline", "DisableStageTransition")
def disable_stage_transition(context: RequestContext, call: Call) -> dict[str, Any]:
    """Disable the transition into a stage."""
    record = _find(context, call, call["pipelineName"])
    record["disabled"][_stage(record, call)] = {
        "lastChangedBy": moto_backends.CALLER_ARN,
        "lastChangedAt": context.clock.now(),
        "disabledReason": call["reason"],
    }
    return {}


@implements("codepipeline", "EnableStageTransition")
def enable_stage_transition(context: RequestContext, call: Call) -> dict[str, Any]:
    """Enable the transition into a stage."""
    record = _find(context, call, call["pipelineName"])
    record["disabled"].pop(_stage(record, call), None)
    return {}


def _tagged(context: RequestContext, call: Call) -> Record:
    pipeline = next(
        (r for r in context.table("codepipeline").values() if r["arn"] == call["resourceArn"]), None
    )
    if pipeline is None:
        raise AwsError("ResourceNotFoundException", f"There is no {call['resourceArn']}")
    return pipeline


@implements("codepipeline", "TagResource")
def tag_resource(context: RequestContext, call: Call) -> dict[str, Any]:
    """Add tags."""
    _tagged(context, call)["tags"].update({tag["key"]: tag["value"] for tag in call["tags"]})
    return {}


@implements("codepipeline", "UntagResource")
def untag_resource(context: RequestContext, call: Call) -> dict[str, Any]:
    """Remove tags."""
    for key in call["tagKeys"]:
        _tagged(context, call)["tags"].pop(key, None)
    return {}


@implements("codepipeline", "ListTagsForResource")
def list_tags(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return tags."""
    return {"tags": [{"key": k, "value": v} for k, v in _tagged(context, call)["tags"].items()]}


@lists
def inventory(context: RequestContext) -> Iterable[Item]:
    """Yield every pipeline."""
    for key, record in context.table("codepipeline").items():
        yield Item(
            "codepipeline", "pipeline", key[1], record["arn"], key[1], key[0], record["tags"]
        )
