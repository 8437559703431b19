"""Executions that the background process leaves behind."""

from __future__ import annotations

import threading

from tests.sandbox.pipelines.conftest import World, action, stage


def test_execution_continues_with_its_build_after_a_restart(world: World) -> None:
    hold = threading.Event()
    world.builds.script("build", hold=hold, exported={"DIGEST": "sha256:1"})
    id = world.create(
        stage("Build", action("Build", namespace="image")), stage("Deploy"), wait=False
    )
    world.wait(lambda: world.state("Build")["actionStates"][0].get("entityUrl"))
    world.restart()
    hold.set()
    world.ended(id, "Succeeded")
    assert len(world.builds.started("build")) == 1
    assert world.action(id, "Build")["output"]["outputVariables"] == {"DIGEST": "sha256:1"}


def test_execution_whose_build_was_lost_fails_with_a_reason(world: World) -> None:
    world.builds.script("build", hold=threading.Event())
    id = world.create(stage("Build"), wait=False)
    world.wait(lambda: world.state("Build")["actionStates"][0].get("entityUrl"))
    world.builds.delete(world.builds.started("build")[0])
    world.restart()
    world.ended(id, "Failed")
    assert world.error(id, "Build")["message"]


def test_approval_keeps_its_token_after_a_restart(world: World) -> None:
    id = world.create(stage("Approve", action("Approve", "Manual")), wait=False)
    token = world.token()
    world.restart()
    world.approve(token=token)
    world.ended(id, "Succeeded")


def test_restart_starts_no_execution_again(world: World) -> None:
    world.create(stage("Deploy"))
    world.ended(world.release(), "Succeeded")
    before, summaries = world.ids(), world.summaries()
    world.restart()
    assert world.ids() == before
    assert world.summaries() == summaries
    assert len(world.builds.started("deploy")) == 2


def test_waiting_execution_enters_its_stage_after_a_restart(world: World) -> None:
    world.create(stage("Deploy"), executionMode="QUEUED")
    hold = threading.Event()
    world.builds.script("deploy", hold=hold)
    ids = [world.release() for _ in range(2)]
    world.wait(lambda: world.state("Deploy").get("inboundExecutions"))
    world.restart()
    hold.set()
    for id in ids:
        world.ended(id, "Succeeded")
    assert [order.execution_id for order in world.builds.orders[1:]] == ids


def test_action_that_failed_before_a_restart_is_not_repeated(world: World) -> None:
    hold = threading.Event()
    world.builds.script("one", "FAILED")
    world.builds.script("two", hold=hold)
    id = world.create(stage("Build", action("One"), action("Two")), wait=False)
    world.wait(lambda: [a for a in world.actions(id) if a["status"] == "Failed"])
    world.wait(lambda: world.builds.started("two"))
    world.restart()
    hold.set()
    world.ended(id, "Failed")
    assert len(world.builds.started("one")) == 1
