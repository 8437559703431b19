"""Components: the program's own, and remote ones that a provider constructs."""

from __future__ import annotations

from tests.sandbox.engine.kit import Kit
from tests.sandbox.engine.workspace import PAIR, Workspace, messages, steps


def test_a_remote_component_comes_up_with_its_children_and_goes_away(boxed: Workspace, kit: Kit) -> None:
    boxed.program(PAIR.replace("EXTRA", ""))
    preview = boxed.json("preview")
    assert {"pair", "pair-first", "pair-second", "after", "follower"} <= steps(preview).keys()
    up = boxed.json("up")
    assert up["outputs"]["hidden"] == "[secret]"
    assert kit.named("pair-first")[0]["colour"].startswith("from arn:kit:")
    resources = boxed.resources()
    assert resources["pair-first"]["parent"] == resources["pair"]["urn"]
    assert resources["pair-first"]["urn"].split("::")[2] == "box:index:Pair$kit:index:Thing"
    assert resources["pair"]["outputs"]["arn"] == resources["pair-second"]["outputs"]["arn"]
    assert resources["follower"]["dependencies"] == [resources["pair"]["urn"]]
    assert boxed.changes("preview") == {}
    boxed.program(PAIR.replace("EXTRA", "").replace("from ", "of "))
    assert steps(boxed.json("up")) == {"pair-first": "update"}
    kit.calls.clear()
    assert boxed.json("destroy")["result"] == "succeeded"
    assert not kit.things
    deleted = [name for method, name in kit.calls if method == "delete"]
    assert deleted.index("follower") < deleted.index("pair-first")  # who needs the component needs what is in it


def test_a_remote_component_that_fails_leaves_the_rest_running(boxed: Workspace, kit: Kit) -> None:
    boxed.program(PAIR.replace("EXTRA", "fail=True"))
    failed = boxed.json("up", expect=1)
    assert "a pair can't be made today" in messages(failed)
    assert {thing["__name"] for thing in kit.things.values()} == {"first"}
    boxed.program(PAIR.replace("EXTRA", ""))
    boxed.json("up")
    assert len(kit.things) == 5


def test_a_child_of_a_remote_component_that_fails_fails_what_needs_it_only(boxed: Workspace, kit: Kit) -> None:
    kit.broken.add("create pair-first")
    boxed.program(PAIR.replace("EXTRA", ""))
    failed = boxed.json("up", expect=1)
    assert "the create of pair-first went wrong" in messages(failed)
    assert {thing["__name"] for thing in kit.things.values()} == {"first"}
    kit.broken.clear()
    boxed.json("up")
    assert len(kit.things) == 5
    assert boxed.changes("preview") == {}
