"""CodePipeline: pipelines with versions, transitions and tags."""

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
from sandbox.account.services.sts.tokens import caller
from sandbox.contracts.pipeline_runner import ExecutionOrder, PipelineFacts

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext
    from sandbox.account.core.wire import Call

OWN_SERVICES.add("codepipeline")


def find(context: RequestContext, call: Call, name: str) -> Record:
    """Return a pipeline of the request's region. Raises AwsError if there is none."""
    pipeline = context.table("codepipeline").get((call.region, name))
    if pipeline is None:
        text = f"Account '{ACCOUNT_ID}' does not have a pipeline with name '{name}'"
        raise AwsError("PipelineNotFoundException", text)
    return pipeline


def facts(record: Record) -> PipelineFacts:
    """Return what the runner of executions needs of a pipeline."""
    return PipelineFacts(
        arn=record["arn"],
        definition=copy.deepcopy(record["versions"][-1]),
        disabled=frozenset(record["disabled"]),
    )


def _configure(context: RequestContext, call: Call, name: str) -> None:
    if not context.replaying:
        context.pipelines.configure(facts(context.table("codepipeline")[call.region, name]))


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
    """Create a pipeline, which starts an execution."""
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
    _configure(context, call, name)
    if not context.replaying:
        declared = pipeline.get("variables") or []
        context.pipelines.start(
            ExecutionOrder(
                id=random_uuid(),
                pipeline_arn=context.table("codepipeline")[key]["arn"],
                trigger=("CreatePipeline", caller(context, call.access_key)),
                variables={item["name"]: item.get("defaultValue", "") for item in declared},
            )
        )
    return {"pipeline": pipeline, "tags": call.get("tags") or []}


@implements("codepipeline", "UpdatePipeline")
def update_pipeline(context: RequestContext, call: Call) -> dict[str, Any]:
    """Create a new version of a pipeline."""
    record = find(context, call, call["pipeline"]["name"])
    pipeline = _complete(call["pipeline"])
    _check(context, pipeline)
    pipeline["version"] = len(record["versions"]) + 1
    record["versions"].append(pipeline)
    record["updated"] = context.clock.now()
    _configure(context, call, pipeline["name"])
    return {"pipeline": pipeline}


@implements("codepipeline", "GetPipeline")
def get_pipeline(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return a pipeline or one of its versions."""
    record = find(context, call, call["name"])
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
    record = context.table("codepipeline").pop((call.region, call["name"]), None)
    if record is not None and not context.replaying:
        context.pipelines.delete(record["arn"])
    return {}


def stage_name(record: Record, call: Call) -> str:
    """Return the request's stage. Raises AwsError if the pipeline has none of that name."""
    names = [stage["name"] for stage in record["versions"][-1]["stages"]]
    if call["stageName"] not in names:
        text = f"Pipeline '{call['pipelineName']}' has no stage '{call['stageName']}'"
        raise AwsError("StageNotFoundException", text)
    return str(call["stageName"])


@implements("codepipeline", "DisableStageTransition")
def disable_stage_transition(context: RequestContext, call: Call) -> dict[str, Any]:
    """Disable the transition into a stage."""
    record = find(context, call, call["pipelineName"])
    record["disabled"][stage_name(record, call)] = {
        "lastChangedBy": moto_backends.CALLER_ARN,
        "lastChangedAt": context.clock.now(),
        "disabledReason": call["reason"],
    }
    _configure(context, call, call["pipelineName"])
    return {}


@implements("codepipeline", "EnableStageTransition")
def enable_stage_transition(context: RequestContext, call: Call) -> dict[str, Any]:
    """Enable the transition into a stage."""
    record = find(context, call, call["pipelineName"])
    record["disabled"].pop(stage_name(record, call), None)
    _configure(context, call, call["pipelineName"])
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
