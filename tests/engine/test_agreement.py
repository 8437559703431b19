"""Varied programs, stage by stage: what changes is what the Pulumi CLI counts for them, and the state is what it keeps.

The counts were the CLI's own. With a `pulumi` on PATH it is asked again, taking turns with this engine on one stack.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.engine import export_stack
from tests.engine.kit import Kit, serving
from tests.engine.workspace import Workspace, counted


@dataclass(frozen=True)
class Stage:
    """One operation: what it is run with, and the counts (without `same`) that it comes to."""

    operation: str
    program: str | None = None  # None: as it was
    counts: tuple[tuple[str, int], ...] = ()
    arguments: Sequence[str] = ()
    fails: bool = False
    before: Callable[[Kit], object] | None = None


def stage(operation: str, program: str | None = None, /, **more: Any) -> Stage:
    kept = {key: more.pop(key) for key in ("arguments", "fails", "before") if key in more}
    return Stage(operation, program, tuple(sorted(more.items())), **kept)


def _there(identifier: str, **properties: Any) -> Callable[[Kit], object]:
    return lambda kit: kit.things.__setitem__(identifier, {"defaulted": "by kit", "__name": "x", **properties})


def _drift(kit: Kit) -> None:
    for thing in kit.things.values():
        if thing["__name"] in "ad":
            thing["v"] = 7


def _vanish(kit: Kit) -> None:
    for identifier in [key for key, thing in kit.things.items() if thing["__name"] == "b"]:
        del kit.things[identifier]


_IMPORT = 'Thing("a", Options(import_="old-1"), size=SIZE, colour="COLOUR")'
_TARGETS = 'a = Thing("a", v=N)\nb = Thing("b", of=a.arn, v=N)\nc = Thing("c", v=N)'
_REFRESH = 'a = Thing("a", v=1)\nb = Thing("b", of=a.arn)\nThing("c", Options(parent=b))\nThing("d", Options(ignore_changes=["v"]), v=1)'
_REPLACED = """
a = Thing("a", kind="KIND")
b = Thing("b", of=a.arn, kind=a.id)
Thing("c", of=b.arn)
Thing("d", Options(depends_on=[a]))
e = Thing("e", Options(delete_before_replace=True), size=SIZE)
Thing("f", Options(parent=e, deleted_with=e))
g = Thing("g", Options(replace_on_changes=["tag", "list[*]"]), tag={"x": SIZE, "y": 1}, list=[{"k": 1}])
Thing("h", Options(replace_with=[g]))
"""
_PROVIDERS = """
first = Thing("first", size=SIZE)
own = KitProvider("own", region=first.arn, secret=pulumi.Output.secret("hush"), structure={"a": [1]})
other = KitProvider("other", Options(version="2.3.4"), account="ACCOUNT")
group = Group("group", Options(providers=[own]))
Thing("inside", Options(parent=Group("inner", Options(parent=group))))
Thing("loose", Options(provider=other))
Thing("versioned", Options(version="3.0.0"))
"""
_STATE = """
class Whole(pulumi.ComponentResource):
    def __init__(self, name, opts=None, **props):
        super().__init__("my:index:Whole", name, props, opts)
        self.thing = Thing(f"{name}-thing", Options(parent=self))
        self.register_outputs({"arn": self.thing.arn, "hidden": pulumi.Output.secret("x")})
hidden = pulumi.Output.secret("xyzzy")
whole = Whole("whole", x=1, y=hidden)
a = Thing("a", Options(additional_secret_outputs=["loud"], protect=False), deep={"in": [hidden, {"y": 1}]}, loud="L",
    text=pulumi.StringAsset("hello"), custom=whole, things=[whole.thing])
b = Thing("b", Options(custom_timeouts=pulumi.CustomTimeouts(create="1h30m"), depends_on=[whole]), of=a.loud,
    all=pulumi.Output.all(a.arn, hidden), json=pulumi.Output.json_dumps({"a": hidden, "b": a.arn}))
pulumi.export("deep", {"in": [a.deep], "text": a.text}); pulumi.export("whole", whole); pulumi.export("none", None)
"""

SCENES = {
    "what is imported is changed to what the program says": [
        stage("preview", _IMPORT.replace("SIZE", "1").replace("COLOUR", "blue"), create=2, update=1,
              before=_there("old-1", size=1, colour="red")),
        stage("up", create=2, update=1),
        stage("up", _IMPORT.replace("SIZE", "1").replace("COLOUR", "green"), update=1),
        stage("up", 'Thing("a", size=1, colour="green")'),
        stage("up", 'Thing("a", Options(import_="old-2"), size=3)', replace=1, before=_there("old-2", size=3)),
    ],
    "what is looked up becomes the stack's own, and the reverse": [
        stage("up", 'found = Thing("found", Options(id="old-1"))\nThing("a", of=found.arn)', create=2, before=_there("old-1", v=1)),
        stage("refresh"),
        stage("up", 'found = Thing("found", Options(id="old-2"))\nThing("a", of=found.arn)', update=1, before=_there("old-2", v=1)),
        stage("up", 'Thing("found", Options(id="old-9"))', fails=True),
        stage("up", 'Thing("found")', replace=1, delete=1),
        stage("up", 'Thing("found", Options(id="old-1"))', replace=1),
    ],
    "targets": [
        stage("up", _TARGETS.replace("N", "1"), create=2, arguments=["--target", "**::a"]),
        stage("up", create=2),
        stage("up", _TARGETS.replace("N", "2"), update=1, arguments=["--target", "**::c"]),
        stage("up", update=2, arguments=["--target", "**::a", "--target-dependents"]),
        stage("up", 'Thing("a", v=2)\nThing("c", v=3)', delete=1, arguments=["--target", "**::b"]),
        stage("destroy", delete=1, arguments=["--target", "**::a"]),
    ],
    "drift": [
        stage("up", _REFRESH, create=5),
        stage("refresh", update=2, before=_drift),
        stage("up", update=1),
        stage("refresh", delete=1, before=_vanish),
        stage("preview", create=1),
        stage("destroy", delete=4),
    ],
    "replacements": [
        stage("up", _REPLACED.replace("KIND", "x").replace("SIZE", "1"), create=9),
        stage("preview", _REPLACED.replace("KIND", "y").replace("SIZE", "2"), replace=6, update=1),
        stage("up", replace=6, update=1),
        stage("preview"),
    ],
    "providers": [
        stage("preview", _PROVIDERS.replace("SIZE", "1").replace("ACCOUNT", "one"), create=9),
        stage("up", create=9),
        stage("preview", _PROVIDERS.replace("SIZE", "2").replace("ACCOUNT", "two"), replace=3, update=2),
        stage("up", replace=3, update=1),
    ],
    "all kinds of values": [
        stage("up", _STATE, create=5),
        stage("preview"),
        stage("up"),
        stage("refresh"),  # this engine's turn: what is secret within a structure the CLI reads back in the clear
        stage("destroy", delete=5),
    ],
}  # fmt: skip

Engine = Callable[[Workspace, Stage], dict[str, int]]


def embedded(workspace: Workspace, step: Stage) -> dict[str, int]:
    """Run this engine; returns the counts that aren't zero, without `same`."""
    return workspace.changes(step.operation, *step.arguments, expect=1 if step.fails else 0)


def cli(workspace: Workspace, step: Stage) -> dict[str, int]:
    """Run the CLI; returns the same counts."""
    environment = {**workspace.environment, "PULUMI_HOME": str(workspace.backend / "home")}
    where = ["--cwd", str(workspace.folder), "--stack", "dev", "--non-interactive"]
    if not workspace.state_file.exists():
        subprocess.run(["pulumi", "stack", "init", *where], env=environment, capture_output=True, check=True)
    command = ["pulumi", step.operation, *where, "--json", *step.arguments]
    if step.operation != "preview":
        command += ["--yes", "--skip-preview"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode != 0) == step.fails, f"{command}\n{done.stdout}\n{done.stderr}"
    return counted(done.stdout)


def _play(workspace: Workspace, kit: Kit, scene: str, *engines: Engine) -> list[Any]:
    states = []
    for number, step in enumerate(SCENES[scene]):
        if step.program is not None:
            workspace.program(step.program)
        if step.before is not None:
            step.before(kit)
        counts = engines[number % len(engines)](workspace, step)
        if not step.fails:  # how far the rest got is a matter of luck
            assert counts == dict(step.counts), f"stage {number}, {step.operation}"
        states.append(_state(workspace))
    return states


def _state(workspace: Workspace) -> Any:
    """The stack's resources, without what no two runs have in common: times and ids."""
    if not workspace.state_file.exists():
        return {}
    document = export_stack(workspace.backend, "demo", "dev", "correct horse", show_secrets=True)
    resources = document["deployment"].get("resources") or []
    names = {item["id"]: item["urn"].rsplit("::", 1)[-1] for item in resources if item.get("id")}
    found = {}
    for item in resources:
        kept = {key: item[key] for key in item if key not in ("created", "modified", "sourcePosition", "stackTrace")}
        kept["dependencies"] = sorted(item.get("dependencies") or [])
        uses = item.get("propertyDependencies") or {}
        kept["propertyDependencies"] = {key: sorted(urns) for key, urns in uses.items() if urns}
        text = json.dumps(kept, sort_keys=True).replace("[]", "null")
        found[item["urn"], bool(item.get("delete"))] = re.sub(
            r"thing-\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", lambda id: names.get(id.group(), id.group()), text
        )
    return found


@pytest.mark.parametrize("scene", SCENES)
def test_what_changes_is_what_the_cli_counts(workspace: Workspace, kit: Kit, scene: str) -> None:
    _play(workspace, kit, scene, embedded)


@pytest.mark.skipif(shutil.which("pulumi") is None, reason="no `pulumi` on PATH to compare with")
@pytest.mark.parametrize("scene", SCENES)
def test_taking_turns_with_the_cli_comes_to_the_same_state(
    workspace: Workspace, kit: Kit, scene: str, tmp_path: Path
) -> None:
    alone = _play(workspace, kit, scene, embedded)
    folder, other = tmp_path / "shared", Kit()
    folder.mkdir()
    with serving(other) as port:
        together = _play(Workspace(folder, port), other, scene, cli, embedded)
    assert together == alone
