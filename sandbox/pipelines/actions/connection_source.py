"""The action Source/CodeStarSourceConnection: archives a commit of a connected repository."""

from __future__ import annotations

from botocore.exceptions import ClientError

from sandbox.pipelines.actions.action import ActionContext, ActionError, ActionResult
from sandbox.pipelines.records import Revision
from sandbox.pipelines.repositories import RepositoryError


def fetch_commit(context: ActionContext) -> ActionResult:
    """Store the archive of the requested commit, or of the branch's newest, as output artifact."""
    configuration, execution = context.configuration, context.execution
    arn, repository = configuration["ConnectionArn"], configuration["FullRepositoryId"]
    _check_connection(context, arn)
    output_format = configuration.get("OutputArtifactFormat") or "CODE_ZIP"
    if output_format != "CODE_ZIP":
        raise ActionError(
            "ConfigurationError",
            f"OutputArtifactFormat {output_format} is not emulated by the sandbox; use CODE_ZIP",
        )
    branch = execution.requested_branches.get(context.name) or configuration["BranchName"]
    revision = execution.requested_revisions.get(context.name) or f"refs/heads/{branch}"
    try:
        commit = context.repositories.commit(repository, revision)
        archive = context.repositories.archive(repository, commit.id)
    except RepositoryError as error:
        raise ActionError("ConfigurationError", str(error)) from None
    return ActionResult(
        summary=commit.subject,
        # Source: CodePipeline User Guide, "Variables available for CodeStarSourceConnection".
        variables={
            "AuthorDate": commit.author_date,
            "AuthorDisplayName": commit.author_name,
            "AuthorEmail": commit.author_email,
            "BranchName": branch,
            "CommitId": commit.id,
            "CommitMessage": commit.message,
            "ConnectionArn": arn,
            "FullRepositoryName": repository,
        },
        outputs=context.upload(archive),
        revision=Revision(id=commit.id, summary=commit.subject),
    )


def _check_connection(context: ActionContext, arn: str) -> None:
    service, region = arn.split(":")[2], arn.split(":")[3]
    try:
        context.permits(context.role.access_key, region, f"{service}:UseConnection", arn)
    except PermissionError as error:
        raise ActionError(
            "PermissionError",
            f"Unable to use Connection: {arn}. The provided role does not have sufficient "
            f"permissions: {error}",
        ) from None
    try:
        response = context.clients.own(service, region).get_connection(ConnectionArn=arn)
    except ClientError as error:
        raise ActionError("ConfigurationError", error.response["Error"]["Message"]) from None
    status = response["Connection"]["ConnectionStatus"]
    if status != "AVAILABLE":
        raise ActionError(
            "ConfigurationError",
            f"Connection {arn} is {status}, not AVAILABLE; `sandbox connection accept` completes "
            "it in the sandbox, and a person in the AWS console on AWS",
        )
