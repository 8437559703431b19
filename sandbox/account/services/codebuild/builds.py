"""CodeBuild builds: requests are validated here, and `context.builds` runs the builds.

A replay of the journal returns the original identifiers and starts nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sandbox.account.core import determinism
from sandbox.account.core.errors import AwsError, not_emulated
from sandbox.account.core.operations import implements
from sandbox.account.core.wire import ACCOUNT_ID
from sandbox.account.services.codebuild import pipeline_header
from sandbox.account.services.codebuild.projects import check_project, find_project, invalid
from sandbox.contracts.build_record import failed_build, new_build
from sandbox.contracts.build_runner import BATCH_HEADER, BatchOrder, BuildOrder, PipelineBuild

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext
    from sandbox.account.core.wire import Call

# Parameter of StartBuild, and the project's member that it replaces.
_OVERRIDES = {
    "secondarySourcesOverride": "secondarySources",
    "secondarySourcesVersionOverride": "secondarySourceVersions",
    "artifactsOverride": "artifacts",
    "secondaryArtifactsOverride": "secondaryArtifacts",
    "cacheOverride": "cache",
    "serviceRoleOverride": "serviceRole",
    "timeoutInMinutesOverride": "timeoutInMinutes",
    "queuedTimeoutInMinutesOverride": "queuedTimeoutInMinutes",
    "encryptionKeyOverride": "encryptionKey",
    "logsConfigOverride": "logsConfig",
}
_SOURCE_OVERRIDES = {
    "sourceTypeOverride": "type",
    "sourceLocationOverride": "location",
    "sourceAuthOverride": "auth",
    "gitCloneDepthOverride": "gitCloneDepth",
    "gitSubmodulesConfigOverride": "gitSubmodulesConfig",
    "buildspecOverride": "buildspec",
    "insecureSslOverride": "insecureSsl",
    "reportBuildStatusOverride": "reportBuildStatus",
    "buildStatusConfigOverride": "buildStatusConfig",
}
_ENVIRONMENT_OVERRIDES = {
    "environmentTypeOverride": "type",
    "imageOverride": "image",
    "computeTypeOverride": "computeType",
    "certificateOverride": "certificate",
    "privilegedModeOverride": "privilegedMode",
    "registryCredentialOverride": "registryCredential",
    "imagePullCredentialsTypeOverride": "imagePullCredentialsType",
}
_NOT_EMULATED = ("debugSessionEnabled", "fleetOverride", "autoRetryLimitOverride")
_STATE = ("buildStatus", "buildComplete", "currentPhase", "phases", "endTime")
_MAX_IDS = 100


@implements("codebuild", "StartBuild")
def start_build(context: RequestContext, call: Call) -> dict[str, Any]:
    """Start a build of the project with the request's overrides."""
    name = call["projectName"].rpartition("project/")[2]
    batch = _batch(context, call, name)
    project = copy.deepcopy(dict(batch.project) if batch else find_project(context, call, name))
    for parameter in _NOT_EMULATED:
        if call.get(parameter):
            raise not_emulated("codebuild", "StartBuild", parameter)
    pipeline = pipeline_header.parse(call)
    override(project, call.params)
    version = call.get("sourceVersion") or project.get("sourceVersion") or ""
    if pipeline is None:
        check_project(context, call, project)
        if project["source"]["type"] == "CODEPIPELINE":
            raise invalid(
                "Project source type CODEPIPELINE: only a pipeline can start this build; set "
                "sourceTypeOverride and artifactsOverride to start it without one"
            )
    if (token := call.get("idempotencyToken")) and (
        earlier := context.table("codebuild.token").get((call.region, name, token))
    ):
        return {"build": earlier["build"]}
    version = batch.source_version if batch is not None else version
    initiator = pipeline_header.initiator(call, pipeline)
    arn = batch.arn if batch is not None else ""
    build = start(
        context, call.region, project, version, initiator, pipeline=pipeline, batch_arn=arn
    )
    if token:
        context.table("codebuild.token")[call.region, name, token] = {"build": build}
    return {"build": build}


def _batch(context: RequestContext, call: Call, project: str) -> BatchOrder | None:
    """Return the batch that starts the build, or None."""
    id = call.environ.get(f"HTTP_{BATCH_HEADER.upper().replace('-', '_')}")
    if id is None:
        return None
    record = context.table("codebuild.batch").get((call.region, id))
    if record is None or record["order"].project["name"] != project:
        raise invalid(f"Invalid header {BATCH_HEADER}: the project {project} has no batch {id}")
    order: BatchOrder = record["order"]
    return order


def override(project: Record, parameters: Mapping[str, Any]) -> None:
    """Replace members of a project by the overrides in the parameters of StartBuild."""
    for names, target in (
        (_OVERRIDES, project),
        (_SOURCE_OVERRIDES, project["source"]),
        (_ENVIRONMENT_OVERRIDES, project["environment"]),
    ):
        for parameter, member in names.items():
            if parameters.get(parameter) is not None:
                target[member] = parameters[parameter]
    if project["source"]["type"] == "NO_SOURCE":
        project["source"].pop("location", None)
    variables = {item["name"]: item for item in project["environment"]["environmentVariables"]}
    for item in parameters.get("environmentVariablesOverride") or []:
        variables[item["name"]] = {"type": "PLAINTEXT", **item}
    project["environment"]["environmentVariables"] = list(variables.values())


def start(
    context: RequestContext,
    region: str,
    project: Record,
    version: str,
    initiator: str,
    *,
    pipeline: PipelineBuild | None = None,
    batch_arn: str = "",
    variables: Mapping[str, str] | None = None,
) -> Record:
    """Start a build of the project; `variables` are CodeBuild's own, of a webhook."""
    key = (region, project["name"])
    limit = project.get("concurrentBuildLimit")
    if limit and not context.replaying and len(_running(context, region, project)) >= limit:
        raise AwsError(
            "AccountLimitExceededException",
            f"Cannot have more than {limit} builds in queue for the project {project['name']}",
        )
    counter = context.table("codebuild.counter").setdefault(key, {"builds": 0})
    counter["builds"] += 1
    id = f"{project['name']}:{determinism.random_uuid()}"
    order = BuildOrder(
        id=id,
        arn=f"arn:aws:codebuild:{region}:{ACCOUNT_ID}:build/{id}",
        number=counter["builds"],
        region=region,
        project=project,
        pipeline=pipeline,
        initiator=initiator,
        source_version=version,
        batch_arn=batch_arn,
        variables=variables or {},
    )
    started = context.clock.now()
    context.table("codebuild.build")[region, id] = {"order": order, "started": started}
    if not context.replaying:
        with determinism.unseeded():
            context.builds.start(order)
    return new_build(order, started)


def _running(context: RequestContext, region: str, project: Record) -> list[str]:
    ids = _project_builds(context, region, project["name"])
    builds = [context.builds.build(id) for id in ids]
    return [build["id"] for build in builds if build and not build["buildComplete"]]


def _builds(context: RequestContext, region: str) -> dict[str, Record]:
    """Return the region's builds, oldest first."""
    table = context.table("codebuild.build")
    return {id: item for (place, id), item in table.items() if place == region}


def _project_builds(context: RequestContext, region: str, name: str) -> list[str]:
    return [
        id for id, item in _builds(context, region).items() if item["order"].project["name"] == name
    ]


def _find_build(context: RequestContext, call: Call, id: str) -> Record:
    id = id.rpartition("build/")[2]
    record = context.table("codebuild.build").get((call.region, id))
    if record is None:
        if ":" not in id:
            raise invalid(f"Invalid build ID: {id}")
        raise AwsError(
            "ResourceNotFoundException",
            f"Build cannot be found: arn:aws:codebuild:{call.region}:{ACCOUNT_ID}:build/{id}",
        )
    return record


def _current(context: RequestContext, record: Record) -> Record:
    """Return the runner's record; a build whose record is lost has failed."""
    order: BuildOrder = record["order"]
    build = context.builds.build(order.id)
    if build is not None:
        return dict(build)
    return failed_build(order, record["started"], "INTERNAL_ERROR", "The build's record is lost.")


@implements("codebuild", "RetryBuild")
def retry_build(context: RequestContext, call: Call) -> dict[str, Any]:
    """Start a build again, with its overrides."""
    if not call.get("id"):
        raise invalid("id must not be empty")
    order: BuildOrder = _find_build(context, call, call["id"])["order"]
    if order.pipeline is not None:
        raise invalid(f"Build {order.id} was started by a pipeline, which must retry it")
    find_project(context, call, order.project["name"])
    project = copy.deepcopy(dict(order.project))
    initiator = pipeline_header.initiator(call, None)
    variables = order.variables
    version = order.source_version
    return {"build": start(context, call.region, project, version, initiator, variables=variables)}


@implements("codebuild", "StopBuild")
def stop_build(context: RequestContext, call: Call) -> dict[str, Any]:
    """Stop a build; one that has ended is returned unchanged."""
    record = _find_build(context, call, call["id"])
    if not context.replaying:
        context.builds.stop(record["order"].id)
    build = new_build(record["order"], record["started"])
    if not context.replaying:  # a replay must return the same names, so only these are current
        current = _current(context, record)
        build |= {name: current[name] for name in _STATE if name in current}
    return {"build": build}


@implements("codebuild", "BatchGetBuilds")
def batch_get_builds(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return builds by ID or ARN."""
    _limit_ids(call["ids"])
    builds, missing = [], []
    for requested in call["ids"]:
        key = (call.region, requested.rpartition("build/")[2])
        record = context.table("codebuild.build").get(key)
        if record is None:
            missing.append(requested)
        else:
            builds.append(_current(context, record))
    return {"builds": builds, "buildsNotFound": missing}


@implements("codebuild", "BatchDeleteBuilds")
def batch_delete_builds(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete builds that have ended."""
    _limit_ids(call["ids"])
    deleted: list[str] = []
    refused: list[dict[str, str]] = []
    for requested in call["ids"]:
        id = requested.rpartition("build/")[2]
        record = context.table("codebuild.build").get((call.region, id))
        if record is None:
            refused.append({"id": requested, "statusCode": "BUILD_NOT_FOUND"})
            continue
        # A replay deletes what the original request did.
        complete = context.external(f"complete {id}", partial(_is_complete, context, record))
        if not complete:
            refused.append({"id": requested, "statusCode": "BUILD_IN_PROGRESS"})
            continue
        del context.table("codebuild.build")[call.region, id]
        if not context.replaying:
            context.builds.delete(id)
        deleted.append(record["order"].arn)
    return {"buildsDeleted": deleted, "buildsNotDeleted": refused}


def _is_complete(context: RequestContext, record: Record) -> bool:
    build = context.builds.build(record["order"].id)
    return build is None or bool(build["buildComplete"])


@implements("codebuild", "ListBuilds")
def list_builds(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the region's build IDs."""
    return page(call, list(_builds(context, call.region)))


@implements("codebuild", "ListBuildsForProject")
def list_builds_for_project(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return a project's build IDs."""
    name = call["projectName"].rpartition("project/")[2]
    find_project(context, call, name)
    return page(call, _project_builds(context, call.region, name))


def page(call: Call, ids: Sequence[str]) -> dict[str, Any]:
    """Return a page of IDs, newest first unless ASCENDING. Its token is the next page's offset."""
    ordered = ids if call.get("sortOrder") == "ASCENDING" else list(reversed(ids))
    token = call.get("nextToken") or "0"
    if not token.isdecimal() or int(token) > len(ordered):
        raise invalid(f"Invalid next token: {token}")
    end = int(token) + _MAX_IDS
    return {
        "ids": ordered[int(token) : end],
        **({"nextToken": str(end)} if end < len(ordered) else {}),
    }


def _limit_ids(ids: Sequence[str]) -> None:
    """Source: CodeBuild API reference, BatchGetBuilds: 1 to 100 items."""
    if not 1 <= len(ids) <= _MAX_IDS:
        raise invalid(f"ids must contain 1 to {_MAX_IDS} build IDs")


def delete_unknown(context: RequestContext) -> None:
    """Let the runner delete the builds that the account does not have, after a replay."""
    ids = {id for _, id in context.table("codebuild.build")}
    for id in context.builds.builds():
        if id not in ids:
            context.builds.delete(id)
