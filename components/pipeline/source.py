"""Sources of a release: GitHub through a connection, or an archive in S3."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.aws.context import AwsContext
from components.aws.iam import Statement, document
from components.pipeline import iam
from components.pipeline.args import SourceSettings
from components.pipeline.artifacts import private_bucket

SOURCE_OBJECT = "source.zip"
SOURCE_DAYS = 365
CONTENT = "content"
"""Commit of a source in S3, which builds replace by a hash of the content.

The object's version differs between the buckets of two environments and may not be a valid tag.
"""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Source action, its permissions and its triggers."""

    action: dict[str, Any]
    """Provider and configuration of the source action."""
    statements: list[Statement]
    """Permissions of the source role."""
    triggers: list[Any]
    """Triggers of the pipeline; empty where EventBridge starts it."""
    pull_request_triggers: list[Any]
    """Triggers of the pipeline of pull requests."""
    commit: str
    """Pipeline variable with the commit, or CONTENT."""
    revision: str
    """Pipeline variable with the revision that starts another execution of the same content."""
    revision_type: str
    """Type of the revision in StartPipelineExecution."""
    connection: pulumi.Output[str] | None = None
    """Status of a connection that was created, and where to accept it while it is pending."""


def github_source(
    name: str, settings: SourceSettings, context: AwsContext, parent: pulumi.Resource
) -> Source:
    """Read from GitHub; pushes to a branch or of tags are triggers."""
    connection_arn: pulumi.Input[str] = settings.connection_arn or ""
    status: pulumi.Output[str] | None = None
    if settings.connection_arn is None:
        connection = aws.codeconnections.Connection(
            name, provider_type="GitHub", opts=pulumi.ResourceOptions(parent=parent)
        )
        connection_arn = connection.arn
        status = pulumi.Output.all(
            connection.connection_status, connection.name, context.region
        ).apply(_connection_status)
    branch: dict[str, Any] = {"branches": {"includes": [settings.branch]}}
    if settings.paths:
        branch["file_paths"] = {"includes": list(settings.paths)}
    push = {"tags": {"includes": list(settings.tags)}} if settings.tags else branch
    return Source(
        action={
            "owner": "AWS",
            "provider": "CodeStarSourceConnection",
            "configuration": {
                "ConnectionArn": connection_arn,
                "FullRepositoryId": settings.repository,
                "BranchName": settings.branch or "main",
                "OutputArtifactFormat": "CODE_ZIP",
                "DetectChanges": "false",  # the trigger below starts the pipeline
            },
        },
        statements=iam.use_connection(connection_arn),
        triggers=[_trigger(pushes=[push])],
        pull_request_triggers=[_trigger(pull_requests=[{"events": ["OPEN", "UPDATED"], **branch}])],
        commit="#{source.CommitId}",
        revision="#{source.CommitId}",
        revision_type="COMMIT_ID",
        connection=status,
    )


def _trigger(**filters: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "provider_type": "CodeStarSourceConnection",
        "git_configuration": {"source_action_name": "Source", **filters},
    }


def _connection_status(values: Sequence[str]) -> str:
    """Status, with instructions while it is pending: a person must authenticate to GitHub."""
    status, name, region = values
    if status != "PENDING":
        return status
    domain = f"{region}.console.aws.amazon.com"
    console = f"https://{domain}/codesuite/settings/connections?region={region}"
    return f"PENDING: releases start after a person has accepted {name} once, at {console}"


def s3_source(
    name: str,
    *,
    pipeline_name: str,
    key: aws.kms.Key,
    logs: pulumi.Input[str],
    context: AwsContext,
    protected: bool,
    parent: pulumi.Resource,
) -> Source:
    """Read `source.zip` from a bucket; each new version starts a release through EventBridge."""
    child = pulumi.ResourceOptions(parent=parent)
    bucket = private_bucket(
        f"{name}-source",
        key=key,
        days=SOURCE_DAYS,
        logs=logs,
        protected=protected,
        parent=parent,
    )
    aws.s3.BucketNotification(f"{name}-source", bucket=bucket.id, eventbridge=True, opts=child)
    detail = {"bucket": {"name": [bucket.id]}, "object": {"key": [SOURCE_OBJECT]}}
    rule = aws.cloudwatch.EventRule(
        f"{name}-source",
        description=f"A new {SOURCE_OBJECT} starts {pipeline_name}",
        event_pattern=pulumi.Output.json_dumps(
            {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail}
        ),
        opts=child,
    )
    pipeline_arn = context.arn("codepipeline", pipeline_name)
    role = aws.iam.Role(
        f"{name}-trigger", assume_role_policy=iam.trigger_trust(context, rule.arn), opts=child
    )
    aws.iam.RolePolicy(
        f"{name}-trigger",
        role=role.id,
        policy=document(*iam.start_pipeline(pipeline_arn)),
        opts=child,
    )
    aws.cloudwatch.EventTarget(
        f"{name}-source", rule=rule.name, arn=pipeline_arn, role_arn=role.arn, opts=child
    )
    return Source(
        action={
            "owner": "AWS",
            "provider": "S3",
            "configuration": {
                "S3Bucket": bucket.id,
                "S3ObjectKey": SOURCE_OBJECT,
                "PollForSourceChanges": "false",
            },
        },
        statements=iam.read_source_object(bucket.arn, SOURCE_OBJECT),
        triggers=[],
        pull_request_triggers=[],
        commit=CONTENT,
        revision="#{source.VersionId}",
        revision_type="S3_OBJECT_VERSION_ID",
    )
