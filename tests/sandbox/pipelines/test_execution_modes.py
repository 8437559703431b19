"""Several executions at once, transitions, and stops."""

from __future__ import annotations

import threading

from tests.sandbox.account.conftest import refused
from tests.sandbox.pipelines.conftest import PIPELINE, World, stage


def test_waiting_execution_is_superseded_by_a_newer_one(world: World) -> None:
    world.create(stage("Deploy"))
    hold = threading.Event()
    world.builds.script("deploy", hold=hold)
    running = world.release()
    world.wait(lambda: len(world.builds.started("deploy")) == 2)
    waiting = world.release()
    world.wait(lambda: world.state("Deploy").get("inboundExecutions"))
    newest = world.release()
    superseded = world.ended(waiting, "Superseded")
    assert superseded["statusSummary"] == f"Superseded by execution {newest}"
    hold.set()
    world.ended(running, "Succeeded")
    world.ended(newest, "Succeeded")
    assert len(world.builds.started("deploy")) == 3


def test_queued_executions_run_in_order(world: World) -> None:
    world.create(stage("Deploy"), executionMode="QUEUED")
    hold = threading.Event()
    world.builds.script("deploy", hold=hold)
    ids = [world.release() for _ in range(3)]
    world.wait(lambda: world.state("Deploy").get("inboundExecutions"))
    assert len(world.builds.started("deploy")) == 2
    hold.set()
    for id in ids:
        world.ended(id, "Succeeded")
    assert [order.execution_id for order in world.builds.orders[1:]] == ids


def test_parallel_executions_share_a_stage(world: World) -> None:
    world.create(stage("Deploy"), executionMode="PARALLEL")
    hold = threading.Event()
    world.builds.script("deploy", hold=hold)
    ids = [world.release() for _ in range(3)]
    world.wait(lambda: len(world.builds.started("deploy")) == 4)
    hold.set()
    for id in ids:
        world.ended(id, "Succeeded")


def test_disabled_transition_holds_executions_until_it_is_enabled(world: World) -> None:
    world.create(stage("Deploy"))
    transition = {"pipelineName": PIPELINE, "stageName": "Deploy", "transitionType": "Inbound"}
    world.pipelines.disable_stage_transition(**transition, reason="freeze")
    id = world.release()
    world.wait(lambda: world.state("Deploy").get("inboundExecutions"))
    assert world.execution(id)["status"] == "InProgress"
    world.pipelines.enable_stage_transition(**transition)
    world.ended(id, "Succeeded")


def test_stopped_execution_abandons_its_actions(world: World) -> None:
    world.builds.script("deploy", hold=threading.Event())
    id = world.create(stage("Deploy"), wait=False)
    world.wait(lambda: world.builds.started("deploy"))
    one = {"pipelineName": PIPELINE, "pipelineExecutionId": id}
    world.pipelines.stop_pipeline_execution(**one, abandon=True, reason="enough")
    execution = world.ended(id, "Stopped")
    assert execution["statusSummary"] == "enough"
    assert world.action(id, "Deploy")["status"] == "Abandoned"
    assert world.summaries()[0]["stopTrigger"] == {"reason": "enough"}
    with refused("PipelineExecutionNotStoppableException"):
        world.pipelines.stop_pipeline_execution(**one)


def test_stopping_execution_finishes_its_actions(world: World) -> None:
    hold = threading.Event()
    world.builds.script("build", hold=hold)
    id = world.create(stage("Build"), stage("Deploy"), wait=False)
    world.wait(lambda: world.builds.started("build"))
    one = {"pipelineName": PIPELINE, "pipelineExecutionId": id}
    world.pipelines.stop_pipeline_execution(**one, reason="later")
    assert world.execution(id)["status"] == "Stopping"
    with refused("DuplicatedStopRequestException"):
        world.pipelines.stop_pipeline_execution(**one)
    hold.set()
    world.ended(id, "Stopped")
    assert world.action(id, "Build")["status"] == "Succeeded"
    assert world.builds.started("deploy") == []


def test_updated_pipeline_cancels_executions_of_the_previous_version(world: World) -> None:
    hold = threading.Event()
    world.builds.script("build", hold=hold)
    id = world.create(stage("Build"), stage("Deploy"), wait=False)
    world.wait(lambda: world.builds.started("build"))
    pipeline = world.pipelines.get_pipeline(name=PIPELINE)["pipeline"]
    world.pipelines.update_pipeline(pipeline=pipeline)
    hold.set()
    assert "definition was updated" in world.ended(id, "Cancelled")["statusSummary"]
    assert world.builds.started("deploy") == []


def test_repeated_request_token_starts_one_execution(world: World) -> None:
    world.create(stage("Deploy"))
    ids = {world.release(clientRequestToken="once") for _ in range(2)}
    assert len(ids) == 1
    world.ended(ids.pop(), "Succeeded")
    assert len(world.ids()) == 2


def test_deleted_pipeline_has_no_executions_when_it_is_created_again(world: World) -> None:
    world.builds.script("deploy", hold=threading.Event())
    old = world.create(stage("Deploy"), wait=False)
    world.wait(lambda: world.builds.started("deploy"))
    world.pipelines.delete_pipeline(name=PIPELINE)
    new = world.create(stage("Deploy"), wait=False)
    assert world.ids() == [new] != [old]
