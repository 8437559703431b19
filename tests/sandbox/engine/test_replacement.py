"""Replacement: create before delete, delete before replace, dependents."""

from __future__ import annotations

import pytest

from tests.sandbox.engine.recording_provider import Kit
from tests.sandbox.engine.workspace import Workspace, messages, steps


def order(kit: Kit) -> list[str]:
    return [
        f"{method} {name}" for method, name in kit.calls if method in ("create", "delete", "update")
    ]


def test_replacement_is_created_before_the_old_resource_is_deleted(
    workspace: Workspace, kit: Kit
) -> None:
    text = 'a = Thing("a", size=1)\nb = Thing("b", of=a.arn)'
    workspace.program(text)
    workspace.json("up")
    kit.calls.clear()
    workspace.program(text.replace("size=1", "size=2"))
    preview = workspace.json("preview")
    assert steps(preview)["b"] == "update"
    assert preview["changes"]["replace"] == 1
    assert workspace.changes("up") == {"replace": 1, "update": 1}
    assert order(kit) == ["create a", "update b", "delete a"]
    assert len(kit.things) == 2


@pytest.mark.parametrize(
    ("before", "after"),
    [('kind="x"', 'kind="y"'), ("size=1", "size=2, opts=Options(delete_before_replace=True)")],
    ids=["as the provider says", "as the option says"],
)
def test_delete_before_replace_deletes_the_old_resource_first(
    workspace: Workspace, kit: Kit, before: str, after: str
) -> None:
    workspace.program(f'Thing("a", {before})')
    workspace.json("up")
    kit.calls.clear()
    workspace.program(f'Thing("a", {after})')
    assert workspace.changes("up") == {"replace": 1}
    assert order(kit) == ["delete a", "create a"]
    assert workspace.changes("preview") == {}


def test_delete_before_replace_includes_replaced_dependents_only(
    workspace: Workspace, kit: Kit
) -> None:
    text = """
        a = Thing("a", kind="x")
        b = Thing("b", size=a.arn)
        c = Thing("c", note=b.arn)
        d = Thing("d", Options(depends_on=[a]))
    """
    workspace.program(text)
    workspace.json("up")
    kit.calls.clear()
    workspace.program(text.replace('"x"', '"y"'))
    assert workspace.changes("preview") == {"replace": 2, "update": 1}
    assert workspace.changes("up") == {"replace": 2, "update": 1}
    assert order(kit) == ["delete b", "delete a", "create a", "create b", "update c"]
    assert len(kit.things) == 4
    assert workspace.changes("preview") == {}


def test_failed_creation_after_delete_before_replace_is_repeated_next(
    workspace: Workspace, kit: Kit
) -> None:
    workspace.program('a = Thing("a", kind="x")')
    workspace.json("up")
    kit.broken.add("create a")
    workspace.program('a = Thing("a", kind="y")')
    workspace.json("up", expect=1)
    assert not kit.things
    assert workspace.resources()["a"]["pendingReplacement"] is True
    kit.broken.clear()
    assert workspace.changes("up") == {"replace": 1}
    assert len(kit.things) == 1
    assert workspace.changes("preview") == {}


def test_failed_replacement_keeps_the_old_resource(workspace: Workspace, kit: Kit) -> None:
    workspace.program('a = Thing("a", size=1)')
    workspace.json("up")
    kit.broken.add("create a")
    workspace.program('a = Thing("a", size=2)')
    workspace.json("up", expect=1)
    assert list(kit.things) == ["thing-1"]
    assert "delete" not in workspace.resources()["a"]
    kit.broken.clear()
    workspace.program('a = Thing("a", size=1)')
    assert workspace.changes("up") == {}


def test_failed_deletion_of_a_replaced_resource_is_repeated_next(
    workspace: Workspace, kit: Kit
) -> None:
    workspace.program('a = Thing("a", size=1)')
    workspace.json("up")
    kit.broken.add("delete a")
    workspace.program('a = Thing("a", size=2)')
    workspace.json("up", expect=1)
    assert len(kit.things) == 2
    kit.broken.clear()
    workspace.json("up")
    assert list(kit.things) == ["thing-2"]
    assert [item["urn"].rsplit("::")[-1] for item in workspace.state()["resources"]].count("a") == 1


def test_protected_resource_is_neither_replaced_nor_deleted(workspace: Workspace, kit: Kit) -> None:
    text = 'a = Thing("a", Options(protect=True), size=1)\nb = Thing("b")'
    workspace.program(text)
    workspace.json("up")
    workspace.program(text.replace("size=1", "size=2"))
    assert "It is protected" in messages(workspace.json("preview", expect=1))
    assert "It is protected" in messages(workspace.json("up", expect=1))
    workspace.program("")
    assert "It is protected" in messages(workspace.json("up", expect=1))
    assert [thing["__name"] for thing in kit.things.values()] == ["a"]
    assert "It is protected" in messages(workspace.json("destroy", expect=1))
    assert len(kit.things) == 1
    workspace.program(text.replace("True", "False"))
    workspace.json("up")
    assert workspace.json("destroy")["result"] == "succeeded"
    assert not kit.things


def test_replace_on_changes_and_replacement_trigger_replace(workspace: Workspace, kit: Kit) -> None:
    text = """
        a = Thing("a", Options(replace_on_changes=["deep"]), deep={"x": 1}, other=1)
        b = Thing("b", Options(replacement_trigger="one"))
        c = Thing("c", Options(replace_with=[b]))
    """
    workspace.program(text)
    workspace.json("up")
    workspace.program(text.replace("other=1", "other=2"))
    assert workspace.changes("up") == {"update": 1}
    workspace.program(text.replace("other=1", "other=2").replace('"x": 1', '"x": 2'))
    assert workspace.changes("up") == {"replace": 1}
    workspace.program(
        text.replace("other=1", "other=2").replace('"x": 1', '"x": 2').replace('"one"', '"two"')
    )
    assert workspace.changes("preview") == {"replace": 2}
    assert workspace.changes("up") == {"replace": 2}
    assert workspace.changes("preview") == {}
