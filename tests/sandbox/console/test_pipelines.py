"""Pipelines of an emulated account in the console."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.console import RefusedError
from sandbox.console.account import Account
from sandbox.console.documents import Action, PipelineDocument
from sandbox.console.pipelines import Pipelines
from sandbox.console.stacks import Stacks
from sandbox.engine.state.backend import Backend
from sandbox.runtime.background import DaemonInfo
from sandbox.runtime.home import Home
from tests.sandbox.pipelines.conftest import PIPELINE, World, action, stage, world

__all__ = ["world"]  # the fixture

ARN = f"arn:aws:codepipeline:us-east-1:123456789012:{PIPELINE}"


@pytest.fixture
def pipelines(world: World, tmp_path: Path) -> Iterator[Pipelines]:
    home, project = Home(tmp_path / "home"), tmp_path / "project"
    project.mkdir()
    (project / "Pulumi.yaml").write_text("name: platform\nruntime: python\n")
    resource = {
        "urn": "urn:pulumi:dev::platform::aws:codepipeline/pipeline:Pipeline::pipeline",
        "type": "aws:codepipeline/pipeline:Pipeline",
        "custom": True,
        "outputs": {"name": PIPELINE, "arn": ARN},
    }
    Backend(home.state).write("platform", "dev", json.dumps({"resources": [resource]}), [])
    Backend(home.state).write("platform", "empty", "", [])
    running = DaemonInfo(
        pid=1,
        code="",
        time_scale=0,
        account=world.account.url,
        kubernetes="",
        registry="",
        providers={},
    )
    account = Account(Stacks(home, project), lambda _: running)
    yield Pipelines(account, project)


def document(pipelines: Pipelines, execution: str | None = None) -> PipelineDocument:
    shown = pipelines.document("dev", execution)
    assert shown is not None
    return shown


def shown_action(shown: PipelineDocument, name: str) -> Action:
    return next(item for part in shown.stages for item in part.actions if item.name == name)


def test_stack_without_pipeline_has_none(pipelines: Pipelines) -> None:
    assert pipelines.document("empty", None) is None
    with pytest.raises(RefusedError, match="Stack empty has no pipeline"):
        pipelines.start("empty")


def test_newest_execution_is_shown_with_its_actions(pipelines: Pipelines, world: World) -> None:
    first = world.create(stage("Build"))
    second = pipelines.start("dev")
    world.ended(second, "Succeeded")
    shown = document(pipelines)
    assert [item.id for item in shown.executions] == [second, first]
    assert shown.execution is not None
    assert shown.execution.id == second
    assert [(item.name, item.status) for item in shown.stages] == [
        ("Source", "Succeeded"),
        ("Build", "Succeeded"),
    ]
    build = shown_action(shown, "Build")
    assert build.build.startswith("build:")
    assert build.started is not None
    assert build.ended is not None
    assert document(pipelines, first).execution.id == first  # type: ignore[union-attr]


def test_failed_stage_is_retried(pipelines: Pipelines, world: World) -> None:
    world.builds.script("build", "FAILED", "SUCCEEDED")
    execution = world.create(stage("Build"))
    shown = document(pipelines)
    assert [item.status for item in shown.stages] == ["Succeeded", "Failed"]
    assert shown_action(shown, "Build").error
    pipelines.retry("dev", execution, "Build")
    world.ended(execution, "Succeeded")
    assert document(pipelines).stages[1].status == "Succeeded"


def test_approval_is_given_once(pipelines: Pipelines, world: World) -> None:
    request = {"CustomData": "Commit 1", "ExternalEntityLink": "javascript:alert(1)"}
    approval = action("Approve", "Manual", configuration=request)
    execution = world.create(stage("Approve", approval), wait=False)
    world.token()
    waiting = shown_action(document(pipelines), "Approve")
    assert (waiting.waiting, waiting.request, waiting.link) == (True, "Commit 1", "")
    pipelines.decide("dev", execution, "Approve", "Approve", "Approved", "tested")
    world.ended(execution, "Succeeded")
    with pytest.raises(RefusedError, match="does not wait for an approval"):
        pipelines.decide("dev", execution, "Approve", "Approve", "Approved", "")


def test_rejection_fails_the_execution(pipelines: Pipelines, world: World) -> None:
    execution = world.create(stage("Approve", action("Approve", "Manual")), wait=False)
    world.token()
    pipelines.decide("dev", execution, "Approve", "Approve", "Rejected", "not now")
    world.ended(execution, "Failed")
    assert "not now" in shown_action(document(pipelines), "Approve").error


def test_live_execution_is_stopped(pipelines: Pipelines, world: World) -> None:
    execution = world.create(stage("Approve", action("Approve", "Manual")), wait=False)
    world.token()
    pipelines.stop("dev", execution, abandon=True)
    world.ended(execution, "Stopped")
    shown = document(pipelines)
    assert shown.execution is not None
    assert not shown.execution.live


def test_log_continues_where_it_was_read(pipelines: Pipelines, world: World) -> None:
    hold = threading.Event()
    world.builds.script("build", hold=hold)
    execution = world.create(stage("Build"), wait=False)
    build = world.wait(lambda: shown_action(document(pipelines), "Build").build)
    logs = world.client("logs")
    place = {"logGroupName": "/aws/codebuild/build", "logStreamName": build.partition(":")[2]}
    logs.create_log_group(logGroupName=place["logGroupName"])
    logs.create_log_stream(**place)

    def write(line: str, timestamp: int) -> None:
        logs.put_log_events(**place, logEvents=[{"timestamp": timestamp, "message": f"{line}\n"}])

    now = int(1000 * world.summaries()[0]["startTime"].timestamp())
    write("first", now)
    page = pipelines.log("dev", build, 0)
    assert (page.lines, page.running) == (("first",), True)
    write("second", now + 1)
    page = pipelines.log("dev", build, page.next)
    assert (page.lines, page.next) == (("second",), 2)
    hold.set()
    world.ended(execution)
    assert pipelines.log("dev", build, 1).lines == ("second",)
    assert not pipelines.log("dev", build, 2).running


def test_unknown_execution_and_build_are_refused(pipelines: Pipelines, world: World) -> None:
    world.create(stage("Build"))
    with pytest.raises(RefusedError, match=f"{PIPELINE} has no execution 1"):
        pipelines.document("dev", "1")
    with pytest.raises(RefusedError, match="There is no build build:1"):
        pipelines.log("dev", "build:1", 0)


def test_refusal_of_the_account_has_its_message(pipelines: Pipelines, world: World) -> None:
    execution = world.create(stage("Build"))
    with pytest.raises(RefusedError) as refused:
        pipelines.retry("dev", execution, "Build")
    assert str(refused.value).strip()
    assert "Traceback" not in str(refused.value)


def test_account_that_does_not_respond_is_named(pipelines: Pipelines, world: World) -> None:
    world.create(stage("Build"))
    world.account.stop()
    with pytest.raises(RefusedError, match="The sandbox's account does not respond"):
        pipelines.document("dev", None)
