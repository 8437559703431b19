"""Failures, protection, drift, imports, reads, targets and providers."""

from __future__ import annotations

from tests.conformance.scenario import (
    Scenario,
    breaks,
    destroy,
    drifts,
    exists,
    preview,
    refresh,
    scenario,
    up,
    vanishes,
)

_PAIR = 'a = Thing("a", v=1)\nThing("b", of=a.arn, v=1)'
_THREE = 'a = Thing("a", v=N)\nb = Thing("b", of=a.arn, v=N)\nc = Thing("c", v=N)'
_PROTECTED = 'a = Thing("a", Options(protect=True), size=1)\nb = Thing("b", of=a.arn)'
_GET = """
def get(name, id, opts=None):
    return Thing(name, Options.merge(Options(id=id), opts))
"""
_OTHER = """
class Odd(pulumi.CustomResource):
    def __init__(self, name, opts=None, **props):
        super().__init__("none:index:Thing", name, props, opts)
"""


def _three(value: int) -> str:
    return _THREE.replace("N", str(value))


SCENARIOS: dict[str, Scenario] = {
    "failed creation": scenario(up('Thing("a", fail="create")'), up('Thing("a")'), destroy()),
    "failed creation of a dependency": scenario(
        up('a = Thing("a", fail="create")\nThing("b", of=a.arn)'), up(_PAIR), destroy(),
    ),
    "partial creation": scenario(up('Thing("a", fail="partial")'), preview('Thing("a")'), up(), destroy()),
    "partial creation again": scenario(up('Thing("a", fail="partial")'), up(), refresh(), destroy()),
    "partial creation then destroy": scenario(up('Thing("a", fail="partial")'), destroy()),
    "failed update": scenario(up('Thing("a", x=1)'), up('Thing("a", x=2)', before=breaks("update a")), up(before=breaks()), destroy()),
    "failed update of a dependency": scenario(
        up(_PAIR), up(_PAIR.replace("v=1", "v=2"), before=breaks("update a")), up(before=breaks()),
    ),
    "failed deletion": scenario(up('Thing("a")'), destroy(before=breaks("delete a")), destroy(before=breaks())),
    "failed deletion of a dependent": scenario(up(_PAIR), destroy(before=breaks("delete b")), destroy(before=breaks())),
    "failed deletion of a removed resource": scenario(
        up(_PAIR), up('Thing("a", v=1)', before=breaks("delete b")), up(before=breaks()),
    ),
    "failed read in refresh": scenario(up('Thing("a")'), refresh(before=breaks("read a")), refresh(before=breaks())),
    "failed replacement": scenario(
        up('Thing("a", size=1)'), up('Thing("a", size=2)', before=breaks("create a")), up(before=breaks()), destroy(),
    ),
    "failed deletion of the replaced": scenario(
        up('Thing("a", size=1)'), up('Thing("a", size=2)', before=breaks("delete a")), preview(before=breaks()), up(), destroy(),
    ),
    "replaced again before its deletion": scenario(
        up('Thing("a", size=1)'), up('Thing("a", size=2)', before=breaks("delete a")), up('Thing("a", size=3)', before=breaks()),
    ),
    "destroyed before its deletion": scenario(
        up('Thing("a", size=1)'), up('Thing("a", size=2)', before=breaks("delete a")), destroy(before=breaks()),
    ),
    "failed delete before replace": scenario(
        up('Thing("a", kind="x")'), up('Thing("a", kind="y")', before=breaks("delete a")), up(before=breaks()), destroy(),
    ),
    "failed creation after deletion": scenario(
        up('a = Thing("a", kind="x")\nThing("b", kind=a.arn)'),
        up('a = Thing("a", kind="y")\nThing("b", kind=a.arn)', before=breaks("create a")),
        preview(before=breaks()), up(), destroy(),
    ),
    "failed creation after deletion then destroy": scenario(
        up('a = Thing("a", kind="x")\nThing("b", kind=a.arn)'),
        up('a = Thing("a", kind="y")\nThing("b", kind=a.arn)', before=breaks("create a")), destroy(before=breaks()),
    ),
    "failed creation after deletion then removal": scenario(
        up('a = Thing("a", kind="x")\nThing("b", kind=a.arn)'),
        up('a = Thing("a", kind="y")\nThing("b", kind=a.arn)', before=breaks("create a")), up("", before=breaks()),
    ),
    "failed creation after deletion then refresh": scenario(
        up('Thing("a", kind="x")'), up('Thing("a", kind="y")', before=breaks("create a")), refresh(before=breaks()), up(),
    ),
    "refused inputs": scenario(up('Thing("a", bad=1)'), up('Thing("a")'), preview('Thing("a", bad=1)'), up()),
    "program raises early": scenario(up('raise ValueError("x")'), up('Thing("a")'), up('raise ValueError("x")'), destroy()),
    "program raises late": scenario(
        up('Thing("a")\nThing("b")'), up('a = Thing("a", x=1)\ndef no(arn):\n    raise ValueError("x")\na.arn.apply(no)'), destroy(),
    ),
    "program raises a RunError": scenario(up('raise pulumi.RunError("x")'), up('Thing("a")'), up('raise pulumi.RunError("x")')),
    "program exits": scenario(up('import sys\nsys.exit(3)'), up('import sys\nsys.exit(0)')),
    "program logs an error": scenario(up('Thing("a")\npulumi.log.error("x")'), up()),
    "program has a syntax error": scenario(preview("x ="), up()),
    "output keeps after failure": scenario(
        up('pulumi.export("x", 1)\nThing("a")'), up('pulumi.export("x", 2)\nThing("a", bad=1)'), up('pulumi.export("x", 2)\nThing("a")'),
    ),
    "missing provider": scenario(up(_OTHER + 'Odd("a")'), loose=True),
    "protected destroy": scenario(up(_PROTECTED), destroy(), preview(), up(_PROTECTED.replace("True", "False")), destroy()),
    "protected dependent": scenario(
        up('a = Thing("a")\nb = Thing("b", Options(protect=True), of=a.arn)\nThing("c")'), destroy(),
    ),
    "protected removal": scenario(up(_PROTECTED), preview(""), up("")),
    "protected replacement": scenario(
        up(_PROTECTED), preview(_PROTECTED.replace("size=1", "size=2")), up(), up(_PROTECTED.replace("size=1", "size=2").replace("True", "False")),
    ),
    "protected dependent of a delete before replace": scenario(
        up('a = Thing("a", kind="x")\nThing("b", Options(protect=True), kind=a.arn)'),
        preview('a = Thing("a", kind="y")\nThing("b", Options(protect=True), kind=a.arn)'), up(),
    ),
    "inherited protection": scenario(
        up('g = Group("g", Options(protect=True))\nThing("a", Options(parent=g))'), destroy(), up('g = Group("g")\nThing("a", Options(parent=g))'),
    ),
    "drift": scenario(up('Thing("a", x=1)'), refresh(before=drifts("a", x=2)), preview(), up()),
    "drift of a dependency": scenario(up(_PAIR), refresh(before=drifts("a", v=5)), up()),
    "drift of ignored": scenario(
        up('Thing("a", Options(ignore_changes=["x"]), x=1)'), refresh(before=drifts("a", x=2)), preview(), up(),
    ),
    "added drift": scenario(up('Thing("a", x=1)'), refresh(before=drifts("a", y=2)), up()),
    "vanished": scenario(up(_PAIR), refresh(before=vanishes("b")), up(), destroy()),
    "vanished dependency": scenario(up(_PAIR), refresh(before=vanishes("a")), preview(), up(), destroy()),
    "vanished parent": scenario(
        up('a = Thing("a")\nThing("b", Options(parent=a))'), refresh(before=vanishes("a")), up(), destroy(),
    ),
    "vanished before destroy": scenario(up('Thing("a")'), destroy(before=vanishes("a"))),
    "import": scenario(
        preview('Thing("a", Options(import_="old"), x=1)', before=exists("old", x=1)), up(), preview(), up('Thing("a", x=1)'), destroy(),
    ),
    "import with differences": scenario(
        preview('Thing("a", Options(import_="old"), x=2)', before=exists("old", x=1)), up(), up(), loose=True,
    ),
    "import of a missing resource": scenario(up('Thing("a", Options(import_="none"))'), loose=True),
    "import over a resource": scenario(
        up('Thing("a", x=1)'), preview('Thing("a", Options(import_="old"), x=1)', before=exists("old", x=1)), up(), destroy(),
    ),
    "import of its own": scenario(up('Thing("a", x=1)'), up('Thing("a", Options(import_="a-1"), x=1)'), up()),
    "import that would replace": scenario(
        up('Thing("a", Options(import_="old"), size=2)', before=exists("old", size=1)), loose=True,
    ),
    "read": scenario(
        preview(_GET + 'f = get("f", "old")\nThing("a", of=f.arn)', before=exists("old", x=1)), up(), refresh(), preview(), destroy(),
    ),
    "read of a missing resource": scenario(preview(_GET + 'get("f", "none")'), up()),
    "read of an unknown ID": scenario(
        preview(_GET + 'a = Thing("a")\nf = get("f", a.id)\nThing("b", of=f.arn)'), up(), preview(), destroy(),
    ),
    "read of its own": scenario(up('Thing("a", x=1)'), preview(_GET + 'get("a", "a-1")'), up(), up(), destroy()),
    "read in place of a resource": scenario(
        up('Thing("a", x=1)', before=exists("old", x=1)), preview(_GET + 'get("a", "old")'), up(), destroy(),
    ),
    "resource in place of a read": scenario(
        up(_GET + 'get("a", "old")', before=exists("old", x=1)), preview('Thing("a", x=1)'), up(), destroy(),
    ),
    "read of another ID": scenario(
        up(_GET + 'get("a", "old")', before=exists("old", x=1)), up(_GET + 'get("a", "new")', before=exists("new", x=2)), destroy(),
    ),
    "read of a changed resource": scenario(
        up(_GET + 'f = get("f", "old")\nThing("a", of=f.arn)', before=exists("old", x=1)), up(before=drifts("old", x=2)), refresh(),
    ),
    "vanished read": scenario(up(_GET + 'get("f", "old")', before=exists("old", x=1)), refresh(before=vanishes("old")), up(), loose=True),
    "missing dependency": scenario(up('a = pulumi.Resource.__new__(Thing)\nThing("b", Options(depends_on=[pulumi.DependencyResource("urn:pulumi:dev::demo::kit:index:Thing::no")]))'), loose=True),
    "missing parent": scenario(up('Thing("b", Options(parent=pulumi.DependencyResource("urn:pulumi:dev::demo::kit:index:Thing::no")))'), loose=True),
    "missing deleted_with": scenario(up('Thing("b", Options(deleted_with=pulumi.DependencyResource("urn:pulumi:dev::demo::kit:index:Thing::no")))'), loose=True),
    "target": scenario(
        up(_three(1)), preview(_three(2), "--target", "**::a"), up(None, "--target", "**::a"), up(), destroy("--target", "**::c"),
    ),
    "target of nothing": scenario(up(_three(1)), up(None, "--target", "**::none"), up(None, "--target", "urn:pulumi:dev::demo::kit:index:Thing::none")),
    "target creates": scenario(up(_three(1), "--target", "**::a"), up(), destroy()),
    "target with an unmet need": scenario(up(_three(1), "--target", "**::b"), up()),
    "target dependents": scenario(up(_three(1)), up(_three(2), "--target", "**::a", "--target-dependents"), destroy("--target", "**::a", "--target-dependents")),
    "target destroys with dependents": scenario(up(_three(1)), destroy("--target", "**::a"), destroy()),
    "target refresh": scenario(up(_three(1)), refresh("--target", "**::a", before=drifts("a", v=9)), up()),
    "target replacement": scenario(
        up('a = Thing("a", size=1)\nThing("b", of=a.arn)'), up('a = Thing("a", size=2)\nThing("b", of=a.arn)', "--target", "**::a"), up(),
    ),
    "target removal": scenario(up(_three(1)), up('a = Thing("a", v=1)', "--target", "**::b"), up()),
    "explicit provider": scenario(
        up('p = KitProvider("p", region="x")\nThing("a", Options(provider=p))'), preview('p = KitProvider("p", region="y")\nThing("a", Options(provider=p))'),
        up(), destroy(),
    ),
    "replaced provider": scenario(
        up('p = KitProvider("p", account="x")\nThing("a", Options(provider=p))'), preview('p = KitProvider("p", account="y")\nThing("a", Options(provider=p))'),
        up(), destroy(),
    ),
    "other provider": scenario(
        up('p = KitProvider("p", region="x")\nThing("a", Options(provider=p))'), preview('q = KitProvider("q", region="x")\nThing("a", Options(provider=q))'),
        up(), destroy(),
    ),
    "from default to explicit provider": scenario(
        up('Thing("a")'), preview('p = KitProvider("p", region="x")\nThing("a", Options(provider=p))'), up(), up('Thing("a")'), destroy(),
    ),
    "provider with unknown configuration": scenario(
        preview('z = Thing("z")\np = KitProvider("p", region=z.arn)\nThing("a", Options(provider=p), x=1)'), up(), preview(), destroy(),
    ),
    "provider configuration becomes unknown": scenario(
        up('z = Thing("z", size=1)\np = KitProvider("p", region=z.arn)\nThing("a", Options(provider=p), x=1)'),
        preview('z = Thing("z", size=2)\np = KitProvider("p", region=z.arn)\nThing("a", Options(provider=p), x=1)'), up(), destroy(),
    ),
    "secret provider configuration": scenario(
        up('p = KitProvider("p", region=pulumi.Output.secret("x"))\nThing("a", Options(provider=p))'), preview(), destroy(),
    ),
    "provider of a component": scenario(
        up('p = KitProvider("p", region="x")\ng = Group("g", Options(providers=[p]))\nThing("a", Options(parent=g))\nThing("b", Options(parent=Group("h", Options(parent=g))))'),
        preview(), destroy(),
    ),
    "provider version": scenario(up('Thing("a", Options(version="1.2.3"))'), preview('Thing("a", Options(version="1.2.4"))'), up(), destroy()),
    "changed default configuration": scenario(up('Thing("a")'), preview(), stack="config:\n  kit:region: north\n"),
    "provider uses a resource": scenario(
        up('z = Thing("z")\np = KitProvider("p", region=z.arn)\nThing("a", Options(provider=p))'), up('Thing("z")'), destroy(),
    ),
}  # fmt: skip
