"""Projects that GitHub starts: the runner of GitHub Actions, previews and their comment."""

import json
from typing import Any

import pytest

from settings.sections import Preview, Source
from tests.components.factories import pipeline, record
from tests.components.pipeline.test_iam import statements
from tests.program.recording import Recording

CONNECTION = "arn:aws:codeconnections:us-east-1:123456789012:connection/1"
SOURCE = Source(kind="github", repository="a/b", branch="main", connection_arn=CONNECTION)
PREVIEW = Preview(
    enabled=True,
    branch="v1.x",
    state_bucket="state",
    state_key_arn="arn:aws:kms:eu-west-1:123456789012:key/1",
    comment_secret="github/comments",
)
PROJECT = "aws:codebuild/project:Project"
WEBHOOK = "aws:codebuild/webhook:Webhook"


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(lambda: pipeline("one", source=SOURCE, github_runner=True, preview=PREVIEW))


def variables(recording: Recording, project: str) -> dict[str, str]:
    entries = recording.one(PROJECT, project).inputs["environment"]["environmentVariables"]
    return {entry["name"]: entry["value"] for entry in entries}


def filters(recording: Recording, webhook: str) -> list[dict[str, Any]]:
    (group,) = recording.one(WEBHOOK, webhook).inputs["filterGroups"]
    result: list[dict[str, Any]] = group["filters"]
    return result


def test_nothing_is_created_by_default() -> None:
    assert record(lambda: pipeline("one", source=SOURCE)).all(WEBHOOK) == []


def test_runner_starts_for_queued_jobs_in_the_private_subnets(recording: Recording) -> None:
    assert filters(recording, "one-runner") == [{"type": "EVENT", "pattern": "WORKFLOW_JOB_QUEUED"}]
    runner = recording.one(PROJECT, "one-runner").inputs
    assert runner["vpcConfig"]["subnets"] == ["subnet-1"]
    assert runner["source"]["location"] == "https://github.com/a/b.git"
    assert runner["source"]["auth"] == {"type": "CODECONNECTIONS", "resource": CONNECTION}


def test_role_of_the_runner_can_only_log_clone_and_run_in_the_vpc(recording: Recording) -> None:
    assert set(statements(recording, "one-runner")) == {
        "WriteBuildLog",
        "ReadRepository",
        "CreateNetworkInterfaces",
        "GrantNetworkInterfacesToCodeBuild",
    }
    attached = {
        item.name for item in recording.all("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    }
    assert attached == {"one-preview"}


def test_builds_that_run_pulumi_have_a_docker_daemon(recording: Recording) -> None:
    privileged = {
        name: recording.one(PROJECT, f"one-{name}").inputs["environment"]["privilegedMode"]
        for name in ("runner", "preview", "comment")
    }
    assert privileged == {"runner": True, "preview": True, "comment": False}


def test_preview_starts_for_pull_requests_against_its_branch(recording: Recording) -> None:
    events = "PULL_REQUEST_CREATED,PULL_REQUEST_UPDATED,PULL_REQUEST_REOPENED"
    assert filters(recording, "one-preview") == [
        {"type": "EVENT", "pattern": events},
        {"type": "BASE_REF", "pattern": r"^refs/heads/v1\.x$"},
    ]
    policy = recording.one(WEBHOOK, "one-preview").inputs["pullRequestBuildPolicy"]
    assert policy == {"requiresCommentApproval": "FORK_PULL_REQUESTS"}
    preview = recording.one(PROJECT, "one-preview").inputs
    assert preview["source"]["reportBuildStatus"] is True
    assert preview["vpcConfig"]["subnets"] == ["subnet-1"]
    assert variables(recording, "one-preview") == {
        "STACK": "dev",
        "PULUMI_BACKEND_URL": "s3://state?region=eu-west-1",
    }


def test_role_of_the_preview_reads_only_and_has_no_token(recording: Recording) -> None:
    granted = statements(recording, "one-preview")
    (attachment,) = recording.all("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    assert attachment.inputs["policyArn"] == "arn:aws:iam::aws:policy/ReadOnlyAccess"
    assert granted["WriteResults"]["Resource"][0].endswith("/previews/*")
    assert granted["DenyOtherObjects"]["NotResource"] == ["arn:aws:s3:::state/*"]
    assert "secretsmanager:GetSecretValue" in granted["DenyData"]["Action"]
    associations = recording.all("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
    scopes = {item.name: item.inputs["accessScope"]["type"] for item in associations}
    assert scopes == {"one-deploy": "namespace", "one-preview": "cluster"}


def test_comment_runs_the_code_of_the_branch_after_each_preview(recording: Recording) -> None:
    comment = recording.one(PROJECT, "one-comment").inputs
    assert comment["sourceVersion"] == "v1.x"
    rule = recording.one("aws:cloudwatch/eventRule:EventRule", "one-comment").inputs
    assert json.loads(rule["eventPattern"])["detail"] == {
        "project-name": ["test-one-preview"],
        "build-status": ["SUCCEEDED", "FAILED"],
    }
    granted = statements(recording, "one-comment")
    (secret,) = granted["ReadToken"]["Resource"]
    assert secret.endswith(":secret:github/comments-??????")
    assert "WriteResults" not in granted


def test_preview_without_a_secret_comments_nothing() -> None:
    silent = PREVIEW.model_copy(update={"comment_secret": None})
    projects = record(lambda: pipeline("one", source=SOURCE, preview=silent)).all(PROJECT)
    names = {project.name for project in projects}
    assert "one-preview" in names
    assert names.isdisjoint({"one-comment", "one-runner"})
