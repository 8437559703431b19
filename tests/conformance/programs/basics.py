"""Creation, changes, replacement, dependencies, components, outputs and configuration."""

from __future__ import annotations

from tests.conformance.scenario import Scenario, destroy, preview, refresh, scenario, up

_CHAIN = 'a = Thing("a", v=N)\nb = Thing("b", of=a.arn)\nc = Thing("c", of=b.arn)'
_DBR = 'a = Thing("a", kind="K")\nb = Thing("b", of=a.arn)\nc = Thing("c", of=b.token)'


def _n(text: str, value: object) -> str:
    return text.replace("N", str(value)).replace("K", str(value))


SCENARIOS: dict[str, Scenario] = {
    "empty program": scenario(preview(""), up(""), up(), refresh(), destroy()),
    "one resource": scenario(preview('Thing("a", x=1)'), up(), preview(), up(), refresh(), destroy()),
    "update": scenario(up('Thing("a", x=1)'), preview('Thing("a", x=2)'), up(), destroy()),
    "removed input": scenario(up('Thing("a", x=1, y=2)'), preview('Thing("a", x=1)'), up()),
    "added input": scenario(up('Thing("a", x=1)'), preview('Thing("a", x=1, y=None, z=[])'), up()),
    "nested values": scenario(
        up('Thing("a", x={"b": [1, {"c": None}], "d": {}})'),
        preview('Thing("a", x={"b": [1, {"c": 2}, 3], "d": {}})'), up(), refresh(),
    ),
    "chain": scenario(up(_n(_CHAIN, 1)), preview(_n(_CHAIN, 2)), up(), refresh(), destroy()),
    "replacement": scenario(up('Thing("a", size=1)'), preview('Thing("a", size=2)'), up(), destroy()),
    "replacement of a dependency": scenario(
        up('a = Thing("a", size=1)\nThing("b", of=a.arn)'),
        preview('a = Thing("a", size=2)\nThing("b", of=a.arn)'), up(), up(), destroy(),
    ),
    "replaced dependency that replaces": scenario(
        up('a = Thing("a", size=1)\nThing("b", size=a.arn)'),
        preview('a = Thing("a", size=2)\nThing("b", size=a.arn)'), up(),
    ),
    "delete before replace": scenario(up(_n(_DBR, "x")), preview(_n(_DBR, "y")), up(), destroy()),
    "delete before replace with replaced dependents": scenario(
        up('a = Thing("a", kind="x")\nb = Thing("b", kind=a.arn)\nThing("c", size=b.arn)'),
        preview('a = Thing("a", kind="y")\nb = Thing("b", kind=a.arn)\nThing("c", size=b.arn)'), up(),
    ),
    "delete before replace by option": scenario(
        up('Thing("a", Options(delete_before_replace=True), size=1)'),
        preview('Thing("a", Options(delete_before_replace=True), size=2)'), up(),
    ),
    "no delete before replace by option": scenario(
        up('Thing("a", Options(delete_before_replace=False), kind="x")'),
        preview('Thing("a", Options(delete_before_replace=False), kind="y")'), up(),
    ),
    "replace on changes": scenario(
        up('Thing("a", Options(replace_on_changes=["x.y"]), x={"y": 1, "z": 1})'),
        up('Thing("a", Options(replace_on_changes=["x.y"]), x={"y": 1, "z": 2})'),
        preview('Thing("a", Options(replace_on_changes=["x.y"]), x={"y": 2, "z": 2})'), up(),
    ),
    "replace on any change": scenario(
        up('Thing("a", Options(replace_on_changes=["*"]), x=1)'),
        preview('Thing("a", Options(replace_on_changes=["*"]), x=2)'), up(),
    ),
    "replacement trigger": scenario(
        up('Thing("a", Options(replacement_trigger=1))'), up(),
        preview('Thing("a", Options(replacement_trigger=2))'), up(),
        up('Thing("a")'),
    ),
    "replace with": scenario(
        up('a = Thing("a", size=1)\nThing("b", Options(replace_with=[a]))'),
        preview('a = Thing("a", size=2)\nThing("b", Options(replace_with=[a]))'), up(),
    ),
    "removal": scenario(up('a = Thing("a")\nThing("b", of=a.arn)'), preview('Thing("a")'), up(), up("")),
    "removal of a chain": scenario(up(_n(_CHAIN, 1)), preview(""), up(), destroy()),
    "depends_on": scenario(
        up('a = Thing("a")\nb = Thing("b", Options(depends_on=[a]))'), up('Thing("b")'), destroy(),
    ),
    "depends_on a component": scenario(
        up('g = Group("g")\na = Thing("a", Options(parent=g))\nThing("b", Options(depends_on=[g]))'),
        destroy(),
    ),
    "depends_on a custom resource with children": scenario(
        up('a = Thing("a")\nc = Thing("c", Options(depends_on=[a]))\nd = Thing("d", Options(parent=a, depends_on=[c]))'),
        destroy(),
    ),
    "component": scenario(
        up('g = Group("g")\nThing("a", Options(parent=g))\ng.register_outputs({"x": 1})'), preview(),
        up('g = Group("g")\nThing("a", Options(parent=g))\ng.register_outputs({"x": 2, "y": []})'),
        refresh(), destroy(),
    ),
    "component without outputs": scenario(up('Thing("a", Options(parent=Group("g")))'), up(), destroy()),
    "nested components": scenario(
        up('g = Group("g")\nh = Group("h", Options(parent=g))\nThing("a", Options(parent=h))'),
        preview('h = Group("h")\nThing("a", Options(parent=h))'), up(), destroy(),
    ),
    "child of a custom resource": scenario(
        up('a = Thing("a")\nThing("b", Options(parent=a))'), preview('a = Thing("a", x=1)'), up(), destroy(),
    ),
    "stack outputs": scenario(
        up('pulumi.export("a", 1)\npulumi.export("b", {"c": [None, True, "x"]})'), preview(),
        preview('pulumi.export("a", 2)'), up(), up(""), destroy(),
    ),
    "output of a resource": scenario(
        preview('a = Thing("a")\npulumi.export("arn", a.arn)\npulumi.export("id", a.id)\npulumi.export("urn", a.urn)'),
        up(), preview(), refresh(), destroy(),
    ),
    "output of a whole resource": scenario(up('pulumi.export("a", Thing("a", x=1))'), up(), refresh()),
    "all and concat": scenario(
        preview('a = Thing("a")\nThing("b", x=pulumi.Output.concat("<", a.arn, ">"), y=pulumi.Output.all(a.arn, 1))'),
        up(), destroy(),
    ),
    "resource in inputs": scenario(
        preview('a = Thing("a")\nThing("b", x=a, y=[a], z={"k": a})'), up(), preview(), refresh(), destroy(),
    ),
    "component in inputs": scenario(up('g = Group("g")\nThing("b", x=g)'), preview(), destroy()),
    "retain on delete": scenario(
        up('Thing("a", Options(retain_on_delete=True))\nThing("b", Options(retain_on_delete=True))'),
        up('Thing("b", Options(retain_on_delete=True))'), destroy(),
    ),
    "retained replacement": scenario(
        up('Thing("a", Options(retain_on_delete=True), size=1)'),
        up('Thing("a", Options(retain_on_delete=True), size=2)'), destroy(),
    ),
    "deleted with": scenario(
        up('a = Thing("a")\nThing("b", Options(deleted_with=a))'), preview("") , destroy(),
    ),
    "deleted with a resource that stays": scenario(
        up('a = Thing("a")\nThing("b", Options(deleted_with=a))'), up('Thing("a")'), destroy(),
    ),
    "deleted with a replaced resource": scenario(
        up('a = Thing("a", size=1)\nThing("b", Options(deleted_with=a))'),
        preview('a = Thing("a", size=2)\nThing("b", Options(deleted_with=a))'), up(),
    ),
    "custom timeouts": scenario(
        up('Thing("a", Options(custom_timeouts=pulumi.CustomTimeouts(create="1m", update="90s", delete="1h1m1s")))'),
        up('Thing("a", Options(custom_timeouts=pulumi.CustomTimeouts(update="2m")), x=1)'), up(), destroy(),
    ),
    "large and odd numbers": scenario(
        up('Thing("a", a=0.1, b=1e21, c=-0.0, d=9007199254740993, e=1.0, f=True)'), up(), refresh(),
    ),
    "odd strings": scenario(
        up('Thing("a", x="<&>\\u2028 ünï \\\\ \\"", y="", z="4dabf18193072939515e22adb298388d")'), up(), refresh(),
    ),
    "odd keys": scenario(up('Thing("a", x={"a.b": 1, "c[0]": 2, "": 3, "ü": 4})'), preview(), refresh()),
    "odd names": scenario(up('Thing("a b")\nThing("ü/c:d")'), up(), destroy()),
    "assets": scenario(
        up('Thing("a", x=pulumi.StringAsset("one"), y=pulumi.AssetArchive({"f": pulumi.StringAsset("x")}))'), up(),
        preview('Thing("a", x=pulumi.StringAsset("two"), y=pulumi.AssetArchive({"f": pulumi.StringAsset("x")}))'), up(),
        refresh(), destroy(),
    ),
    "hide diffs": scenario(
        up('Thing("a", Options(hide_diffs=["x"]), x=1)'), preview('Thing("a", Options(hide_diffs=["x"]), x=2)'), up(),
    ),
    "option changes only": scenario(
        up('Thing("a")'), up('Thing("a", Options(retain_on_delete=True, protect=True, ignore_changes=["x"]))'),
        up('Thing("a")'), destroy(),
    ),
    "configuration": scenario(
        up('c = pulumi.Config()\nThing("a", x=c.get("one"), y=c.get_object("two"))'), destroy(),
        stack="config:\n  demo:one: 1\n  demo:two: {a: [1, x]}\n",
    ),
    "typed configuration with defaults": scenario(
        up('c = pulumi.Config()\nThing("a", x=c.require_int("n"), y=c.require_object("l"), z=c.require_bool("b"))'),
        stack="config:\n  demo:n: 5\n",
        project="config:\n  n: {type: integer}\n  l: {type: array, items: {type: string}, default: [x]}\n"
        "  b: {type: boolean, default: false}\n",
    ),
    "configuration of the wrong type": scenario(
        preview('Thing("a")'), stack="config:\n  demo:n: x\n", project="config:\n  n: {type: integer}\n",
    ),
    "missing declared configuration": scenario(
        preview('Thing("a")'), project="config:\n  n: {type: integer}\n",
    ),
    "project value": scenario(up('Thing("a")'), up(), project="config:\n  kit:region: {value: north}\n"),
    "missing required configuration": scenario(preview('pulumi.Config().require("x")')),
    "two resources of one name": scenario(up('Thing("a")\nThing("a")'), loose=True),
    "same name below two parents": scenario(
        up('a = Thing("a")\nThing("a", Options(parent=Group("g"), depends_on=[a]))'), up('Thing("a")'), destroy(),
    ),
    "stack exported twice": scenario(up('pulumi.export("x", 1)\npulumi.export("x", 2)')),
    "invoke": scenario(
        up('r = pulumi.runtime.invoke("kit:index:lookup", {"a": 1}).value\nThing("a", x=r["found"])'), preview(),
    ),
    "refused invoke": scenario(up('pulumi.runtime.invoke("kit:index:lookup", {"bad": 1})'), loose=True),
    "output invoke": scenario(
        preview('a = Thing("a")\npulumi.export("x", pulumi.runtime.invoke_output("kit:index:lookup", {"a": a.arn}))'), up(),
    ),
    "invoke with secrets": scenario(
        up('pulumi.export("x", pulumi.runtime.invoke_output("kit:index:lookup", {"a": pulumi.Output.secret(1)}))'),
    ),
    "unused provider": scenario(up('KitProvider("p", region="x")'), up(""), destroy()),
    "expected changes": scenario(
        up('Thing("a")'), preview('Thing("a")', "--expect-no-changes"), preview('Thing("a", x=1)', "--expect-no-changes"),
        up('Thing("a", x=1)'), refresh("--expect-no-changes"),
    ),
}  # fmt: skip
