"""Secrets, ignored changes, aliases, transforms and hooks."""

from __future__ import annotations

from tests.conformance.scenario import (
    Scenario,
    breaks,
    destroy,
    drifts,
    preview,
    refresh,
    scenario,
    up,
)

_S = "s = pulumi.Output.secret\n"
_HOOK = """
first = pulumi.ResourceHook("first", lambda args: None)
again = pulumi.ResourceHook("again", lambda args: None, pulumi.ResourceHookOptions(on_dry_run=True))
def fail(args):
    raise ValueError("no")
failing = pulumi.ResourceHook("failing", fail)
def bound(**kinds):
    return Options(hooks=pulumi.ResourceHookBinding(**kinds))
"""
_TRANSFORM = """
from pulumi import ResourceTransformResult as Result
def marked(word):
    return lambda args: Result({**args.props, "mark": word}, args.opts) if args.type_ == "kit:index:Thing" else None
"""


def _ignore(paths: str, old: str, new: str) -> Scenario:
    text = 'Thing("a", Options(ignore_changes=PATHS), VALUES)'.replace("PATHS", paths)
    return scenario(
        up(text.replace("VALUES", old)), preview(text.replace("VALUES", new)), up(), refresh(), up()
    )


SCENARIOS: dict[str, Scenario] = {
    "secret input": scenario(up(_S + 'Thing("a", x=s(1))'), preview(), refresh(), destroy()),
    "input becomes secret": scenario(
        up('a = Thing("a", x=1)\npulumi.export("x", a.x if hasattr(a, "x") else a.arn)'),
        preview(_S + 'a = Thing("a", x=s(1))\npulumi.export("x", a.arn)'), up(), up(), refresh(),
    ),
    "input becomes plain": scenario(up(_S + 'Thing("a", x=s(1))'), preview('Thing("a", x=1)'), up(), up()),
    "secret changes": scenario(up(_S + 'Thing("a", x=s(1))'), preview(_S + 'Thing("a", x=s(2))'), up()),
    "secret in a list": scenario(
        up(_S + 'Thing("a", x=[1, s(2)])'), preview(), up('Thing("a", x=[1, 2])'), up(_S + 'Thing("a", x=[s(1), 2])'),
        refresh(),
    ),
    "secret in a map": scenario(
        up(_S + 'Thing("a", x={"a": s(1), "b": {"c": s([1])}})'), preview(), refresh(), up('Thing("a", x={"a": 1})'),
    ),
    "secret output": scenario(
        up('a = Thing("a")\npulumi.export("t", a.token)\npulumi.export("d", {"t": [a.token]})'), preview(), refresh(),
    ),
    "secret of a dependency": scenario(up('a = Thing("a")\nThing("b", x=a.token, y=[a.token])'), preview(), refresh()),
    "additional secret outputs": scenario(
        up('Thing("a", Options(additional_secret_outputs=["arn"]))'), up('Thing("a")'),
        up('Thing("a", Options(additional_secret_outputs=["arn", "none"]))'), refresh(),
    ),
    "export becomes secret": scenario(
        up('pulumi.export("x", 1)'), preview(_S + 'pulumi.export("x", s(1))'), up(), up('pulumi.export("x", 1)'),
    ),
    "unsecret": scenario(up('a = Thing("a")\nThing("b", x=pulumi.Output.unsecret(a.token))'), preview()),
    "secret configuration": scenario(
        up('Thing("a", x=pulumi.Config().require_secret("x"))', "--config", "x=plain"), destroy(), loose=True,
    ),
    "secret component output": scenario(
        up(_S + 'g = Group("g")\ng.register_outputs({"x": s(1)})'), preview(), up('Group("g").register_outputs({"x": 1})'),
    ),
    "secret replacement": scenario(up(_S + 'Thing("a", size=s(1))'), preview(_S + 'Thing("a", size=s(2))'), up()),
    "secret drift": scenario(
        up(_S + 'Thing("a", x=s(1), y=1)'), refresh(before=drifts("a", x=2)), preview(), up(),
    ),
    "secret json": scenario(up('a = Thing("a")\nThing("b", x=pulumi.Output.json_dumps({"t": a.token}))'), preview()),
    "ignore a property": _ignore('["x"]', "x=1", "x=2"),
    "ignore an added property": _ignore('["x"]', "y=1", "x=2, y=1"),
    "ignore a removed property": _ignore('["x"]', "x=1", "y=2"),
    "ignore a nested property": _ignore('["x.y"]', 'x={"y": 1, "z": 1}', 'x={"y": 2, "z": 2}'),
    "ignore below a missing map": _ignore('["tags.x"]', "z=1", 'z=1, tags={"x": 1, "y": 2}'),
    "ignore below a removed map": _ignore('["tags.x"]', 'tags={"x": 1}', "z=1"),
    "ignore an added key": _ignore('["tags.x"]', 'tags={"y": 1}', 'tags={"x": 1, "y": 1}'),
    "ignore a removed key": _ignore('["tags.x"]', 'tags={"x": 1, "y": 1}', 'tags={"y": 2}'),
    "ignore an element": _ignore('["x[0]"]', "x=[1, 2]", "x=[3, 4]"),
    "ignore an added element": _ignore('["x[1]"]', "x=[1]", "x=[1, 2]"),
    "ignore a removed element": _ignore('["x[1]"]', "x=[1, 2]", "x=[3]"),
    "ignore all elements": _ignore('["x[*].y"]', 'x=[{"y": 1}, {"y": 2}]', 'x=[{"y": 3}, {"y": 4}, {"y": 5}]'),
    "ignore all keys": _ignore('["x.*"]', 'x={"a": 1}', 'x={"a": 2, "b": 3}'),
    "ignore everything": _ignore('["*"]', "x=1", "x=2, y=1"),
    "ignore a quoted key": _ignore("['x[\"a.b\"]']", 'x={"a.b": 1}', 'x={"a.b": 2}'),
    "ignore a replacing property": _ignore('["size"]', "size=1", "size=2"),
    "ignore a secret": _ignore('["x"]', "x=pulumi.Output.secret(1)", "x=pulumi.Output.secret(2)"),
    "ignore and become secret": _ignore('["x"]', "x=1", "x=pulumi.Output.secret(2)"),
    "ignore inside a secret": _ignore(
        '["x.y"]', 'x=pulumi.Output.secret({"y": 1, "z": 1})', 'x=pulumi.Output.secret({"y": 2, "z": 2})'
    ),
    "ignore a wrong kind": _ignore('["x.y"]', 'x={"y": 1}', "x=[1]"),
    "ignore an invalid path": _ignore('["x["]', "x=1", "x=2"),
    "alias of a name": scenario(
        up('Thing("a", x=1)'), preview('Thing("b", Options(aliases=[pulumi.Alias(name="a")]), x=1)'), up(), destroy(),
    ),
    "alias of a URN": scenario(
        up('Thing("a")'), up('Thing("b", Options(aliases=["urn:pulumi:dev::demo::kit:index:Thing::a"]))'), up('Thing("b")'),
    ),
    "alias of a parent": scenario(
        up('g = Group("g")\nThing("a", Options(parent=g))'),
        preview('Thing("a", Options(aliases=[pulumi.Alias(parent="urn:pulumi:dev::demo::test:index:Group::g")]))'), up(),
    ),
    "alias without a parent": scenario(
        up('Thing("a")'), up('g = Group("g")\nThing("a", Options(parent=g, aliases=[pulumi.Alias(parent=pulumi.ROOT_STACK_RESOURCE)]))'),
    ),
    "alias of a type": scenario(
        up('Thing("a")'),
        preview('class T2(pulumi.CustomResource):\n    def __init__(self, name, opts=None):\n        super().__init__("kit:index:Other", name, {}, opts)\n'
                'T2("a", Options(aliases=[pulumi.Alias(type_="kit:index:Thing")]))'), up(),
    ),
    "renamed parent": scenario(
        up('g = Group("g")\na = Thing("g-a", Options(parent=g))\nThing("b", Options(parent=g), of=a.arn)'),
        preview('g = Group("h", Options(aliases=[pulumi.Alias(name="g")]))\na = Thing("h-a", Options(parent=g))\nThing("b", Options(parent=g), of=a.arn)'),
        up(), destroy(),
    ),
    "alias and replacement": scenario(
        up('a = Thing("a", size=1)\nThing("x", of=a.arn)'),
        preview('b = Thing("b", Options(aliases=[pulumi.Alias(name="a")]), size=2)\nThing("x", of=b.arn)'), up(), destroy(),
    ),
    "alias and delete before replace": scenario(
        up('a = Thing("a", kind="x")\nThing("x", kind=a.arn)'),
        preview('b = Thing("b", Options(aliases=[pulumi.Alias(name="a")]), kind="y")\nThing("y", Options(aliases=[pulumi.Alias(name="x")]), kind=b.arn)'),
        up(), destroy(),
    ),
    "alias of a living resource": scenario(
        up('Thing("a")'), up('a = Thing("a")\nThing("b", Options(depends_on=[a], aliases=[pulumi.Alias(name="a")]))'), destroy(), loose=True,
    ),
    "URN of a taken alias": scenario(
        up('Thing("a")'), up('b = Thing("b", Options(aliases=[pulumi.Alias(name="a")]))\nThing("a", Options(depends_on=[b]))'), destroy(), loose=True,
    ),
    "transform": scenario(up(_TRANSFORM + 'Thing("a", Options(transforms=[marked("x")]), y=1)'), preview(), up('Thing("a", y=1)')),
    "stack transform": scenario(
        up(_TRANSFORM + 'pulumi.runtime.register_resource_transform(marked("x"))\na = Thing("a")\nThing("b", of=a.token)'), preview(),
    ),
    "inherited transform": scenario(
        up(_TRANSFORM + 'g = Group("g", Options(transforms=[marked("x")]))\na = Thing("z")\nThing("a", Options(parent=g), of=a.arn)'), preview(),
    ),
    "transform of options": scenario(
        up(_TRANSFORM + 'z = Thing("z")\nThing("a", Options(transforms=[lambda args: Result(args.props, Options.merge(args.opts, Options(depends_on=[z], protect=True, retain_on_delete=True)))]))'),
        preview(), up('Thing("z")\nThing("a")'), destroy(),
    ),
    "transform of secrets": scenario(
        up(_TRANSFORM + 'z = Thing("z")\nThing("a", Options(transforms=[marked("x")]), x=z.token, y=[z.token, 1], w={"k": z.token})'), preview(),
    ),
    "failing transform": scenario(
        up('def no(args):\n    raise ValueError("no")\nThing("a", Options(transforms=[no]))'), loose=True,
    ),
    "create hooks": scenario(up(_HOOK + 'Thing("a", bound(before_create=[first], after_create=[again]))'), preview(), destroy()),
    "update hooks": scenario(
        up(_HOOK + 'Thing("a", bound(before_update=[first], after_update=[again]), x=1)'),
        preview(_HOOK + 'Thing("a", bound(before_update=[first], after_update=[again]), x=2)'), up(), destroy(),
    ),
    "delete hooks": scenario(
        up(_HOOK + 'Thing("a", bound(before_delete=[first]))\nThing("b")'), destroy(), destroy("--run-program"), loose=True,
    ),
    "delete hooks with the program": scenario(
        up(_HOOK + 'Thing("a", bound(before_delete=[first], after_delete=[again]))\nThing("b")'), destroy("--run-program"),
    ),
    "failing create hook": scenario(up(_HOOK + 'Thing("a", bound(before_create=[failing]))'), up('Thing("a")')),
    "failing hook after creation": scenario(up(_HOOK + 'Thing("a", bound(after_create=[failing]))'), up('Thing("a")'), destroy()),
    "failing delete hook": scenario(
        up(_HOOK + 'Thing("a", bound(before_delete=[failing]))'), destroy("--run-program"), up('Thing("a")'), destroy(),
    ),
    "hooks and replacement": scenario(
        up(_HOOK + 'Thing("a", bound(before_create=[first], before_delete=[again]), size=1)'),
        preview(_HOOK + 'Thing("a", bound(before_create=[first], before_delete=[again]), size=2)'), up(),
    ),
    "error hook": scenario(
        up('Thing("a", fail="create")', before=breaks()), up('Thing("a")'), destroy(),
    ),
}  # fmt: skip
