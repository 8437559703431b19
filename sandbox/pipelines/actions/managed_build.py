"""A build without a project, CodePipeline's managed compute of the actions Commands and EKS."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from sandbox.contracts.build_runner import Artifact, BuildOrder, PipelineBuild
from sandbox.pipelines.actions.action import ActionContext, ActionError
from sandbox.pipelines.actions.codebuild import failure_message
from sandbox.pipelines.records import StoredArtifact
from sandbox.pipelines.variables import resolve

_POLL_SECONDS = 0.1
_TIMEOUT_MINUTES = 55


def run_managed_build(
    context: ActionContext,
    buildspec: str,
    *,
    inputs: Mapping[str, StoredArtifact],
    outputs: Mapping[str, StoredArtifact],
    vpc: Mapping[str, Any] | None = None,
) -> Mapping[str, Any]:
    """Run a buildspec under the role of the action or pipeline; return the build that succeeded.

    After a restart, waits for the build that was started. Raises ActionError.
    """
    if not context.run.external_id:
        order = _order(context, buildspec, inputs, outputs, vpc)
        context.builds.start(order)
        context.update(external_id=order.id, outputs=dict(outputs))
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
    return build


def environment_variables(context: ActionContext) -> list[dict[str, str]]:
    """Return the action's environment variables, with references replaced."""
    declared = context.declaration.get("environmentVariables") or []
    values = resolve({item["name"]: item["value"] for item in declared}, context.execution)
    return [{"type": "PLAINTEXT", **item, "value": values[item["name"]]} for item in declared]


def _order(
    context: ActionContext,
    buildspec: str,
    inputs: Mapping[str, StoredArtifact],
    outputs: Mapping[str, StoredArtifact],
    vpc: Mapping[str, Any] | None,
) -> BuildOrder:
    execution, declaration = context.execution, context.declaration
    region, account = execution.pipeline_arn.split(":")[3:5]
    name = f"{execution.pipeline}-{context.stage}-{context.name}"
    pipeline_role = str(execution.definition["roleArn"])
    role = str(declaration.get("roleArn") or pipeline_role)
    id = f"{name}:{uuid.uuid4()}"
    project = {
        "name": name,
        "source": {"type": "CODEPIPELINE", "buildspec": buildspec},
        "artifacts": {"type": "CODEPIPELINE"},
        "environment": {
            "type": "LINUX_CONTAINER",
            "image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
            "computeType": "BUILD_GENERAL1_SMALL",
            "privilegedMode": False,
            "environmentVariables": environment_variables(context),
        },
        "serviceRole": role,
        "timeoutInMinutes": declaration.get("timeoutInMinutes") or _TIMEOUT_MINUTES,
        "queuedTimeoutInMinutes": _TIMEOUT_MINUTES,
        "encryptionKey": context.encryption_key,
        "logsConfig": {
            "cloudWatchLogs": {
                "status": "ENABLED",
                "groupName": f"/aws/codepipeline/{execution.pipeline}",
            }
        },
        **({} if vpc is None else {"vpcConfig": vpc}),
    }
    return BuildOrder(
        id=id,
        arn=f"arn:aws:codebuild:{region}:{account}:build/{id}",
        number=1,
        region=region,
        project=project,
        initiator=f"codepipeline/{execution.pipeline}",
        role_chain=list(dict.fromkeys([pipeline_role, role])),
        pipeline=PipelineBuild(
            initiator=f"codepipeline/{execution.pipeline}",
            execution_id=execution.id,
            inputs=[Artifact(name=n, bucket=a.bucket, key=a.key) for n, a in inputs.items()],
            primary=next(iter(inputs)),
            outputs=[Artifact(name=n, bucket=a.bucket, key=a.key) for n, a in outputs.items()],
            encryption_key=context.encryption_key,
        ),
    )
