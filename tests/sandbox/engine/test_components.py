"""Components of the program, and remote components."""

from __future__ import annotations

from tests.sandbox.engine.recording_provider import Kit
from tests.sandbox.engine.workspace import PAIR, Workspace, messages, steps


def test_remote_component_is_created_and_deleted_with_its_children(
    boxed: Workspace, kit: Kit
) -> None:
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
    assert deleted.index("follower") < deleted.index(
        "pair-first"
    )  # a dependency on a component includes its children


def test_failing_remote_component_does_not_stop_other_resources(boxed: Workspace, kit: Kit) -> None:
    boxed.program(PAIR.replace("EXTRA", "fail=True"))
    failed = boxed.json("up", expect=1)
    assert "a pair can't be made today" in messages(failed)
    assert {thing["__name"] for thing in kit.things.values()} == {"first"}
    boxed.program(PAIR.replace("EXTRA", ""))
    boxed.json("up")
    assert len(kit.things) == 5


def test_failing_child_of_a_remote_component_fails_its_dependents_only(
    boxed: Workspace, kit: Kit
) -> None:
    kit.broken.add("create pair-first")
    boxed.program(PAIR.replace("EXTRA", ""))
    failed = boxed.json("up", expect=1)
    assert "the create of pair-first went wrong" in messages(failed)
    assert {thing["__name"] for thing in kit.things.values()} == {"first"}
    kit.broken.clear()
    boxed.json("up")
    assert len(kit.things) == 5
    assert boxed.changes("preview") == {}
