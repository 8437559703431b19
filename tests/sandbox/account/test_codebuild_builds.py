"""StartBuild and the other operations on builds, with a runner that records its calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from sandbox.contracts.build_record import new_build, utc
from sandbox.contracts.build_runner import BuildOrder
from tests.sandbox.account.conftest import World, refused


class RecordingRunner:
    """Implements `BuildRunner`; builds end when the test says so."""

    def __init__(self) -> None:
        self.orders: dict[str, BuildOrder] = {}
        self.records: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []

    def start(self, order: BuildOrder) -> None:
        self.calls.append(f"start {order.number}")
        self.orders[order.id] = order
        self.records[order.id] = new_build(order, utc(time.time()))

    def stop(self, id: str) -> None:
        self.calls.append("stop")
        self.end(id, "STOPPED")

    def end(self, id: str, status: str = "SUCCEEDED") -> None:
        self.records[id] |= {"buildStatus": status, "buildComplete": True}

    def build(self, id: str) -> Mapping[str, Any] | None:
        return self.records.get(id)

    def builds(self, project: str | None = None) -> Sequence[str]:
        return list(self.records)

    def delete(self, id: str) -> None:
        self.calls.append("delete")
        self.records.pop(id, None)


@pytest.fixture
def runner() -> RecordingRunner:
    return RecordingRunner()


@pytest.fixture
def world(start: Callable[..., World], runner: RecordingRunner) -> World:
    world = start(builds=runner)
    create_project(world)
    return world


def create_project(world: World, **changes: Any) -> None:
    request: dict[str, Any] = {
        "name": "p1",
        "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2"},
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {
            "type": "LINUX_CONTAINER",
            "image": "image",
            "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        },
    }
    if "serviceRole" not in changes:
        request["serviceRole"] = world.role("build", "codebuild")
    world.client("codebuild").create_project(**{**request, **changes})


def test_overrides_are_applied_to_the_build_only(world: World, runner: RecordingRunner) -> None:
    codebuild = world.client("codebuild")
    build = codebuild.start_build(
        projectName="p1",
        buildspecOverride="version: 0.2 # other",
        environmentVariablesOverride=[{"name": "B", "value": "3"}],
        timeoutInMinutesOverride=7,
        privilegedModeOverride=True,
        imageOverride="other",
    )["build"]
    assert build["id"].startswith("p1:")
    assert build["arn"] == f"arn:aws:codebuild:us-east-1:123456789012:build/{build['id']}"
    assert (build["buildNumber"], build["buildStatus"]) == (1, "IN_PROGRESS")
    assert build["timeoutInMinutes"] == 7
    assert build["logs"]["groupName"] == "/aws/codebuild/p1"
    project = runner.orders[build["id"]].project
    assert project["source"]["buildspec"] == "version: 0.2 # other"
    assert (project["environment"]["image"], project["environment"]["privilegedMode"]) == (
        "other",
        True,
    )
    variables = {v["name"]: v["value"] for v in project["environment"]["environmentVariables"]}
    assert variables == {"A": "1", "B": "3"}
    [stored] = codebuild.batch_get_projects(names=["p1"])["projects"]
    assert (stored["environment"]["image"], stored["timeoutInMinutes"]) == ("image", 60)


def test_restart_starts_no_build_again_and_keeps_ids(
    world: World, runner: RecordingRunner, start: Callable[..., World]
) -> None:
    codebuild = world.client("codebuild")
    ids = [codebuild.start_build(projectName="p1")["build"]["id"] for _ in range(3)]
    runner.records[ids[0]]["exportedEnvironmentVariables"] = [{"name": "X", "value": "1"}]
    codebuild.stop_build(id=ids[0])
    codebuild.batch_delete_builds(ids=ids[:2])
    runner.records["p1:unknown"] = {"id": "p1:unknown"}
    before = list(runner.calls)
    codebuild = start(builds=runner).client("codebuild")
    assert runner.calls == [*before, "delete"]
    assert "p1:unknown" not in runner.records
    assert codebuild.list_builds()["ids"] == [ids[2], ids[1]]
    assert codebuild.start_build(projectName="p1")["build"]["buildNumber"] == 4


def test_build_whose_record_is_lost_has_failed(world: World, runner: RecordingRunner) -> None:
    codebuild = world.client("codebuild")
    id = codebuild.start_build(projectName="p1")["build"]["id"]
    runner.records.clear()
    [build] = codebuild.batch_get_builds(ids=[id])["builds"]
    assert (build["buildStatus"], build["buildComplete"]) == ("FAILED", True)


def test_concurrent_build_limit_throttles(world: World, runner: RecordingRunner) -> None:
    create_project(
        world, name="p2", concurrentBuildLimit=1, serviceRole=world.role("b2", "codebuild")
    )
    codebuild = world.client("codebuild")
    id = codebuild.start_build(projectName="p2")["build"]["id"]
    with refused("AccountLimitExceededException", "Cannot have more than 1 builds in queue"):
        codebuild.start_build(projectName="p2")
    runner.end(id)
    codebuild.start_build(projectName="p2")


def test_same_idempotency_token_starts_one_build(world: World, runner: RecordingRunner) -> None:
    codebuild = world.client("codebuild")
    ids = {
        codebuild.start_build(projectName="p1", idempotencyToken="t")["build"]["id"]
        for _ in range(2)
    }
    assert len(ids) == 1
    assert runner.calls == ["start 1"]


def test_retry_keeps_the_overrides(world: World, runner: RecordingRunner) -> None:
    codebuild = world.client("codebuild")
    first = codebuild.start_build(projectName="p1", imageOverride="other")["build"]
    second = codebuild.retry_build(id=first["id"])["build"]
    assert second["buildNumber"] == 2
    assert runner.orders[second["id"]].project["environment"]["image"] == "other"


def test_running_build_is_not_deleted(world: World, runner: RecordingRunner) -> None:
    codebuild = world.client("codebuild")
    id = codebuild.start_build(projectName="p1")["build"]["id"]
    assert codebuild.batch_delete_builds(ids=[id, "p1:none"]) | {"ResponseMetadata": 0} == {
        "buildsDeleted": [],
        "buildsNotDeleted": [
            {"id": id, "statusCode": "BUILD_IN_PROGRESS"},
            {"id": "p1:none", "statusCode": "BUILD_NOT_FOUND"},
        ],
        "ResponseMetadata": 0,
    }
    runner.end(id)
    assert len(codebuild.batch_delete_builds(ids=[id])["buildsDeleted"]) == 1
    assert codebuild.batch_get_builds(ids=[id])["buildsNotFound"] == [id]


def test_ids_are_listed_in_pages_newest_first(world: World) -> None:
    codebuild = world.client("codebuild")
    ids = [codebuild.start_build(projectName="p1")["build"]["id"] for _ in range(101)]
    page = codebuild.list_builds_for_project(projectName="p1")
    assert page["ids"] == ids[:0:-1]
    last = codebuild.list_builds_for_project(projectName="p1", nextToken=page["nextToken"])
    assert last["ids"] == ids[:1]
    assert codebuild.list_builds(sortOrder="ASCENDING")["ids"] == ids[:100]


def test_refusals(world: World) -> None:
    codebuild = world.client("codebuild")
    with refused("ResourceNotFoundException", "Project cannot be found"):
        codebuild.start_build(projectName="none")
    with refused("ResourceNotFoundException", "Build cannot be found"):
        codebuild.stop_build(id="p1:none")
    with refused("InvalidInputException", "artifacts must both have the type CODEPIPELINE"):
        codebuild.start_build(projectName="p1", sourceTypeOverride="CODEPIPELINE")
    with refused("InvalidInputException", "location must be set"):
        codebuild.start_build(projectName="p1", sourceTypeOverride="S3")
    with refused("NotImplemented", "debugSessionEnabled"):
        codebuild.start_build(projectName="p1", debugSessionEnabled=True)
    with refused("ResourceNotFoundException", "Project cannot be found"):
        codebuild.list_builds_for_project(projectName="none")


def test_deleted_role_is_refused(world: World) -> None:
    world.client("iam").delete_role(RoleName="build")
    with refused("InvalidInputException", "CodeBuild is not authorized to perform: sts:AssumeRole"):
        world.client("codebuild").start_build(projectName="p1")


def test_account_without_a_runner_fails_builds_with_the_reason(
    start: Callable[..., World],
) -> None:
    world = start()
    create_project(world)
    codebuild = world.client("codebuild")
    id = codebuild.start_build(projectName="p1")["build"]["id"]
    [build] = codebuild.batch_get_builds(ids=[id])["builds"]
    assert build["buildStatus"] == "FAILED"
    assert "without a build runner" in build["phases"][-2]["contexts"][0]["message"]
