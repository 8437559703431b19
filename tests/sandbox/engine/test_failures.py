"""Failures: what continues, what is reported, what the state holds, and the next `up`."""

from __future__ import annotations

import os
import re
import signal
import subprocess

from tests.sandbox.engine.recording_provider import Kit
from tests.sandbox.engine.workspace import Workspace, messages, steps, wait_until_said


def test_failed_resource_does_not_stop_independent_ones_and_the_next_up_continues(
    workspace: Workspace, kit: Kit
) -> None:
    text = """
        a = Thing("a", FAIL)
        b = Thing("b", of=a.arn)
        c = Thing("c", Options(depends_on=[b]))
        d = Thing("d", pause=0.5)
        e = Thing("e", of=d.arn)
        pulumi.export("b", b.arn)
        pulumi.export("e", e.arn)
    """
    workspace.program(text.replace("FAIL", 'fail="create"'))
    up = workspace.json("up", expect=1)
    assert up["result"] == "failed"
    assert {thing["__name"] for thing in kit.things.values()} == {"d", "e"}
    assert messages(up) == f"{workspace.urn('d')[:-1]}a: the create of a went wrong"
    assert up["changes"]["create"] == 3
    assert set(workspace.resources()["demo-dev"]["outputs"]) == {"e"}
    workspace.program(text.replace("FAIL", "size=1"))
    assert steps(workspace.json("up")) == {"a": "create", "b": "create", "c": "create"}
    assert workspace.changes("preview") == {}


def test_failed_update_keeps_the_old_state_and_is_repeated(workspace: Workspace, kit: Kit) -> None:
    workspace.program('Thing("a", colour="red")')
    workspace.json("up")
    workspace.program('Thing("a", colour="blue", fail="update")')
    failed = workspace.json("up", expect=1)
    assert "the update of a went wrong" in messages(failed)
    assert workspace.resources()["a"]["inputs"]["colour"] == "red"
    workspace.program('Thing("a", colour="blue")')
    assert steps(workspace.json("up")) == {"a": "update"}


def test_partially_created_resource_is_recorded_and_updated_next(
    workspace: Workspace, kit: Kit
) -> None:
    workspace.program('Thing("a", fail="partial")')
    failed = workspace.json("up", expect=1)
    assert "made, but not ready" in messages(failed)
    assert workspace.resources()["a"]["id"] == "thing-1"
    assert workspace.resources()["a"]["initErrors"] == ["it never got ready"]
    assert workspace.state().get("pending_operations", []) == []
    workspace.program('Thing("a")')
    assert steps(workspace.json("up")) == {"a": "update"}
    assert len(kit.things) == 1
    assert "initErrors" not in workspace.resources()["a"]


def test_large_partially_created_resource_is_recorded(workspace: Workspace, kit: Kit) -> None:
    workspace.program('Thing("a", fail="partial", data="x" * 100_000)')
    assert "made, but not ready" in messages(workspace.json("up", expect=1))
    workspace.program('Thing("a", data="x" * 100_000)')
    assert steps(workspace.json("up")) == {"a": "update"}
    assert len(kit.things) == 1


def test_failing_delete_keeps_its_dependencies_and_deletes_the_rest(
    workspace: Workspace, kit: Kit
) -> None:
    workspace.program("""
        a = Thing("a")
        b = Thing("b", Options(depends_on=[a]))
        c = Thing("c")
    """)
    workspace.json("up")
    kit.broken.add("delete b")
    failed = workspace.json("destroy", expect=1)
    assert "the delete of b went wrong" in messages(failed)
    assert {thing["__name"] for thing in kit.things.values()} == {"a", "b"}
    kit.broken.clear()
    assert workspace.changes("destroy") == {"delete": 3}
    assert not kit.things


def test_exception_shows_the_programs_frames_and_deletes_nothing(
    workspace: Workspace, kit: Kit
) -> None:
    workspace.program('Thing("a")')
    workspace.json("up")
    workspace.program('b = Thing("b")\nraise ValueError("no good")')
    failed = workspace.json("up", expect=1)
    text = messages(failed)
    assert "ValueError: no good" in text
    assert "__main__.py" in text
    assert "program_host" not in text
    assert "runpy" not in text
    assert {thing["__name"] for thing in kit.things.values()} == {"a", "b"}


def test_run_error_shows_its_message_without_traceback(workspace: Workspace) -> None:
    workspace.program('raise pulumi.RunError("the stack file lacks a name")')
    failed = workspace.json("preview", expect=1)
    assert messages(failed) == ": the stack file lacks a name"


def test_failed_function_shows_its_message_and_the_programs_line(workspace: Workspace) -> None:
    workspace.program('x = 1\npulumi.runtime.invoke("pulumi:pulumi:nope", {})')
    text = messages(workspace.json("preview", expect=1))
    assert "Traceback" not in text
    assert "pulumi:pulumi:nope" in text
    assert re.search(r"\n    at .*__main__\.py:\d+$", text), text


def test_program_exit_code_is_reported_with_its_stderr(workspace: Workspace) -> None:
    workspace.program(
        'import os, sys\nsys.stderr.write("last words\\n"); sys.stderr.flush()\nos._exit(9)'
    )
    failed = workspace.json("up", expect=1)
    assert "exited with code 9" in messages(failed)
    assert "last words" in messages(failed)


def test_missing_provider_is_reported_with_remedy(workspace: Workspace) -> None:
    workspace.program("""
        class Other(pulumi.CustomResource):
            def __init__(self, name):
                super().__init__("other:index:Thing", name, {})
        Other("x")
        Thing("a")
    """)
    failed = workspace.json("up", expect=1)
    assert "no provider for package 'other' (attached: kit)" in messages(failed)
    assert "PULUMI_DEBUG_PROVIDERS=other:PORT" in messages(failed)


def test_check_failures_name_the_property(workspace: Workspace, kit: Kit) -> None:
    workspace.program('Thing("a", bad=1)')
    failed = workspace.json("preview", expect=1)
    assert messages(failed).endswith("::a: bad: it is not allowed")
    assert not kit.things


def test_duplicate_urn_is_refused(workspace: Workspace, kit: Kit) -> None:
    workspace.program('Thing("a")\nThing("a")')
    failed = workspace.json("up", expect=1)
    assert "Two resources have the URN" in messages(failed)
    assert len(kit.things) == 1


def test_pending_operations_of_a_killed_engine_are_reported_by_the_next_up(
    workspace: Workspace, kit: Kit
) -> None:
    workspace.program("""
        a = Thing("a")
        b = Thing("b", of=a.arn, hold=True)
        c = Thing("c", of=b.arn)
    """)
    process = subprocess.Popen(
        workspace.command("up"),
        env=workspace.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    kit.wait_for("create", "b")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kit.released.set()
    assert [item["type"] for item in workspace.state()["pending_operations"]] == ["creating"]
    assert "a" in workspace.resources()
    up = workspace.json("up")
    assert "An earlier run was interrupted while creating it" in messages(up, "warning")
    assert {"b", "c"} <= steps(up).keys()
    assert "a" not in steps(up)
    assert [item["type"] for item in workspace.state()["pending_operations"]] == ["creating"]
    assert workspace.changes("preview") == {}
    workspace.json("refresh", "--clear-pending-creates")
    assert workspace.state().get("pending_operations", []) == []


def test_locked_stack_is_refused_with_the_lock_holder(workspace: Workspace, kit: Kit) -> None:
    workspace.program('Thing("a", hold=True)')
    process = subprocess.Popen(
        workspace.command("up"),
        env=workspace.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    kit.wait_for("create", "a")
    refused = workspace.json("up", expect=1)
    assert f"pid {process.pid}" in messages(refused)
    kit.released.set()
    assert process.wait(timeout=240) == 0


def test_interrupt_waits_for_running_steps_and_records_them(workspace: Workspace, kit: Kit) -> None:
    workspace.program('a = Thing("a", hold=True)\nb = Thing("b", of=a.arn)')
    process = subprocess.Popen(
        workspace.command("up", "--json"),
        env=workspace.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    kit.wait_for("create", "a")
    os.kill(process.pid, signal.SIGINT)
    wait_until_said(process, "Waiting for running steps to finish")
    kit.released.set()
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "Interrupted" in out
    assert "a" in workspace.resources()
    assert workspace.state().get("pending_operations", []) == []
    workspace.program('a = Thing("a", hold=False)\nb = Thing("b", of=a.arn)')
    assert workspace.json("up")["result"] == "succeeded"
    assert len(kit.things) == 2
