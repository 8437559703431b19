"""CodeBuild batches: requests are validated here, and `context.builds` runs the batches."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from sandbox.account.core import determinism
from sandbox.account.core.errors import AwsError, not_emulated
from sandbox.account.core.operations import implements
from sandbox.account.core.wire import ACCOUNT_ID
from sandbox.account.services.codebuild import pipeline_header
from sandbox.account.services.codebuild.builds import override, page
from sandbox.account.services.codebuild.projects import (
    check_project,
    check_role,
    find_project,
    invalid,
)
from sandbox.contracts.batch_record import new_batch
from sandbox.contracts.build_runner import BatchOrder

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext
    from sandbox.account.core.wire import Call


@implements("codebuild", "StartBuildBatch")
def start_build_batch(context: RequestContext, call: Call) -> dict[str, Any]:
    """Start a batch of the project with the request's overrides."""
    name = call["projectName"].rpartition("project/")[2]
    project = copy.deepcopy(find_project(context, call, name))
    if call.get("debugSessionEnabled"):
        raise not_emulated("codebuild", "StartBuildBatch", "debugSessionEnabled")
    override(project, call.params)
    project["buildBatchConfig"] = {
        **(project.get("buildBatchConfig") or {}),
        **(call.get("buildBatchConfigOverride") or {}),
    }
    if call.get("buildTimeoutInMinutesOverride"):
        project["timeoutInMinutes"] = call["buildTimeoutInMinutesOverride"]
    pipeline = pipeline_header.parse(call)
    if pipeline is None:
        check_project(context, call, project)
    _check_configuration(context, project["buildBatchConfig"])
    version = call.get("sourceVersion") or project.get("sourceVersion") or ""
    tokens = context.table("codebuild.batch_token")
    key = (call.region, name, call.get("idempotencyToken") or determinism.random_uuid())
    if key not in tokens:
        tokens[key] = _start(context, call, project, version)
    return {"buildBatch": tokens[key]}


def _check_configuration(context: RequestContext, configuration: Record) -> None:
    role = configuration.get("serviceRole")
    if not role:
        raise invalid("Batch service role is required to start a batch build")
    check_role(context, role)
    if configuration.get("combineArtifacts"):
        raise not_emulated("codebuild", "StartBuildBatch", "combineArtifacts")


def _start(context: RequestContext, call: Call, project: Record, version: str) -> Record:
    key = (call.region, project["name"])
    counter = context.table("codebuild.batch_counter").setdefault(key, {"batches": 0})
    counter["batches"] += 1
    id = f"{project['name']}:{determinism.random_uuid()}"
    pipeline = pipeline_header.parse(call)
    order = BatchOrder(
        id=id,
        arn=f"arn:aws:codebuild:{call.region}:{ACCOUNT_ID}:build-batch/{id}",
        number=counter["batches"],
        region=call.region,
        project=project,
        pipeline=pipeline,
        initiator=pipeline_header.initiator(call, pipeline),
        source_version=version,
    )
    started = context.clock.now()
    context.table("codebuild.batch")[call.region, id] = {"order": order, "started": started}
    if not context.replaying:
        with determinism.unseeded():
            context.builds.start_batch(order)
    return new_batch(order, started)


def _find(context: RequestContext, call: Call) -> Record:
    id = call["id"].rpartition("build-batch/")[2]
    record = context.table("codebuild.batch").get((call.region, id))
    if record is None:
        arn = f"arn:aws:codebuild:{call.region}:{ACCOUNT_ID}:build-batch/{id}"
        raise AwsError("ResourceNotFoundException", f"Build batch cannot be found: {arn}")
    return record


def _current(context: RequestContext, record: Record) -> Record:
    """Return the runner's record; a batch whose record is lost has failed."""
    order: BatchOrder = record["order"]
    batch = context.builds.batch(order.id)
    if batch is not None:
        return dict(batch)
    lost = new_batch(order, record["started"])
    return lost | {"buildBatchStatus": "FAILED", "complete": True, "currentPhase": "FAILED"}


@implements("codebuild", "BatchGetBuildBatches")
def batch_get_build_batches(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return batches by ID or ARN."""
    table, batches, missing = context.table("codebuild.batch"), [], []
    for requested in call["ids"]:
        record = table.get((call.region, requested.rpartition("build-batch/")[2]))
        if record is None:
            missing.append(requested)
        else:
            batches.append(_current(context, record))
    return {"buildBatches": batches, "buildBatchesNotFound": missing}


@implements("codebuild", "StopBuildBatch")
def stop_build_batch(context: RequestContext, call: Call) -> dict[str, Any]:
    """Stop a batch and its builds."""
    record = _find(context, call)
    if not context.replaying:
        context.builds.stop_batch(record["order"].id)
    return {"buildBatch": new_batch(record["order"], record["started"])}


@implements("codebuild", "RetryBuildBatch")
def retry_build_batch(context: RequestContext, call: Call) -> dict[str, Any]:
    """Start all builds of a batch again."""
    if call.get("retryType") == "RETRY_FAILED_BUILDS":
        raise not_emulated("codebuild", "RetryBuildBatch", "retryType RETRY_FAILED_BUILDS")
    if not call.get("id"):
        raise invalid("id must not be empty")
    order: BatchOrder = _find(context, call)["order"]
    if order.pipeline is not None:
        raise invalid(f"Build batch {order.id} was started by a pipeline, which must retry it")
    project = copy.deepcopy(dict(order.project))
    return {"buildBatch": _start(context, call, project, order.source_version)}


@implements("codebuild", "DeleteBuildBatch")
def delete_build_batch(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete a batch; its builds stay in the list of builds."""
    order: BatchOrder = _find(context, call)["order"]
    del context.table("codebuild.batch")[call.region, order.id]
    if not context.replaying:
        context.builds.delete_batch(order.id)
    return {"statusCode": "DELETED", "buildsDeleted": [], "buildsNotDeleted": []}


@implements("codebuild", "ListBuildBatches", "ListBuildBatchesForProject")
def list_build_batches(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the IDs of the region's or a project's batches."""
    name = (call.get("projectName") or "").rpartition("project/")[2]
    status = (call.get("filter") or {}).get("status")
    records = [
        record
        for (region, _), record in context.table("codebuild.batch").items()
        if region == call.region and name in {"", record["order"].project["name"]}
    ]
    return page(
        call,
        [
            record["order"].id
            for record in records
            if status is None or _current(context, record)["buildBatchStatus"] == status
        ],
    )
