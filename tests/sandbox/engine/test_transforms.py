"""Transforms: order, inputs, results."""

from __future__ import annotations

from tests.sandbox.engine.recording_provider import Kit
from tests.sandbox.engine.workspace import MARKED, PAIR, Workspace, messages


def test_transforms_run_from_the_resource_to_the_stack(workspace: Workspace, kit: Kit) -> None:
    workspace.program(
        MARKED
        + """
pulumi.runtime.register_resource_transform(marked("stack"))
outer = Group("outer", Options(transforms=[marked("outer")]))
inner = Group("inner", Options(parent=outer, transforms=[marked("inner one"), marked("inner two")]))
Thing("deep", Options(parent=inner, transforms=[marked("own one"), marked("own two")]))
Thing("loose")
"""
    )
    workspace.json("up")
    own = ["own one", "own two", "inner one", "inner two", "outer", "stack"]
    assert kit.named("deep")[0]["marks"] == own
    assert kit.named("loose")[0]["marks"] == ["stack"]
    assert workspace.changes("preview") == {}


def test_transforms_apply_to_children_of_remote_components(boxed: Workspace, kit: Kit) -> None:
    program = MARKED + 'pulumi.runtime.register_resource_transform(marked("stack"))\n'
    boxed.program(program + PAIR.replace("EXTRA", 'opts=Options(transforms=[marked("pair")])'))
    boxed.json("up")
    for name in ("pair-first", "pair-second"):
        assert kit.named(name)[0]["marks"] == ["pair", "stack"]
    assert kit.named("after")[0]["marks"] == ["stack"]
    assert boxed.changes("preview") == {}


def test_transforms_change_options_and_dependencies(workspace: Workspace, kit: Kit) -> None:
    workspace.program(
        MARKED
        + """
own = KitProvider("own")
a = Thing("a")
b = Thing("b", pause=0.5)
def changing(args):
    more = Options(
        depends_on=[b], protect=True, ignore_changes=["loose"], provider=own, retain_on_delete=True,
        additional_secret_outputs=["arn"], replace_on_changes=["x"], delete_before_replace=True, deleted_with=a,
        custom_timeouts=pulumi.CustomTimeouts(create="5m"), version="1.2.3",
    )
    return Result({**args.props, "of": a.arn}, Options.merge(args.opts, more))
Thing("c", Options(transforms=[changing]))
"""
    )
    workspace.json("up")
    created = [name for method, name in kit.calls if method == "create"]
    assert created.index("c") > created.index("b")
    state = workspace.resources()["c"]
    # The SDK returns plain values, so the dependency of the output `a.arn` is lost.
    assert state["dependencies"] == [workspace.urn("b")]
    assert state["inputs"]["of"] == workspace.resources()["a"]["outputs"]["arn"]
    assert state["provider"].startswith(workspace.urn("own"))
    assert (state["protect"], state["retainOnDelete"], state["ignoreChanges"]) == (
        True,
        True,
        ["loose"],
    )
    assert (state["additionalSecretOutputs"], state["replaceOnChanges"]) == (["arn"], ["x"])
    assert (state["customTimeouts"], state["deletedWith"]) == ({"create": 300}, workspace.urn("a"))


def test_transforms_get_secrets_and_unknowns_as_outputs(workspace: Workspace, kit: Kit) -> None:
    workspace.program(
        MARKED
        + """
def looking(args):
    if args.name == "b":
        kinds = {key: isinstance(value, pulumi.Output) for key, value in sorted(args.props.items())}
        print("seen", kinds, args.opts.ignore_changes, args.opts.parent is not None)
        return Result({**args.props, "joined": pulumi.Output.concat(args.props["of"], "!"), "new": pulumi.Output.secret("hush-new")}, args.opts)
a = Thing("a")
b = Thing("b", Options(transforms=[looking], ignore_changes=["x"]), of=a.arn, word="plain", hidden=pulumi.Output.secret("hush-old"))
Thing("c", Options(transforms=[looking, lambda args: None]), of=b.token)
"""
    )
    seen = "seen {'hidden': True, 'of': True, 'word': False} ['x'] True"
    assert seen in workspace.run("preview").stdout
    assert seen in workspace.run("up").stdout
    thing = kit.named("b")[0]
    assert (thing["joined"], thing["new"], thing["hidden"]) == (
        "arn:kit:thing-1!",
        "hush-new",
        "hush-old",
    )
    assert "hush" not in workspace.state_file.read_text()
    assert workspace.changes("preview") == {}


def test_transforms_of_calls_change_arguments_provider_and_version(
    workspace: Workspace, kit: Kit
) -> None:
    workspace.program(
        MARKED
        + """
own = KitProvider("own", region="north")
async def adding(args):
    if args.token == "kit:index:lookup":
        return InvokeTransformResult({**args.args, "added": "yes"}, pulumi.InvokeOptions(provider=own))
pulumi.runtime.register_invoke_transform(adding)
pulumi.runtime.register_invoke_transform(lambda args: None)
pulumi.export("found", pulumi.runtime.invoke("kit:index:lookup", {"a": 1}).value)
"""
    )
    assert workspace.json("up")["outputs"]["found"] == {"a": 1, "added": "yes", "found": "yes"}
    assert [item for item in workspace.resources() if "default" in item] == []
    assert any(settings.get("region") == "north" for settings in kit.configured)


def test_failing_transform_fails_the_resource_with_the_programs_line(
    workspace: Workspace, kit: Kit
) -> None:
    workspace.program(
        MARKED
        + """
def failing(args):
    raise ValueError("no such luck")
a = Thing("a", Options(transforms=[failing]))
Thing("b", of=a.arn)
Thing("c")
"""
    )
    failed = workspace.json("up", expect=1)
    line = (workspace.folder / "__main__.py").read_text().splitlines().index(
        '    raise ValueError("no such luck")'
    ) + 1
    message = messages(failed)
    assert (
        f"::a: Its transform failed: no such luck ({workspace.folder}/__main__.py, line {line})"
        in message
    )
    assert "Traceback" not in message
    assert [thing["__name"] for thing in kit.things.values()] == ["c"]


def test_failing_invoke_transform_is_reported(workspace: Workspace) -> None:
    workspace.program(
        MARKED
        + """
def failing(args):
    raise ValueError("no such luck")
pulumi.runtime.register_invoke_transform(failing)
pulumi.export("found", pulumi.runtime.invoke("kit:index:lookup", {"a": 1}).value)
"""
    )
    assert "A transform of the call of kit:index:lookup failed: no such luck" in messages(
        workspace.json("preview", expect=1)
    )
