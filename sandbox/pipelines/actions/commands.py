"""The action Compute/Commands: shell commands in a build without a project.

Source: CodePipeline User Guide, "Commands action reference".
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from sandbox.contracts.build_runner import Artifact, BuildOrder, PipelineBuild
from sandbox.pipelines.actions.action import ActionContext, ActionError, ActionResult
from sandbox.pipelines.actions.codebuild import failure_message
from sandbox.pipelines.records import StoredArtifact

_POLL_SECONDS = 0.1
_TIMEOUT_MINUTES = 55


def run_commands(context: ActionContext) -> ActionResult:
    """Run the commands on the input artifacts under the role of the action or pipeline."""
    inputs = context.inputs()
    if context.run.external_id:  # resumed after a restart
        outputs = dict(context.run.outputs)
    else:
        declared = context.declaration.get("outputArtifacts") or []
        outputs = {item["name"]: context.new_artifact(item["name"]) for item in declared}
        order = _order(context, inputs, outputs)
        context.builds.start(order)
        context.update(external_id=order.id, outputs=outputs)
    while True:
        build = context.builds.build(context.run.external_id)
        if build is None:
            raise ActionError("JobFailed", "The commands were interrupted and their record is lost")
        stream = str((build.get("logs") or {}).get("cloudWatchLogsArn") or "")
        if stream != context.run.log_stream:
            context.update(log_stream=stream)
        if build["buildComplete"]:
            break
        context.pause(_POLL_SECONDS)
    if build["buildStatus"] != "SUCCEEDED":
        raise ActionError("JobFailed", failure_message(build))
    exported = build.get("exportedEnvironmentVariables") or []
    return ActionResult(
        summary="The commands succeeded",
        variables={item["name"]: item["value"] for item in exported},
        outputs=outputs,
    )


def _order(
    context: ActionContext,
    inputs: Mapping[str, StoredArtifact],
    outputs: Mapping[str, StoredArtifact],
) -> BuildOrder:
    execution, declaration = context.execution, context.declaration
    region, account = execution.pipeline_arn.split(":")[3:5]
    name = f"{execution.pipeline}-{context.stage}-{context.name}"
    id = f"{name}:{uuid.uuid4()}"
    project = {
        "name": name,
        "source": {"type": "CODEPIPELINE", "buildspec": _buildspec(declaration)},
        "artifacts": {"type": "CODEPIPELINE"},
        "environment": {
            "type": "LINUX_CONTAINER",
            "image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
            "computeType": "BUILD_GENERAL1_SMALL",
            "privilegedMode": False,
            "environmentVariables": [
                {"type": "PLAINTEXT", **item}
                for item in declaration.get("environmentVariables") or []
            ],
        },
        "serviceRole": declaration.get("roleArn") or execution.definition["roleArn"],
        "timeoutInMinutes": declaration.get("timeoutInMinutes") or _TIMEOUT_MINUTES,
        "queuedTimeoutInMinutes": _TIMEOUT_MINUTES,
        "encryptionKey": context.encryption_key,
        "logsConfig": {
            "cloudWatchLogs": {
                "status": "ENABLED",
                "groupName": f"/aws/codepipeline/{execution.pipeline}",
            }
        },
    }
    return BuildOrder(
        id=id,
        arn=f"arn:aws:codebuild:{region}:{account}:build/{id}",
        number=1,
        region=region,
        project=project,
        initiator=f"codepipeline/{execution.pipeline}",
        pipeline=PipelineBuild(
            initiator=f"codepipeline/{execution.pipeline}",
            execution_id=execution.id,
            inputs=[Artifact(name=n, bucket=a.bucket, key=a.key) for n, a in inputs.items()],
            primary=next(iter(inputs)),
            outputs=[Artifact(name=n, bucket=a.bucket, key=a.key) for n, a in outputs.items()],
            encryption_key=context.encryption_key,
        ),
    )


def _buildspec(declaration: Mapping[str, Any]) -> str:
    """Return the buildspec in JSON, which YAML includes."""
    buildspec: dict[str, Any] = {
        "version": "0.2",
        "env": {"exported-variables": declaration.get("outputVariables") or []},
        "phases": {"build": {"commands": declaration["commands"]}},
    }
    for output in declaration.get("outputArtifacts") or []:
        buildspec["artifacts"] = {"files": output.get("files") or ["**/*"]}
    return json.dumps(buildspec, indent=1)
