"""`sandbox pipeline …` against an account whose builds end as the test says."""

from __future__ import annotations

import io
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from sandbox.account.core import moto_setup
from sandbox.cli import pipeline, release
from sandbox.cli.output import Output
from sandbox.cli.pipeline_session import PipelineSession
from sandbox.cli.pipeline_watch import Watch
from sandbox.runtime.home import Home
from tests.sandbox.pipelines.conftest import PIPELINE, World, action, stage

STAGES = (
    stage("Build"),
    stage("Approve", action("Approve", "Manual")),
    stage("Deploy"),
)
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    moto_setup.install()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "false")
        world = World(tmp_path_factory.mktemp("account"))
        world.prepare()
        first = world.create(*STAGES, wait=False)
        world.approve()
        world.ended(first, "Succeeded")
        yield world
        world.stop()


@pytest.fixture
def world(account: World) -> Iterator[World]:
    account.builds.scripts.clear()
    yield account
    for item in account.summaries():
        if item["status"] == "InProgress":
            account.pipelines.stop_pipeline_execution(
                pipelineName=PIPELINE,
                pipelineExecutionId=item["pipelineExecutionId"],
                abandon=True,
            )


@pytest.fixture
def session(world: World, tmp_path: Path) -> PipelineSession:
    return PipelineSession(
        home=Home(tmp_path / "home"),
        stack="dev",
        name=PIPELINE,
        region="us-east-1",
        url=world.account.url,
    )


@pytest.fixture
def run(session: PipelineSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command with the account's pipeline as that of the stack `dev`."""
    (tmp_path / "Pulumi.yaml").write_text("name: platform\nruntime: python\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SANDBOX_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(pipeline, "open_pipeline", lambda _stack, _output, _service=None: session)
    # The stack has no outputs, so no service is reported.
    monkeypatch.setattr(release, "require_state", lambda _stack: (session.home, "platform", ""))
    monkeypatch.setattr(release, "stack_outputs", lambda *_arguments, **_options: {})

    def invoke(command: str, *arguments: str) -> Result:
        return CliRunner().invoke(pipeline.pipeline, [command, "dev", *arguments])

    return invoke


def document(result: Result) -> dict[str, Any]:
    assert result.stdout, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_status_shows_stages_and_executions(world: World, run: Run) -> None:
    shown = document(run("status", "--json"))
    assert [item["stageName"] for item in shown["stages"]] == [
        "Source",
        "Build",
        "Approve",
        "Deploy",
    ]
    assert shown["executions"][0]["pipelineExecutionId"] == world.ids()[0]
    text = run("status").stdout
    assert text.startswith("release, version 1")
    assert "Succeeded" in text


def test_approve_completes_the_release(world: World, run: Run) -> None:
    id = world.release()
    world.token()
    result = run("approve", "-m", "looks good")
    assert (result.exit_code, result.stdout) == (0, "Approved Approve/Approve.\n")
    world.ended(id, "Succeeded")
    assert "no action of release waits" in run("approve").stderr


def test_reject_fails_the_execution_with_the_message(world: World, run: Run) -> None:
    id = world.release()
    world.token()
    assert run("reject", "-m", "not today").exit_code == 0
    world.ended(id, "Failed")
    assert world.error(id, "Approve")["message"] == "not today"


def test_watch_prints_actions_and_fails_with_the_execution(world: World, run: Run) -> None:
    world.builds.script("build", "FAILED")
    id = world.release()
    result = run("watch", "--execution", id[:8])
    assert result.exit_code == 1
    assert "✗ Build/Build" in result.stdout
    assert "Stage Build: action Build failed: Build terminated with state: FAILED" in result.stderr


def test_start_follows_to_the_approval(world: World, run: Run) -> None:
    world.builds.script("build", "FAILED")
    shown = document(run("start", "--json"))
    assert shown["result"] == "failed"
    assert shown["execution"] == world.ids()[0]


def test_stop_abandons_the_running_build(world: World, run: Run) -> None:
    world.builds.script("build", hold=threading.Event())
    started = len(world.builds.started("build"))
    id = world.release()
    world.wait(lambda: len(world.builds.started("build")) > started)
    shown = document(run("stop", "--reason", "wrong commit", "--json"))
    assert shown["execution"] == id
    assert world.ended(id, "Stopped")["statusSummary"] == "wrong commit"
    assert world.action(id, "Build")["status"] == "Abandoned"
    assert run("stop").exit_code == 2


def test_retry_runs_the_failed_stage_again(world: World, run: Run) -> None:
    world.builds.script("build", "FAILED", "SUCCEEDED")
    id = world.release()
    world.ended(id, "Failed")
    approval = threading.Thread(target=lambda: world.approve(token=world.token()))
    approval.start()
    result = run("retry")
    approval.join()
    assert result.exit_code == 0, result.stdout + result.stderr
    assert world.execution(id)["status"] == "Succeeded"
    assert "has not failed" in run("retry").stderr


def test_approval_that_another_person_decided_meanwhile_is_no_error(
    world: World, session: PipelineSession, capsys: pytest.CaptureFixture[str]
) -> None:
    id = world.release()
    token = world.token()
    world.approve(token=token)
    world.ended(id, "Succeeded")
    output = Output(as_json=False)
    release._decide(session, ("Approve", "Approve", token), output, approve=True)
    assert "the approval of Approve was decided meanwhile" in capsys.readouterr().err


def test_rollback_deploys_the_previous_release(world: World, run: Run) -> None:
    for _ in range(2):
        id = world.release()
        world.approve(token=world.token())
        world.ended(id, "Succeeded")
    previous = world.ids()[1]
    shown = document(run("rollback", "--json"))
    assert shown["result"] == "succeeded"
    assert world.execution(shown["execution"])["rollbackMetadata"] == {
        "rollbackTargetPipelineExecutionId": previous
    }
    assert run("rollback", "--to", "ffffffff").exit_code == 2


def test_logs_prints_those_of_each_build(world: World, run: Run) -> None:
    id = world.release()
    world.token()
    build = world.action(id, "Build")["output"]["executionResult"]["externalExecutionId"]
    logs, stream = world.client("logs"), build.partition(":")[2]
    logs.create_log_group(logGroupName="/aws/codebuild/build")
    names = {"logGroupName": "/aws/codebuild/build", "logStreamName": stream}
    logs.create_log_stream(**names)
    event = {"timestamp": int(time.time() * 1000), "message": "compiled\n"}
    logs.put_log_events(logEvents=[event], **names)
    result = run("logs")
    assert result.stdout == f"Build/Build  {build}\ncompiled\n"
    assert run("logs", "--action", "Deploy").stdout == ""


@pytest.mark.parametrize("width", [60, 120])
def test_running_actions_fit_the_terminal(
    world: World, session: PipelineSession, width: int
) -> None:
    world.builds.script("build", hold=threading.Event())
    started = len(world.builds.started("build"))
    id = world.release()
    world.wait(lambda: len(world.builds.started("build")) > started)
    output = Output(as_json=False)
    output.text = Console(width=width, force_terminal=True, file=io.StringIO(), soft_wrap=True)
    watch = Watch(session, id, output, verbose=False)
    watch._tails[watch.actions()[-1]["actionExecutionId"]] = deque(["x" * 200])
    with output.text.capture() as capture:
        output.text.print(watch._picture(watch.actions()), soft_wrap=False)
    lines = capture.get().rstrip("\n").split("\n")
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    assert re.match(r"● Build/Build +\d+\.\d s", plain[0]), plain
    assert len(plain) == 2
    assert max(map(len, plain)) <= width
