"""The actions Build/CodeBuild and Test/CodeBuild: start a build and wait for it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from botocore.exceptions import ClientError

from sandbox.contracts.build_runner import PIPELINE_HEADER, Artifact, PipelineBuild
from sandbox.pipelines.actions.action import (
    ActionContext,
    ActionError,
    ActionResult,
    denied_or_failed,
)
from sandbox.pipelines.records import StoredArtifact

_POLL_SECONDS = (0.1, 0.3)  # within the first seconds, and later
_QUICK_SECONDS = 30.0
_VARIABLE_TYPES = {"PLAINTEXT", "PARAMETER_STORE", "SECRETS_MANAGER"}


def run_build(context: ActionContext) -> ActionResult:
    """Run the project on the input artifacts."""
    inputs = context.inputs()
    batch = context.configuration.get("BatchEnabled", "false").lower() == "true"
    if batch and context.declaration.get("outputArtifacts"):
        raise ActionError(
            "ConfigurationError",
            "Output artifacts with BatchEnabled are not emulated by the sandbox",
        )
    outputs = {
        item["name"]: context.new_artifact(item["name"])
        for item in context.declaration.get("outputArtifacts") or []
    }
    if context.run.external_id:  # resumed after a restart
        outputs = dict(context.run.outputs)
    else:
        build = _start(context, inputs, outputs, batch=batch)
        context.update(
            external_id=build["id"],
            external_url=build_url(context.execution.region, build["id"]),
            outputs=outputs,
        )
    build = _wait(context, context.run.external_id, batch=batch)
    if batch:
        if build["buildBatchStatus"] != "SUCCEEDED":
            raise ActionError("JobFailed", failure_message(build))
        return ActionResult(summary=f"Build batch {context.run.external_id} succeeded")
    if build["buildStatus"] != "SUCCEEDED":
        raise ActionError("JobFailed", failure_message(build))
    exported = build.get("exportedEnvironmentVariables") or []
    return ActionResult(
        summary=f"Build {context.run.external_id} succeeded",
        variables={item["name"]: item.get("value", "") for item in exported},
        outputs=outputs,
    )


def _start(
    context: ActionContext,
    inputs: Mapping[str, StoredArtifact],
    outputs: Mapping[str, StoredArtifact],
    *,
    batch: bool,
) -> Mapping[str, Any]:
    execution = context.execution
    order = PipelineBuild(
        initiator=f"codepipeline/{execution.pipeline}",
        execution_id=execution.id,
        inputs=_artifacts(inputs),
        primary=context.configuration.get("PrimarySource") or next(iter(inputs)),
        outputs=_artifacts(outputs),
        encryption_key=context.encryption_key,
    )
    client = context.role.client("codebuild", {PIPELINE_HEADER: json.dumps(asdict(order))})
    request = {
        "projectName": context.configuration["ProjectName"],
        "environmentVariablesOverride": environment_variables(context.configuration),
        "idempotencyToken": context.run.id,
    }
    try:
        build: Mapping[str, Any] = (
            client.start_build_batch(**request)["buildBatch"]
            if batch
            else client.start_build(**request)["build"]
        )
    except ClientError as error:
        raise denied_or_failed(error) from None
    return build


def _artifacts(artifacts: Mapping[str, StoredArtifact]) -> list[Artifact]:
    return [
        Artifact(name=name, bucket=artifact.bucket, key=artifact.key)
        for name, artifact in artifacts.items()
    ]


def environment_variables(configuration: Mapping[str, str]) -> list[dict[str, str]]:
    """Return EnvironmentVariables in StartBuild's shape. Raises ActionError if it is invalid."""
    text = configuration.get("EnvironmentVariables") or "[]"
    try:
        items = json.loads(text)
    except ValueError as error:
        raise ActionError(
            "ConfigurationError", f"EnvironmentVariables is not valid JSON: {error}"
        ) from None
    if not isinstance(items, list):
        raise ActionError("ConfigurationError", "EnvironmentVariables must be a JSON array")
    variables = []
    for item in items:
        kind = item.get("type", "PLAINTEXT") if isinstance(item, dict) else ""
        if kind not in _VARIABLE_TYPES or not {"name", "value"} <= set(item):
            raise ActionError(
                "ConfigurationError",
                "EnvironmentVariables must have objects with name, value and type (PLAINTEXT, "
                f"PARAMETER_STORE or SECRETS_MANAGER), not {json.dumps(item)}",
            )
        variables.append({"name": item["name"], "value": str(item["value"]), "type": kind})
    return variables


def _wait(context: ActionContext, id: str, *, batch: bool) -> Mapping[str, Any]:
    """Return the build or batch after its end; a build's log is known earlier."""
    codebuild, begin = context.role.client("codebuild"), time.monotonic()
    while True:
        try:
            builds = (
                codebuild.batch_get_build_batches(ids=[id])["buildBatches"]
                if batch
                else codebuild.batch_get_builds(ids=[id])["builds"]
            )
        except ClientError as error:
            raise denied_or_failed(error) from None
        if not builds:
            raise ActionError("JobFailed", f"The build {id} does not exist any more")
        build: Mapping[str, Any] = builds[0]
        stream = str((build.get("logs") or {}).get("cloudWatchLogsArn") or "")
        if stream and stream != context.run.log_stream:
            context.update(log_stream=stream)
        if (build.get("buildStatus") or build["buildBatchStatus"]) != "IN_PROGRESS":
            return build
        quick = time.monotonic() - begin < _QUICK_SECONDS
        context.pause(_POLL_SECONDS[0] if quick else _POLL_SECONDS[1])


def failure_message(build: Mapping[str, Any]) -> str:
    """Return status, phase and cause of a failed build, as CodePipeline words it."""
    status = build.get("buildStatus") or build["buildBatchStatus"]
    message = f"Build terminated with state: {status}"
    phases: Sequence[Mapping[str, Any]] = build.get("phases") or []
    for phase in phases:
        if phase.get("phaseStatus") in {"SUCCEEDED", None}:
            continue
        message += f". Phase: {phase['phaseType']}"
        for item in phase.get("contexts") or []:
            if item.get("message"):
                message += f", Code: {item.get('statusCode', '')}, Message: {item['message']}"
                return message
    return message


def build_url(region: str, id: str) -> str:
    """Return the build's address in the AWS console."""
    return f"https://console.aws.amazon.com/codebuild/home?region={region}#/builds/{id}/view/new"
