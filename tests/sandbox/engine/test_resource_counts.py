"""Varied programs in stages: resource counts and state match the Pulumi CLI's.

The expected counts were recorded from the CLI. With a CLI, it also alternates with this engine on
one stack.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.engine import export_stack
from tests.pulumi import cli_path, needs_cli
from tests.sandbox.engine.recording_provider import Kit, serving
from tests.sandbox.engine.workspace import Workspace, counted


@dataclass(frozen=True)
class Stage:
    """One operation: its arguments and the expected counts (without `same`)."""

    operation: str
    program: str | None = None  # None: unchanged
    counts: tuple[tuple[str, int], ...] = ()
    arguments: Sequence[str] = ()
    fails: bool = False
    before: Callable[[Kit], object] | None = None


def stage(operation: str, program: str | None = None, /, **more: Any) -> Stage:
    remaining = {key: more.pop(key) for key in ("arguments", "fails", "before") if key in more}
    return Stage(operation, program, tuple(sorted(more.items())), **remaining)


def _there(identifier: str, **properties: Any) -> Callable[[Kit], object]:
    return lambda kit: kit.things.__setitem__(
        identifier, {"defaulted": "by kit", "__name": "x", **properties}
    )


def _drift(kit: Kit) -> None:
    for thing in kit.things.values():
        if thing["__name"] in "ad":
            thing["v"] = 7


def _vanish(kit: Kit) -> None:
    for identifier in [key for key, thing in kit.things.items() if thing["__name"] == "b"]:
        del kit.things[identifier]


_IMPORT = 'Thing("a", Options(import_="old-1"), size=SIZE, colour="COLOUR")'
_TARGETS = 'a = Thing("a", v=N)\nb = Thing("b", of=a.arn, v=N)\nc = Thing("c", v=N)'
_REFRESH = (
    'a = Thing("a", v=1)\nb = Thing("b", of=a.arn)\nThing("c", Options(parent=b))\nThing("d", '
    'Options(ignore_changes=["v"]), v=1)'
)
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
_TRANSFORMS = """
from pulumi import InvokeTransformResult, ResourceTransformResult
def marked(word):
    def transform(args):
        if args.type_ == "kit:index:Thing":
            return ResourceTransformResult({**args.props, "marks": [*(args.props.get("marks") or []), word]}, args.opts)
    return transform
def hiding(args):
    return ResourceTransformResult({**args.props, "sealed": pulumi.Output.secret("xyzzy")}, args.opts)
async def later(args):
    if args.name == "child":
        more = Options(ignore_changes=["loose"], additional_secret_outputs=["arn"], custom_timeouts=pulumi.CustomTimeouts(create="5m"))
        return ResourceTransformResult({**args.props, "late": True}, Options.merge(args.opts, more))
def depending(args):
    more = Options(depends_on=[plain], aliases=[pulumi.Alias(name="former")], protect=False)
    return ResourceTransformResult({**args.props, "of": child.arn}, Options.merge(args.opts, more))
pulumi.runtime.register_resource_transform(marked("stack"))
pulumi.runtime.register_resource_transform(later)
pulumi.runtime.register_invoke_transform(lambda args: InvokeTransformResult({**args.args, "added": "x"}, args.opts))
base = Thing("base", v=SIZE)
own = KitProvider("own", region="north")
outer = Group("outer", Options(transforms=[marked("outer")], providers=[own]))
inner = Group("inner", Options(parent=outer, transforms=[marked("inner")]))
child = Thing("child", Options(parent=inner, transforms=[marked("own"), hiding], depends_on=[base]), of=base.arn, deep={"in": [base.token, 1]}, loose=SIZE)
plain = Thing("plain", Options(parent=inner), of=base.arn, hidden=pulumi.Output.secret("q"))
added = Thing("added", Options(transforms=[depending]), x=base.arn)
pulumi.export("found", pulumi.runtime.invoke("kit:index:lookup", {"a": 1}).value)
"""
_HOOKS = """
noting = pulumi.ResourceHook("noting", lambda args: None)
dry = pulumi.ResourceHook("dry", lambda args: None, pulumi.ResourceHookOptions(on_dry_run=True))
def grumble(args):
    raise ValueError("grumble")
lenient = pulumi.ResourceHook("lenient", grumble, pulumi.ResourceHookOptions(ignore_errors=True))
every = pulumi.ResourceHookBinding(before_create=[noting, lenient], after_create=[noting], before_update=[dry],
    after_update=[noting], before_delete=[noting, dry], after_delete=[noting])
a = Thing("a", Options(hooks=every), v=VALUE, size=SIZE)
b = Thing("b", Options(hooks=pulumi.ResourceHookBinding(before_create=[lambda args: None], after_update=[lenient])), of=a.arn, v=VALUE)
class Whole(pulumi.ComponentResource):
    def __init__(self, name, opts=None, **props):
        super().__init__("my:index:Whole", name, props, opts)
        self.register_outputs({"arn": Thing(f"{name}-thing", Options(parent=self)).arn})
Whole("whole", Options(hooks=every), v=VALUE)
if SIZE == 1:
    Thing("c", Options(hooks=every))
"""
_HOOKS_2 = _HOOKS.replace("VALUE", "2")
_STUBBORN = """
def again(args):
    return len(args.errors) < 3
stubborn = pulumi.ResourceHookBinding(on_error=[pulumi.ErrorHook("again", again)])
Thing("a", Options(hooks=stubborn), fail="FAIL")
"""
_ARCHIVES = """
import pathlib, tarfile, zipfile, os
from pulumi import AssetArchive, FileArchive, FileAsset, StringAsset
folder = pathlib.Path("data")
long = folder / ("p" * 80) / ("q" * 60)
for name, text in {
    "a.txt": "WORD", "B.txt": "b" * 700, "sub/c": "c", "sub.txt": "x", ".pulumi/state": "SIZE", "empty": "", "ü name": "u",
    "sub/deeper/" + "n" * 90: "q", "w" * 99: "w", "é" * 60: "w", "z" * 98 + "/" + "é" * 20: "z",
    f"{long.relative_to(folder)}/{'r' * 50}": "1", f"{long.relative_to(folder)}/{'s' * 120}": "2",
}.items():
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
if not os.path.lexists(folder / "link"):
    (folder / "link").symlink_to("a.txt")
    (folder / "other").symlink_to("sub")
    pathlib.Path("linked").symlink_to("data")
with zipfile.ZipFile("z.zip", "w") as packed:
    for name in ("one/", "one/x.txt", "./y.txt"):
        packed.writestr(zipfile.ZipInfo(name), name)
with tarfile.open("t.tar", "w") as packed:
    packed.addfile(tarfile.TarInfo("./q/w"))
Thing("text", file=StringAsset("WORD"))
Thing("file", file=FileAsset("data/a.txt"))
Thing("folder", file=FileArchive("./data"), hidden=pulumi.Output.secret(FileArchive("data/sub")))
Thing("linked", file=FileArchive("linked"))
Thing("zip", file=FileArchive("z.zip"))
Thing("tar", file=FileArchive("t.tar"))
Thing("made", file=AssetArchive({
    "z": StringAsset("zz"), "a": FileAsset("data/a.txt"), "dir": FileArchive("data/sub"), "zip": FileArchive("z.zip"),
    "tar": FileArchive("t.tar"), "inner": AssetArchive({"k": StringAsset("WORD")}), "dir/c": StringAsset("once"),
}))
Thing("nothing", files=[AssetArchive({}), {"deep": AssetArchive({"y": StringAsset("2")})}])
Thing("elsewhere", file=FileAsset("data/PLACE"))
pulumi.export("archive", FileArchive("data/sub"))
"""
_OPTIONS = """
from pulumi import InvokeOutputOptions
own = KitProvider("own", Options(env_var_mappings={"NEW": "OLD"}, version="2.0.0", plugin_download_url="http://127.0.0.1/p"), region="x")
a = Thing("a", Options(version="3.1.0", plugin_download_url="http://127.0.0.1/x/y",
    custom_timeouts=pulumi.CustomTimeouts(create="5m", update="1h", delete="3s", read="10s")), v=VALUE)
trigger = Thing("trigger", Options(replacement_trigger=["x", TRIGGER, a.arn]), v=1)
Thing("forced", Options(replace_on_changes=["v", "deep[*].x"], hide_diffs=["v", "deep[0].y"], replace_with=[trigger]), v=VALUE, deep=[{"x": VALUE, "y": 1}])
found = Thing("found", Options(id=a.id))
Thing("owned", Options(provider=own), of=found.arn)
call = lambda arguments, **options: pulumi.runtime.invoke_output("kit:index:lookup", arguments, InvokeOutputOptions(**options))
one = call({"a": a.arn, "s": pulumi.Output.secret("q")}, depends_on=[found])
two = call({"b": 1}, depends_on=[Group("g"), trigger], provider=own)
three = call({"b": 1}, parent=Group("h", Options(providers=[own])))
b = Thing("b", one=one, two=two)
pulumi.export("nested", {"list": [a.arn, {"deep": b.token}], "one": one, "three": three, "all": pulumi.Output.all(a.arn, b.id), "none": None, "big": 2**40})
pulumi.export("thing", a)
pulumi.export("from_input", pulumi.Output.from_input({"x": [a.arn, pulumi.Output.secret(1.5)]}))
"""

SCENES = {
    "what is imported is changed to what the program says": [
        stage(
            "preview",
            _IMPORT.replace("SIZE", "1").replace("COLOUR", "blue"),
            create=2,
            update=1,
            before=_there("old-1", size=1, colour="red"),
        ),
        stage("up", create=2, update=1),
        stage("up", _IMPORT.replace("SIZE", "1").replace("COLOUR", "green"), update=1),
        stage("up", 'Thing("a", size=1, colour="green")'),
        stage(
            "up",
            'Thing("a", Options(import_="old-2"), size=3)',
            replace=1,
            before=_there("old-2", size=3),
        ),
    ],
    "what is looked up becomes the stack's own, and the reverse": [
        stage(
            "up",
            'found = Thing("found", Options(id="old-1"))\nThing("a", of=found.arn)',
            create=2,
            before=_there("old-1", v=1),
        ),
        stage("refresh"),
        stage(
            "up",
            'found = Thing("found", Options(id="old-2"))\nThing("a", of=found.arn)',
            update=1,
            before=_there("old-2", v=1),
        ),
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
        stage(
            "preview",
            _PROVIDERS.replace("SIZE", "2").replace("ACCOUNT", "two"),
            replace=3,
            update=2,
        ),
        stage("up", replace=3, update=1),
    ],
    "all kinds of values": [
        stage("up", _STATE, create=5),
        stage("preview"),
        stage("up"),
        # this engine's run: the CLI reads secrets within structures in plain text
        stage("refresh"),
        stage("destroy", delete=5),
    ],
    "options, calls and nested outputs": [
        stage("preview", _OPTIONS.replace("VALUE", "1").replace("TRIGGER", "1"), create=9),
        stage("up", create=9),
        stage("preview"),
        stage(
            "preview", _OPTIONS.replace("VALUE", "2").replace("TRIGGER", "1"), update=1, replace=1
        ),
        stage("up", update=1, replace=1),
        stage("up", _OPTIONS.replace("VALUE", "2").replace("TRIGGER", "2"), replace=2),
        stage("refresh"),
        stage("destroy", delete=9),
    ],
    "transforms": [
        stage("preview", _TRANSFORMS.replace("SIZE", "1"), create=8),
        stage("up", create=8),
        stage("preview"),
        stage("up", _TRANSFORMS.replace("SIZE", "2"), update=1),
        stage(
            "up",
            _TRANSFORMS.replace("SIZE", "2").replace('marked("own")', 'marked("OWN")'),
            update=1,
        ),
        stage("destroy", delete=8),
    ],
    "hooks": [
        stage("preview", _HOOKS.replace("VALUE", "1").replace("SIZE", "1"), create=6),
        stage("up", create=6),
        stage("preview"),
        stage("up", _HOOKS_2.replace("SIZE", "1"), update=3),
        stage("preview", _HOOKS_2.replace("SIZE", "2"), replace=1, update=1, delete=1),
        stage("up", replace=1, update=1, delete=1),
        stage("destroy", fails=True),
        stage("destroy", arguments=["--run-program"], delete=5),
    ],
    "error hooks": [
        stage("up", _STUBBORN.replace("FAIL", "create"), fails=True),
        stage("up", _STUBBORN.replace("FAIL", ""), create=1),
        stage("up", _STUBBORN.replace("FAIL", "update"), fails=True),
    ],
    "archives": [
        stage("preview", _ARCHIVES.replace("WORD", "one").replace("PLACE", "sub/c"), create=10),
        stage("up", create=10),
        stage("preview"),
        stage("refresh"),
        stage("preview", _ARCHIVES.replace("WORD", "two").replace("PLACE", "sub/c"), update=4),
        stage("up", update=4),
        stage("up", _ARCHIVES.replace("WORD", "two").replace("PLACE", "elsewhere"), fails=True),
    ],
}

Engine = Callable[[Workspace, Stage], dict[str, int]]


def embedded(workspace: Workspace, step: Stage) -> dict[str, int]:
    """Run this engine; return the nonzero counts without `same`."""
    return workspace.changes(step.operation, *step.arguments, expect=1 if step.fails else 0)


def cli(workspace: Workspace, step: Stage) -> dict[str, int]:
    """Run the CLI; return the same counts."""
    environment = {**workspace.environment, "PULUMI_HOME": str(workspace.backend / "home")}
    where = ["--cwd", str(workspace.folder), "--stack", "dev", "--non-interactive"]
    if not workspace.state_file.exists():
        subprocess.run(
            [cli_path(), "stack", "init", *where], env=environment, capture_output=True, check=True
        )
    command = [cli_path(), step.operation, *where, "--json", *step.arguments]
    if step.operation != "preview":
        command += ["--yes", "--skip-preview"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
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
        if not step.fails:  # how far the others got depends on timing
            assert counts == dict(step.counts), f"stage {number}, {step.operation}"
        states.append(_state(workspace))
    return states


def _state(workspace: Workspace) -> Any:
    """Return the stack's resources without times and IDs."""
    if not workspace.state_file.exists():
        return {}
    document = export_stack(workspace.backend, "demo", "dev", "correct horse", show_secrets=True)
    resources = document["deployment"].get("resources") or []
    names = {item["id"]: item["urn"].rsplit("::", 1)[-1] for item in resources if item.get("id")}
    result = {}
    for item in resources:
        remaining = {
            key: item[key]
            for key in item
            if key not in ("created", "modified", "sourcePosition", "stackTrace")
        }
        remaining["dependencies"] = sorted(item.get("dependencies") or [])
        uses = item.get("propertyDependencies") or {}
        remaining["propertyDependencies"] = {
            key: sorted(urns) for key, urns in uses.items() if urns
        }
        text = json.dumps(remaining, sort_keys=True).replace("[]", "null")
        result[item["urn"], bool(item.get("delete"))] = re.sub(
            r"thing-\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
            lambda id: names.get(id.group(), id.group()),
            text,
        )
    return result


@pytest.mark.parametrize("scene", SCENES)
def test_resource_counts_match_the_cli(workspace: Workspace, kit: Kit, scene: str) -> None:
    _play(workspace, kit, scene, embedded)


@needs_cli
@pytest.mark.parametrize("scene", SCENES)
def test_alternating_engines_produce_the_same_state(
    workspace: Workspace, kit: Kit, scene: str, tmp_path: Path
) -> None:
    alone = _play(workspace, kit, scene, embedded)
    folder, other = tmp_path / "shared", Kit()
    folder.mkdir()
    with serving(other) as port:
        together = _play(Workspace(folder, port), other, scene, cli, embedded)
    assert together == alone
