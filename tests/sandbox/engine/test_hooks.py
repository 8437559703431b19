"""Resource hooks: order, arguments, failures, retries."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.engine.recording_provider import Kit
from tests.sandbox.engine.workspace import Workspace, messages

NOTING = """
import json, pathlib
def note(kind):
    def hook(args):
        given = {key: {name: "hidden" if isinstance(item, pulumi.Output) else item for name, item in sorted(value.items())
                       if name in ("v", "arn", "token")}
                 for key in ("new_inputs", "old_inputs", "new_outputs", "old_outputs") if (value := getattr(args, key)) is not None}
        with open("calls.jsonl", "a") as file:
            file.write(json.dumps([kind, args.name, args.type, args.id, given], default=str) + "\\n")
    return hook
KINDS = ("before_create", "after_create", "before_update", "after_update", "before_delete", "after_delete")
def every(name, **options):
    hooks = {kind: [pulumi.ResourceHook(f"{name} {kind}", note(kind), pulumi.ResourceHookOptions(**options))] for kind in KINDS}
    return pulumi.ResourceHookBinding(**hooks)
"""


def calls(workspace: Workspace) -> list[list[Any]]:
    """Return the hook calls since the last call of this function."""
    path = workspace.folder / "calls.jsonl"
    result = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    path.unlink(missing_ok=True)
    return result


def told(workspace: Workspace) -> list[tuple[str, str]]:
    """Return kind and resource of those calls."""
    return [(kind, name) for kind, name, *_ in calls(workspace)]


def test_hooks_run_before_and_after_operations_with_the_known_values(workspace: Workspace) -> None:
    program = NOTING + 'Thing("a", Options(hooks=every("a")), v=VALUE)\nThing("b", hooks=1)'
    workspace.program(program.replace("VALUE", "1"))
    workspace.json("preview")
    assert calls(workspace) == []
    workspace.json("up")
    kind, arn = "kit:index:Thing", workspace.resources()["a"]["outputs"]["arn"]
    identifier = arn.removeprefix("arn:kit:")
    one, created = {"v": 1.0}, {"arn": arn, "token": "hidden", "v": 1.0}
    assert calls(workspace) == [
        ["before_create", "a", kind, "", {"new_inputs": one}],
        ["after_create", "a", kind, identifier, {"new_inputs": one, "new_outputs": created}],
    ]
    workspace.program(program.replace("VALUE", "2"))
    workspace.json("up")
    two, changed = {"v": 2.0}, {**created, "v": 2.0}
    before = {"new_inputs": two, "old_inputs": one, "old_outputs": created}
    assert calls(workspace) == [
        ["before_update", "a", kind, identifier, before],
        ["after_update", "a", kind, identifier, {**before, "new_outputs": changed}],
    ]
    assert workspace.changes("up") == {}
    assert calls(workspace) == []
    workspace.program(NOTING + 'every("a")\nThing("b", hooks=1)')
    assert workspace.changes("up") == {"delete": 1}
    after = {"old_inputs": two, "old_outputs": changed}
    assert calls(workspace) == [
        [f"{when}_delete", "a", kind, identifier, after] for when in ("before", "after")
    ]


def test_hooks_follow_the_order_of_a_replacement(workspace: Workspace) -> None:
    program = NOTING + 'Thing("a", Options(hooks=every("a")), KEY)'
    workspace.program(program.replace("KEY", 'size=1, kind="x"'))
    workspace.json("up")
    calls(workspace)
    create, delete = (
        [("before_create", "a"), ("after_create", "a")],
        [("before_delete", "a"), ("after_delete", "a")],
    )
    workspace.program(program.replace("KEY", 'size=2, kind="x"'))
    assert workspace.changes("up") == {"replace": 1}
    assert told(workspace) == create + delete
    workspace.program(program.replace("KEY", 'size=2, kind="y"'))
    assert workspace.changes("up") == {"replace": 1}
    assert told(workspace) == delete + create


def test_after_hooks_of_a_component_run_when_its_outputs_are_registered(
    workspace: Workspace,
) -> None:
    program = (
        NOTING
        + """
class Whole(pulumi.ComponentResource):
    def __init__(self, name, opts=None, **props):
        super().__init__("my:index:Whole", name, props, opts)
        thing = Thing("inside", Options(parent=self, hooks=every("inside")))
        self.register_outputs({"arn": thing.arn})
Whole("whole", Options(hooks=every("whole")), v=VALUE)
"""
    )
    workspace.program(program.replace("VALUE", "1"))
    workspace.json("up")
    result = calls(workspace)
    names = [(kind, name) for kind, name, *_ in result]
    assert names[0] == ("before_create", "whole")
    assert sorted(names[1:]) == [
        ("after_create", "inside"),
        ("after_create", "whole"),
        ("before_create", "inside"),
    ]
    (inputs,) = [item[4] for item in result if item[:2] == ["after_create", "whole"]]
    assert inputs == {"new_inputs": {"v": 1.0}, "new_outputs": {"arn": "arn:kit:thing-1"}}
    workspace.program(program.replace("VALUE", "2"))
    assert workspace.changes("up") == {"update": 1}
    assert told(workspace) == [("before_update", "whole"), ("after_update", "whole")]


def test_hooks_with_on_dry_run_run_in_previews(workspace: Workspace) -> None:
    workspace.program(NOTING + 'Thing("a", Options(hooks=every("a", on_dry_run=True)), v=1)')
    workspace.json("preview")
    result = calls(workspace)
    assert [item[0] for item in result] == ["before_create", "after_create"]
    assert "arn" in result[1][4]["new_outputs"]
    workspace.json("up")
    calls(workspace)
    workspace.program(NOTING + 'every("a", on_dry_run=True)')
    assert workspace.changes("preview") == {"delete": 1}
    assert told(workspace) == [("before_delete", "a"), ("after_delete", "a")]


FAILING = """
def grumble(args):
    raise ValueError("grumble")
hook = pulumi.ResourceHook("no", grumble, pulumi.ResourceHookOptions(ignore_errors=LENIENT))
a = Thing("a", Options(hooks=pulumi.ResourceHookBinding(KIND=[hook])))
Thing("b", of=a.arn)
Thing("c")
"""


def test_failing_before_hook_prevents_the_creation(workspace: Workspace, kit: Kit) -> None:
    workspace.program(FAILING.replace("LENIENT", "False").replace("KIND", "before_create"))
    failed = workspace.json("up", expect=1)
    assert messages(failed).endswith("::a: BeforeCreate hook 'no' failed: grumble")
    assert [thing["__name"] for thing in kit.things.values()] == ["c"]


def test_failing_after_hook_fails_the_run_and_keeps_the_resource(
    workspace: Workspace, kit: Kit
) -> None:
    workspace.program(FAILING.replace("LENIENT", "False").replace("KIND", "after_create"))
    failed = workspace.json("up", expect=1)
    assert messages(failed).endswith("::a: AfterCreate hook 'no' failed: grumble")
    assert sorted(thing["__name"] for thing in kit.things.values()) == ["a", "b", "c"]
    assert workspace.changes("up") == {}


def test_ignored_hook_error_is_a_warning(workspace: Workspace, kit: Kit) -> None:
    workspace.program(FAILING.replace("LENIENT", "True").replace("KIND", "before_create"))
    done = workspace.json("up")
    assert messages(done, "warning").endswith("::a: BeforeCreate hook 'no' failed: grumble")
    assert len(kit.things) == 3


def test_destroy_with_hooks_requires_run_program(workspace: Workspace, kit: Kit) -> None:
    program = NOTING + 'a = Thing("a", Options(hooks=every("a")))\nThing("b", of=a.arn)\n'
    workspace.program(program)
    workspace.json("up")
    refused = workspace.json("destroy", expect=1)
    assert "::a: It has delete hooks: a before_delete, a after_delete." in messages(refused)
    assert "`destroy --run-program` runs it for them" in messages(refused)
    assert len(kit.things) == 2
    calls(workspace)
    new = (
        'Thing("x", Options(provider=KitProvider("new")), '
        'of=a.arn)\nGroup("g").register_outputs({"x": 1})'
    )
    workspace.program(program + new)
    assert workspace.changes("destroy", "--run-program") == {"delete": 3}
    assert told(workspace) == [("before_delete", "a"), ("after_delete", "a")]
    assert not kit.things
    assert workspace.resources() == {}


def test_destroy_deletes_nothing_when_the_program_fails(workspace: Workspace, kit: Kit) -> None:
    workspace.program('Thing("a")')
    workspace.json("up")
    workspace.program('raise ValueError("no")')
    assert "ValueError: no" in messages(workspace.json("destroy", "--run-program", expect=1))
    assert len(kit.things) == 1
    assert workspace.run("up", "--run-program", expect=2)


def test_deletion_with_an_undefined_hook_is_refused(workspace: Workspace, kit: Kit) -> None:
    workspace.program(NOTING + 'Thing("a", Options(hooks=every("a")))\nThing("b")')
    workspace.json("up")
    workspace.program("")
    failed = workspace.json("up", expect=1)
    assert "::a: Its BeforeDelete hook 'a before_delete' is not registered" in messages(failed)
    assert [thing["__name"] for thing in kit.things.values()] == ["a"]


TRYING = """
import pathlib
def again(args):
    print("asked", args.failed_operation, args.errors, sorted(args.new_inputs or args.old_inputs))
    return len(args.errors) < 3
stubborn = pulumi.ResourceHookBinding(on_error=[pulumi.ErrorHook("again", again)])
"""


@pytest.mark.parametrize("operation", ["create", "update", "delete"])
def test_error_hook_retries_the_operation(workspace: Workspace, kit: Kit, operation: str) -> None:
    thing = 'Thing("a", Options(hooks=stubborn), v=VALUE)\n'
    steps = {"create": [1], "update": [1, 2], "delete": [1, 0]}[operation]
    *before, last = [thing.replace("VALUE", str(value)) if value else "" for value in steps]
    for text in before:
        workspace.program(TRYING + text)
        workspace.json("up")
    kit.broken.add(f"{operation} a")
    workspace.program(TRYING + last)
    shown = workspace.run("up", expect=1).stdout
    assert [method for method, _ in kit.calls].count(operation) == 3
    assert f"asked {operation} ['the {operation} of a went wrong'] ['defaulted', 'v']" in shown
    assert shown.count("Its error hook requests a retry") == 4  # at once, and under Diagnostics
    kit.broken.clear()
    workspace.json("up")
    assert [thing["__name"] for thing in kit.things.values()] == (
        [] if operation == "delete" else ["a"]
    )


def test_operation_succeeds_after_a_retry(workspace: Workspace, kit: Kit, tmp_path: Path) -> None:
    kit.broken.add("create a")
    sign = tmp_path / "sign"
    workspace.program(
        f"""
        import pathlib, time
        def again(args):
            pathlib.Path({str(sign)!r}).write_text("asked")
            while pathlib.Path({str(sign)!r}).exists():
                time.sleep(0.02)
            return True
        Thing("a", Options(hooks=pulumi.ResourceHookBinding(on_error=[pulumi.ErrorHook("again", again)])))
        """
    )

    def mend() -> None:
        while not sign.exists():
            time.sleep(0.02)
        kit.broken.clear()
        sign.unlink()

    mending = threading.Thread(target=mend)
    mending.start()
    done = workspace.json("up")
    mending.join()
    assert (done["changes"]["create"], len(kit.things)) == (2, 1)
    assert "the create of a went wrong" in messages(done, "warning")


def test_duplicate_hook_name_is_refused(workspace: Workspace) -> None:
    workspace.program(NOTING + 'every("a")\nevery("a")')
    assert "There are two resource hooks named 'a " in messages(workspace.json("preview", expect=1))


def test_state_lists_hooks_and_the_hooks_feature(workspace: Workspace) -> None:
    workspace.program(NOTING + 'Thing("a", Options(hooks=every("a")))')
    workspace.json("up")
    checkpoint = json.loads(workspace.state_file.read_text())
    assert (checkpoint["version"], checkpoint["features"]) == (4, ["hooks"])
    assert workspace.resources()["a"]["resourceHooks"]["BeforeDelete"] == ["a before_delete"]
