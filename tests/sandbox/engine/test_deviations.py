"""Deliberate differences from the Pulumi CLI, with and without them."""

from __future__ import annotations

import os
import signal

import pytest

from sandbox.engine import Deviations
from tests.sandbox.engine.recording_provider import Kit
from tests.sandbox.engine.workspace import Workspace


class InterruptingCalls(list[tuple[str, str]]):
    """The provider's calls; the deletion of `b` interrupts this process."""

    def append(self, call: tuple[str, str]) -> None:
        super().append(call)
        if call == ("delete", "b"):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(("fail", "result"), [(True, "failed"), (False, "succeeded")])
def test_interrupt_during_deletions_fails_on_request(
    workspace: Workspace, kit: Kit, fail: bool, result: str
) -> None:
    workspace.program('a = Thing("a")\nb = Thing("b", of=a.arn)')
    workspace.json("up")
    kit.calls = InterruptingCalls()
    deviations = Deviations(fail_interrupted_deletions=fail)
    assert workspace.perform("destroy", deviations=deviations).result == result
    assert [thing["__name"] for thing in kit.things.values()] == ["a"]
    assert "b" not in workspace.resources()


@pytest.mark.parametrize("refuse", [True, False])
def test_destroy_with_a_protected_resource_deletes_nothing_on_request(
    workspace: Workspace, kit: Kit, refuse: bool
) -> None:
    workspace.program('Thing("a", Options(protect=True))\nThing("b")')
    workspace.json("up")
    destroyed = workspace.perform("destroy", deviations=Deviations(refuse_protected=refuse))
    assert destroyed.result == "failed"
    assert len(kit.named("a")) == 1
    assert len(kit.named("b")) == int(refuse)
