"""Where commits come from: a Git host through a connection, or an object in S3 that needs no third party."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
import pulumi_aws as aws

from components.pipeline.artifacts import private_bucket
from components.place import Place
from components.policy import Statement, allow, document, service_trust

SOURCE_OBJECT = "source.zip"
SOURCE_DAYS = 365
CONTENT = "content"
"""Stands for the commit of a source that has none: builds put a hash of the content in its place. An object's version
won't do: it differs between the buckets of two environments, and isn't always a legal tag.
"""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What starts a release."""

    kind: Literal["github", "s3"]
    repository: str | None = None
    """`owner/name` on GitHub."""
    branch: str | None = None
    """Branch whose pushes start a release."""
    tags: Sequence[str] = ()
    """Tag patterns that start a release, instead of a branch."""
    connection_arn: str | None = None
    """Existing CodeConnections connection; None makes one, which a person must accept in the console once."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A source, as the pipeline sees it."""

    action: dict[str, Any]
    """Provider and configuration of the source action."""
    statements: list[Statement]
    """What reading it takes."""
    triggers: list[Any]
    """What starts the pipeline, where that isn't EventBridge."""
    commit: str
    """Pipeline variable that names the commit, or CONTENT."""
    connection: pulumi.Output[str] | None = None
    """State of a connection that was made here, and where to accept it while it is pending."""


def github(name: str, source: Source, place: Place, parent: pulumi.Resource) -> Origin:
    """A connection to GitHub, and pushes to a branch or of tags as triggers."""
    connection_arn: pulumi.Input[str] = source.connection_arn or ""
    state: pulumi.Output[str] | None = None
    if source.connection_arn is None:
        connection = aws.codeconnections.Connection(
            name, provider_type="GitHub", opts=pulumi.ResourceOptions(parent=parent)
        )
        connection_arn = connection.arn
        state = pulumi.Output.all(connection.connection_status, connection.name, place.region).apply(_handshake)
    push = {"tags": {"includes": list(source.tags)}} if source.tags else {"branches": {"includes": [source.branch]}}
    return Origin(
        action={
            "owner": "AWS",
            "provider": "CodeStarSourceConnection",
            "configuration": {
                "ConnectionArn": connection_arn,
                "FullRepositoryId": source.repository,
                "BranchName": source.branch or "main",
                "OutputArtifactFormat": "CODE_ZIP",
                "DetectChanges": "false",  # the trigger below decides, and says on what
            },
        },
        # The prefix must match the ARN's; connections made before July 2024 have the old one.
        statements=[
            allow(
                "UseOneConnection",
                ["codeconnections:UseConnection", "codestar-connections:UseConnection"],
                [connection_arn],
            )
        ],
        triggers=[
            {
                "provider_type": "CodeStarSourceConnection",
                "git_configuration": {"source_action_name": "Source", "pushes": [push]},
            }
        ],
        commit="#{source.CommitId}",
        connection=state,
    )


def _handshake(known: Sequence[str]) -> str:
    """Only a person can finish it: GitHub asks who they are."""
    status, name, region = known
    if status != "PENDING":
        return status
    console = f"https://{region}.console.aws.amazon.com/codesuite/settings/connections?region={region}"
    return f"PENDING: no release starts until {name} is accepted once, by a person, at {console}"


def s3(
    name: str, *, pipeline_name: str, key: aws.kms.Key, place: Place, protected: bool, parent: pulumi.Resource
) -> Origin:
    """A bucket of its own; each new version of `source.zip` starts a release through EventBridge."""
    child = pulumi.ResourceOptions(parent=parent)
    bucket = private_bucket(f"{name}-source", key=key, days=SOURCE_DAYS, protected=protected, parent=parent)
    aws.s3.BucketNotification(f"{name}-source", bucket=bucket.id, eventbridge=True, opts=child)
    rule = aws.cloudwatch.EventRule(
        f"{name}-source",
        description=f"A new {SOURCE_OBJECT} starts {pipeline_name}",
        event_pattern=pulumi.Output.json_dumps(
            {
                "source": ["aws.s3"],
                "detail-type": ["Object Created"],
                "detail": {"bucket": {"name": [bucket.id]}, "object": {"key": [SOURCE_OBJECT]}},
            }
        ),
        opts=child,
    )
    pipeline_arn = place.arn("codepipeline", pipeline_name)
    role = aws.iam.Role(
        f"{name}-trigger",
        assume_role_policy=service_trust("events.amazonaws.com", account_id=place.account_id, source_arn=rule.arn),
        opts=child,
    )
    aws.iam.RolePolicy(
        f"{name}-trigger",
        role=role.id,
        policy=document(allow("StartOnePipeline", ["codepipeline:StartPipelineExecution"], [pipeline_arn])),
        opts=child,
    )
    aws.cloudwatch.EventTarget(f"{name}-source", rule=rule.name, arn=pipeline_arn, role_arn=role.arn, opts=child)
    return Origin(
        action={
            "owner": "AWS",
            "provider": "S3",
            "configuration": {
                "S3Bucket": bucket.id,
                "S3ObjectKey": SOURCE_OBJECT,
                "PollForSourceChanges": "false",
            },
        },
        statements=[
            allow(
                "ReadSource",
                ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging"],
                [pulumi.Output.concat(bucket.arn, "/", SOURCE_OBJECT)],
            ),
            allow("LookAtSource", ["s3:GetBucketVersioning", "s3:GetBucketAcl", "s3:GetBucketLocation"], [bucket.arn]),
        ],
        triggers=[],
        commit=CONTENT,
    )
