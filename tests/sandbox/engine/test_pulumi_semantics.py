"""Dependencies, reads, secrets and ignored changes follow the rules of Pulumi's engine."""

from __future__ import annotations

import json

import pytest

from sandbox.engine import Deviations
from sandbox.engine.state.property_paths import ignore_changes
from sandbox.engine.state.property_values import Secret
from tests.sandbox.engine.recording_provider import Kit
from tests.sandbox.engine.workspace import Workspace, steps


def deleted(kit: Kit) -> list[str]:
    """Return the names of the deleted resources, in order."""
    return [name for method, name in kit.calls if method == "delete"]


@pytest.mark.parametrize("removal", ["destroy", "up"])
def test_dependency_on_a_custom_resource_does_not_include_its_children(
    workspace: Workspace, kit: Kit, removal: str
) -> None:
    workspace.program("""
        a = Thing("a")
        c = Thing("c", Options(depends_on=[a]))
        d = Thing("d", Options(parent=a, depends_on=[c]))
    """)
    workspace.json("up")
    workspace.program("")
    workspace.json(removal)
    assert deleted(kit) == ["d", "c", "a"]


def test_dependency_on_a_component_includes_only_its_earlier_children(
    workspace: Workspace, kit: Kit
) -> None:
    workspace.program("""
        group = Group("group")
        first = Thing("first", Options(parent=group))
        outside = Thing("outside", Options(depends_on=[first]))
        Thing("late", Options(parent=group, depends_on=[outside]))
    """)
    workspace.json("up")
    state = json.loads(workspace.state_file.read_text())
    for resource in state["checkpoint"]["latest"]["resources"]:
        if resource["urn"].endswith("::outside"):  # as a remote component's dependents have it
            resource["dependencies"] = [workspace.urn("group")]
            resource["propertyDependencies"] = {}
    workspace.state_file.write_text(json.dumps(state))
    workspace.json("destroy")
    assert deleted(kit) == ["late", "outside", "first"]


@pytest.mark.parametrize("parent", ["", "old"])
def test_read_with_the_same_id_drops_the_resource_from_management(
    workspace: Workspace, kit: Kit, parent: str
) -> None:
    options = "Options(parent=group)" if parent else "Options()"
    workspace.program(f"""
        group = Group("old")
        Thing("a", {options})
    """)
    workspace.json("up")
    identifier = workspace.resources()["a"]["id"]
    read = f'Options(id="{identifier}"' + (", parent=group)" if parent else ")")
    name = 'Group("new", Options(aliases=[pulumi.Alias(name="old")]))' if parent else 'Group("old")'
    workspace.program(f"""
        group = {name}
        Thing("a", {read})
    """)
    preview = workspace.json("preview")
    up = workspace.json("up")
    for document in (preview, up):
        assert steps(document).get("a") == "read"
        assert document["changes"]["delete"] == document["changes"]["replace"] == 0
    assert deleted(kit) == []
    assert workspace.resources()["a"]["external"] is True
    assert workspace.changes("up") == {}
    workspace.json("destroy")
    assert deleted(kit) == []
    assert identifier in kit.things


def test_read_with_another_id_deletes_the_managed_resource(workspace: Workspace, kit: Kit) -> None:
    workspace.program('Thing("a")\nThing("b", Options(retain_on_delete=True))')
    workspace.json("up")
    other = workspace.resources()["b"]["id"]
    workspace.program(f'Thing("a", Options(id="{other}"))')
    workspace.json("up")
    assert deleted(kit) == ["a"]


def test_import_of_a_read_resource_deletes_nothing(workspace: Workspace, kit: Kit) -> None:
    workspace.program('Thing("b", Options(retain_on_delete=True))')
    workspace.json("up")
    identifier = workspace.resources()["b"]["id"]
    workspace.program(f'Thing("a", Options(id="{identifier}"))')
    workspace.json("up")
    workspace.program(f'Thing("a", Options(import_="{identifier}"))')
    workspace.json("up")
    assert deleted(kit) == []
    assert identifier in kit.things
    assert "external" not in workspace.resources()["a"]


def test_input_that_becomes_secret_makes_the_outputs_secret(workspace: Workspace, kit: Kit) -> None:
    program = """
        a = Thing("a", word=WORD)
        pulumi.export("word", a.word)
    """
    workspace.program(program.replace("WORD", '"xyzzy-plugh"'))
    workspace.json("up")
    assert "xyzzy-plugh" in workspace.state_file.read_text()
    workspace.program(program.replace("WORD", 'pulumi.Output.secret("xyzzy-plugh")'))
    up = workspace.json("up")
    assert up["changes"]["update"] == 0
    assert up["outputs"] == {"word": "[secret]"}
    assert "xyzzy-plugh" not in workspace.state_file.read_text()
    assert ("update", "a") not in kit.calls


@pytest.mark.parametrize("keep", [True, False])
def test_refresh_keeps_the_outputs_of_secret_inputs_secret_on_request(
    workspace: Workspace, kit: Kit, keep: bool
) -> None:
    workspace.program('Thing("a", word=pulumi.Output.secret("xyzzy-plugh"))')
    workspace.json("up")
    state = json.loads(workspace.state_file.read_text())
    for resource in state["checkpoint"]["latest"]["resources"]:
        if resource["urn"].endswith("::a"):
            resource["outputs"]["word"] = "stale"
    workspace.state_file.write_text(json.dumps(state))
    kit.secretive.clear()
    workspace.perform("refresh", deviations=Deviations(keep_secrets=keep))
    assert ("xyzzy-plugh" in workspace.state_file.read_text()) is not keep


def test_ignored_path_with_a_missing_ancestor_is_not_applied(workspace: Workspace) -> None:
    program = 'Thing("a", Options(ignore_changes=["tags.x"]), TAGS)'
    workspace.program(program.replace("TAGS", "other=1"))
    workspace.json("up")
    workspace.program(program.replace("TAGS", 'other=1, tags={"x": "1", "y": "2"}'))
    workspace.json("up")
    assert workspace.resources()["a"]["inputs"]["tags"] == {"y": "2"}


# Old inputs, new inputs, path, result: PropertyPath.Reset of Pulumi's SDK.
RESET = [
    ({}, {"tags": {"x": 1, "y": 2}}, "tags.x", {"tags": {"y": 2}}),
    ({"tags": 1}, {"tags": {"x": 1}}, "tags.x", {"tags": {}}),
    ({"tags": None}, {"tags": {"x": 1}}, "tags.x", {"tags": {}}),
    ({}, {"a": {"b": {"c": 1, "d": 2}}}, "a.b.c", {"a": {"b": {"c": 1, "d": 2}}}),
    ({"a": {}}, {"a": {"b": {"c": 1, "d": 2}}}, "a.b.c", {"a": {"b": {"d": 2}}}),
    ({"a": {"x": 1}}, {}, "a.x", {}),
    ({"a": {"x": 1}}, {"a": 5}, "a.x", {"a": 5}),
    ({"l": [1]}, {"l": [2, 3]}, "l[1]", {"l": [2, 3]}),
    ({"l": [1, 9]}, {"l": [2, 3]}, "l[1]", {"l": [2, 9]}),
    ({"l": [1, 9]}, {"l": [2]}, "l[*]", {"l": [1]}),
    ({"l": {"p": 1}}, {"l": {"p": 2, "q": 3}}, "l.*", {"l": {"p": 1}}),
    ({"l": {"p": 1, "q": 4}}, {"l": {"p": 2}}, "l.*", {"l": {"p": 1, "q": 4}}),
    ({}, {"l": {"p": 2}}, "l.*", {"l": {"p": 2}}),
    ({"s": Secret({"x": 1})}, {"s": {"x": 2}}, "s.x", {"s": {"x": Secret(1)}}),
    ({"s": Secret({"x": 1})}, {"s": Secret({"x": 2})}, "s.x", {"s": Secret({"x": 1})}),
    ({"s": 1}, {"s": Secret(2)}, "s", {"s": 1}),
]


@pytest.mark.parametrize(("old", "new", "path", "result"), RESET)
def test_ignored_path_is_reset_as_by_the_sdk(
    old: dict[str, object], new: dict[str, object], path: str, result: dict[str, object]
) -> None:
    assert ignore_changes(new, old, [path])[0] == result
