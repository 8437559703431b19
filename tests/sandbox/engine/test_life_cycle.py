"""A stack's life: preview, up, no change, change, refresh, destroy."""

from __future__ import annotations

from tests.sandbox.engine.kit import Kit
from tests.sandbox.engine.workspace import Workspace, steps

TWO = """
a = Thing("a", colour="red")
b = Thing("b", of=a.arn, nested={"list": [1, 2, {"deep": a.arn}]})
pulumi.export("arn", b.arn)
pulumi.export("token", a.token)
"""


def test_a_stack_comes_up_stays_the_same_changes_and_goes_away(workspace: Workspace, kit: Kit) -> None:
    workspace.program(TWO)
    assert workspace.changes("preview") == {"create": 3}
    assert not kit.things
    up = workspace.json("up")
    assert up["result"] == "succeeded"
    assert up["changes"]["create"] == 3
    assert up["outputs"] == {"arn": "arn:kit:thing-2", "token": "[secret]"}
    assert kit.named("b")[0]["nested"] == {"list": [1, 2, {"deep": "arn:kit:thing-1"}]}
    assert workspace.changes("preview", "--expect-no-changes") == {}
    assert workspace.changes("up", "--expect-no-changes") == {}
    workspace.program(TWO.replace("red", "blue"))
    preview = workspace.json("preview", "--expect-no-changes", expect=7)
    assert steps(preview) == {"a": "update"}
    assert preview["steps"][0]["changes"] == [
        {"path": "colour", "kind": "update", "old": "red", "new": "blue", "replaces": False}
    ]
    assert workspace.changes("up") == {"update": 1}
    assert kit.named("a")[0]["colour"] == "blue"
    assert workspace.changes("refresh", "--expect-no-changes") == {}
    assert workspace.changes("destroy") == {"delete": 3}
    assert not kit.things
    assert workspace.state().get("resources", []) == []
