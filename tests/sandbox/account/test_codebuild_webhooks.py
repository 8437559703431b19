"""Webhooks of projects: what AWS refuses, and the builds that events of a repository start."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from sandbox.contracts.source_event import SourceEvent
from tests.sandbox.account.conftest import World, refused
from tests.sandbox.account.test_codebuild_builds import RecordingRunner, create_project

LOCATION = "https://github.com/example/platform.git"
OPENED = SourceEvent(
    repository="example/platform",
    kind="PULL_REQUEST_CREATED",
    head_ref="refs/pull/7/main",
    base_ref="refs/heads/main",
    commit="c" * 40,
    pull_request=7,
)
FILTERS = [
    {"type": "EVENT", "pattern": "PULL_REQUEST_CREATED,PULL_REQUEST_UPDATED"},
    {"type": "BASE_REF", "pattern": "^refs/heads/main$"},
]


@pytest.fixture
def runner() -> RecordingRunner:
    return RecordingRunner()


@pytest.fixture
def world(start: Callable[..., World], runner: RecordingRunner) -> World:
    return start(builds=runner)


def connection(world: World, *, accepted: bool = True) -> str:
    client = world.client("codeconnections")
    response = client.create_connection(ConnectionName="github", ProviderType="GitHub")
    arn = str(response["ConnectionArn"])
    if accepted:
        world.admin("POST", "handshake", {"connection": arn})
    return arn


def github_project(world: World, arn: str | None = None, *, permitted: bool = True) -> None:
    """Create the project p1, whose role may use the connection if `permitted`.

    The role trusts CodeBuild on behalf of this project only, as the program's roles do.
    """
    role = world.role("build", "codebuild")
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "codebuild.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": "123456789012"},
            "ArnLike": {"aws:SourceArn": "arn:aws:codebuild:us-east-1:123456789012:project/p1"},
        },
    }
    world.client("iam").update_assume_role_policy(
        RoleName=role.rpartition("/")[2],
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    if arn is not None and permitted:
        action = {"Effect": "Allow", "Action": "codeconnections:GetConnectionToken"}
        document = {"Version": "2012-10-17", "Statement": [{**action, "Resource": arn}]}
        world.client("iam").put_role_policy(
            RoleName=role.rpartition("/")[2],
            PolicyName="connection",
            PolicyDocument=json.dumps(document),
        )
    auth = {"auth": {"type": "CODECONNECTIONS", "resource": arn}} if arn else {}
    create_project(world, serviceRole=role, source={"type": "GITHUB", "location": LOCATION, **auth})


def create_webhook(world: World, **more: Any) -> dict[str, Any]:
    request = {"projectName": "p1", "filterGroups": [FILTERS], **more}
    webhook: dict[str, Any] = world.client("codebuild").create_webhook(**request)["webhook"]
    return webhook


def report(world: World, event: SourceEvent) -> list[str]:
    builds: list[str] = world.admin("POST", "codebuild/source-event", asdict(event))["builds"]
    return builds


def test_webhook_without_a_credential_is_refused(world: World) -> None:
    github_project(world)
    with refused("ResourceNotFoundException", "Could not find access token for server type github"):
        create_webhook(world)


def test_webhook_is_created_with_the_credential_of_the_region(world: World) -> None:
    github_project(world)
    world.client("codebuild").import_source_credentials(
        serverType="GITHUB", authType="PERSONAL_ACCESS_TOKEN", token="t"
    )
    assert create_webhook(world)["url"].startswith("https://api.github.com/repos/example/platform/")
    with refused("ResourceAlreadyExistsException", "Webhook already exists for the project p1"):
        create_webhook(world)


def test_role_without_access_to_the_connection_is_refused(world: World) -> None:
    arn = connection(world)
    github_project(world, arn, permitted=False)
    with refused("InvalidInputException", f"Access denied to connection {arn}"):
        create_webhook(world)


def test_pending_connection_is_refused(world: World) -> None:
    arn = connection(world, accepted=False)
    github_project(world, arn)
    with refused("InvalidInputException", "its status is PENDING"):
        create_webhook(world)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        (FILTERS[1:], "must contain exactly one filter of type EVENT"),
        ([{"type": "EVENT", "pattern": "PULL_REQUEST_OPENED"}], "unknown event"),
        ([*FILTERS[:1], {"type": "BASE_REF", "pattern": "("}], "Invalid webhook filter pattern"),
    ],
)
def test_invalid_filters_are_refused(
    world: World, filters: list[dict[str, str]], message: str
) -> None:
    github_project(world, connection(world))
    with refused("InvalidInputException", message):
        create_webhook(world, filterGroups=[filters])


def test_selected_pull_request_starts_a_build_of_its_version(
    world: World, runner: RecordingRunner
) -> None:
    github_project(world, connection(world))
    create_webhook(world)
    (arn,) = report(world, OPENED)
    (order,) = runner.orders.values()
    assert (order.arn, order.source_version, order.initiator) == (
        arn,
        "pr/7",
        "GitHub-Hookshot/sandbox",
    )
    assert order.variables == {
        "CODEBUILD_WEBHOOK_EVENT": "PULL_REQUEST_CREATED",
        "CODEBUILD_WEBHOOK_HEAD_REF": "refs/pull/7/main",
        "CODEBUILD_WEBHOOK_BASE_REF": "refs/heads/main",
        "CODEBUILD_WEBHOOK_TRIGGER": "pr/7",
    }
    build = world.client("codebuild").batch_get_builds(ids=[arn])["builds"][0]
    assert build["sourceVersion"] == "pr/7"


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "PULL_REQUEST_CLOSED"},
        {"base_ref": "refs/heads/other"},
        {"repository": "example/other"},
    ],
)
def test_event_that_no_filter_selects_starts_no_build(world: World, change: dict[str, str]) -> None:
    github_project(world, connection(world))
    create_webhook(world)
    assert report(world, SourceEvent(**{**asdict(OPENED), **change})) == []


def test_rule_starts_a_build_with_the_overrides_of_its_input(
    world: World, runner: RecordingRunner
) -> None:
    create_project(world)
    arn = "arn:aws:codebuild:us-east-1:123456789012:project/p1"
    role = world.role("rule", "events")
    action = {"Effect": "Allow", "Action": "codebuild:StartBuild", "Resource": arn}
    events, iam = world.client("events"), world.client("iam")
    pattern = {"source": ["test"]}
    events.put_rule(Name="comment", EventPattern=json.dumps(pattern), State="ENABLED")
    override = '{"name": "PREVIEW", "type": "PLAINTEXT", "value": <build>}'
    transformer = {
        "InputPathsMap": {"build": "$.detail.build-id"},
        "InputTemplate": f'{{"environmentVariablesOverride": [{override}]}}',
    }
    target = {"Id": "1", "Arn": arn, "RoleArn": role, "InputTransformer": transformer}
    events.put_targets(Rule="comment", Targets=[target])
    detail = json.dumps({"build-id": "arn:b"})
    entry = {"Source": "test", "DetailType": "end", "Detail": detail}
    events.put_events(Entries=[entry])
    assert not runner.orders, "the role of the target may not start builds"
    iam.put_role_policy(
        RoleName=role.rpartition("/")[2],
        PolicyName="start",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [action]}),
    )
    events.put_events(Entries=[entry])
    (order,) = runner.orders.values()
    variables = order.project["environment"]["environmentVariables"]
    assert variables[-1] == {"name": "PREVIEW", "type": "PLAINTEXT", "value": "arn:b"}
    assert order.initiator == "rule/comment"
