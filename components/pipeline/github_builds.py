"""CodeBuild projects that GitHub starts by webhooks: a runner of GitHub Actions, and previews."""

from typing import Any

import pulumi
import pulumi_aws as aws

from components.aws.context import AwsContext
from components.aws.iam import document
from components.pipeline import iam
from components.pipeline.args import PreviewSettings, SourceSettings
from components.pipeline.codebuild import BuildProject, GitHubSource, ProjectFactory
from components.pipeline.stack_access import backend_url, grant_reading, read_state

RUNNER, PREVIEW, COMMENT = "runner", "preview", "comment"
RESULTS = "previews"
"""Folder of the artifact bucket with the results of previews."""
# CodeBuild replaces the buildspec of a runner's build
# (https://docs.aws.amazon.com/codebuild/latest/userguide/action-runner-questions.html).
NO_COMMANDS = "version: 0.2\nphases:\n  build:\n    commands: ['true']\n"
PULL_REQUEST_EVENTS = "PULL_REQUEST_CREATED,PULL_REQUEST_UPDATED,PULL_REQUEST_REOPENED"


def github_runner(factory: ProjectFactory, source: SourceSettings) -> None:
    """Create the project `<prefix>-runner`, which runs one job of GitHub Actions per build.

    A workflow selects it with `runs-on: codebuild-PROJECT-RUN_ID-RUN_ATTEMPT`. Its role may clone
    the repository only: a job assumes a role of its own by OpenID Connect.
    """
    runner = factory.project(
        RUNNER,
        minutes=90,
        in_vpc=True,
        privileged=True,  # a job that runs Pulumi needs a Docker daemon, as a preview does
        environment={},
        github=_repository(source),
        buildspec=NO_COMMANDS,
    )
    _webhook(factory, RUNNER, runner, [{"type": "EVENT", "pattern": "WORKFLOW_JOB_QUEUED"}])


def pull_request_previews(
    factory: ProjectFactory,
    *,
    stack: str,
    source: SourceSettings,
    settings: PreviewSettings,
    cluster_name: pulumi.Input[str],
) -> None:
    """Create the project that previews pull requests, and the one that comments on them.

    A preview runs the code of a pull request, so its role may read only, and never the token of
    the comment. A build of the branch reads the result as data and writes the comment.
    Pull requests of forks wait for the approval of somebody who may push.
    """
    bucket, key, context = factory.bucket, factory.key, factory.context
    state_bucket, state_key_arn = settings.state_bucket or "", settings.state_key_arn or ""
    repository = _repository(source, report_status=True)
    preview = factory.project(
        PREVIEW,
        minutes=30,
        in_vpc=True,  # a private endpoint of the cluster is in the VPC
        # Pulumi's Docker provider connects to a daemon even for images that it does not build
        # (https://github.com/pulumi/pulumi-docker/issues/619).
        privileged=True,
        environment={
            "STACK": stack,
            "PULUMI_BACKEND_URL": backend_url(state_bucket, state_key_arn),
        },
        statements=[
            *read_state(factory, bucket=state_bucket, key_arn=state_key_arn),
            *iam.write_results(bucket.arn, key.arn, RESULTS, context),
        ],
        github=repository,
        artifacts={
            "type": "S3",
            "location": bucket.id,
            "path": RESULTS,
            "namespace_type": "BUILD_ID",
            "name": "/",
            "packaging": "NONE",
        },
    )
    grant_reading(factory, PREVIEW, preview, cluster_name)
    _webhook(
        factory,
        PREVIEW,
        preview,
        [
            {"type": "EVENT", "pattern": PULL_REQUEST_EVENTS},
            {"type": "BASE_REF", "pattern": f"^refs/heads/{_escaped(settings.branch)}$"},
        ],
        pull_request_build_policy={"requires_comment_approval": "FORK_PULL_REQUESTS"},
    )
    if settings.comment_secret is not None:
        _comment(
            factory,
            preview,
            stack=stack,
            secret=settings.comment_secret,
            repository=_repository(source, branch=settings.branch),
            context=context,
        )


def _comment(
    factory: ProjectFactory,
    preview: BuildProject,
    *,
    stack: str,
    secret: str,
    repository: GitHubSource,
    context: AwsContext,
) -> None:
    """Create the project that comments, and the rule that starts it after each preview."""
    child = pulumi.ResourceOptions(parent=factory.parent)
    name = f"{factory.name}-{COMMENT}"
    # Secrets Manager appends six characters to the name in the ARN.
    secret_arn = context.arn("secretsmanager", f"secret:{secret}-??????")
    comment = factory.project(
        COMMENT,
        minutes=15,
        environment={
            "STACK": stack,
            "BUCKET": factory.bucket.id,
            "RESULTS": RESULTS,
            "GITHUB_REPOSITORY": repository.repository,
            "TOKEN_SECRET": secret,
        },
        statements=[
            *iam.write_comment(preview.project.arn, secret_arn),
            *iam.read_results(factory.bucket.arn, factory.key.arn, RESULTS, context),
        ],
        github=repository,
    )
    detail = {"project-name": [preview.project.name], "build-status": ["SUCCEEDED", "FAILED"]}
    rule = aws.cloudwatch.EventRule(
        name,
        description=f"The end of a preview of {stack} starts the build that comments on it",
        event_pattern=pulumi.Output.json_dumps(
            {
                "source": ["aws.codebuild"],
                "detail-type": ["CodeBuild Build State Change"],
                "detail": detail,
            }
        ),
        opts=child,
    )
    role = aws.iam.Role(
        f"{name}-trigger", assume_role_policy=iam.trigger_trust(context, rule.arn), opts=child
    )
    aws.iam.RolePolicy(
        f"{name}-trigger",
        role=role.id,
        policy=document(*iam.start_build(comment.project.arn)),
        opts=child,
    )
    override = '{"name": "PREVIEW_BUILD", "type": "PLAINTEXT", "value": <build>}'
    aws.cloudwatch.EventTarget(
        name,
        rule=rule.name,
        arn=comment.project.arn,
        role_arn=role.arn,
        input_transformer={
            "input_paths": {"build": "$.detail.build-id"},
            "input_template": f'{{"environmentVariablesOverride": [{override}]}}',
        },
        opts=child,
    )


def _repository(
    source: SourceSettings, *, branch: str | None = None, report_status: bool = False
) -> GitHubSource:
    return GitHubSource(
        repository=source.repository or "",
        connection_arn=source.connection_arn or "",
        branch=branch,
        report_status=report_status,
    )


def _webhook(
    factory: ProjectFactory,
    step: str,
    project: BuildProject,
    filters: list[dict[str, Any]],
    **more: Any,
) -> None:
    """Start a build for each event that passes all filters."""
    group: Any = {"filters": filters}
    aws.codebuild.Webhook(
        f"{factory.name}-{step}",
        project_name=project.project.name,
        build_type="BUILD",
        filter_groups=[group],
        opts=pulumi.ResourceOptions(parent=factory.parent),
        **more,
    )


def _escaped(branch: str) -> str:
    """Escape a branch in a pattern of CodeBuild, a regular expression."""
    return branch.replace(".", r"\.")
