"""Kills and interrupts during requests, and remote components."""

from __future__ import annotations

from tests.conformance.scenario import (
    Scenario,
    breaks,
    destroy,
    interrupted,
    killed,
    preview,
    refresh,
    scenario,
    up,
)
from tests.sandbox.engine.workspace import MARKED, PAIR

_ONE = 'Thing("a", x=1)'
_TWO = 'a = Thing("a", size=1)\nThing("b", of=a.arn)'
_REPLACED = _TWO.replace("size=1", "size=2")
_DELETED_FIRST = 'a = Thing("a", kind="K")\nThing("b", kind=a.arn)'
_PAIR = PAIR.replace("EXTRA", "")


def _kind(value: str) -> str:
    return _DELETED_FIRST.replace("K", value)


SCENARIOS: dict[str, Scenario] = {
    "killed while creating": scenario(killed("create a", "up", _ONE), preview(), up()),
    "killed while updating": scenario(up(_ONE), killed("update a", "up", _ONE.replace("1", "2")), preview(), up()),
    "killed while deleting": scenario(up(_ONE), killed("delete a", "destroy"), destroy()),
    "killed while creating a dependent": scenario(killed("create b", "up", _TWO), up()),
    "killed while replacing": scenario(up(_TWO), killed("create a", "up", _REPLACED), up()),
    "killed while deleting the replaced": scenario(up(_TWO), killed("delete a", "up", _REPLACED), up()),
    "killed while deleting before replacement": scenario(up(_kind("x")), killed("delete b", "up", _kind("y")), up()),
    "killed after deletion before replacement": scenario(up(_kind("x")), killed("create a", "up", _kind("y")), up()),
    "killed while reading": scenario(up(_ONE), killed("read a", "refresh"), refresh(), destroy()),
    "killed while checking": scenario(killed("check a", "up", _ONE), up(), destroy()),
    "killed while comparing": scenario(up(_ONE), killed("diff a", "up", _ONE.replace("1", "2")), up(), destroy()),
    "killed while creating and refreshed": scenario(killed("create a", "up", _ONE), refresh(), up()),
    "killed while creating and destroyed": scenario(up('Thing("z")'), killed("create a", "up", 'Thing("z")\n' + _ONE), destroy()),
    "interrupted while creating": scenario(interrupted("create a", "up", _TWO), up(), destroy()),
    "interrupted while updating": scenario(up(_ONE), interrupted("update a", "up", _ONE.replace("1", "2")), up(), destroy()),
    "interrupted while deleting": scenario(up(_TWO), interrupted("delete b", "destroy"), destroy()),
    "remote component": scenario(preview(_PAIR), up(), preview(), refresh(), destroy()),
    "remote component changes": scenario(
        up(_PAIR), preview(_PAIR.replace("from ", "FROM ")), up(), destroy(),
    ),
    "remote component is removed": scenario(up(_PAIR), preview('first = Thing("first", colour="red")'), up()),
    "remote component fails": scenario(up(PAIR.replace("EXTRA", "fail=True")), loose=True),
    "child of a remote component fails": scenario(up(_PAIR, before=breaks("create pair-second")), up(before=breaks()), destroy(), loose=True),
    "remote component with transforms": scenario(
        up(MARKED + PAIR.replace("EXTRA", 'opts=Options(transforms=[marked("pair")])')), preview(), destroy(),
    ),
    "remote component with an alias": scenario(
        up(_PAIR), preview(_PAIR.replace('"pair"', '"twin"').replace("EXTRA", "").replace("colour=first", 'opts=Options(aliases=[pulumi.Alias(name="pair")]), colour=first')), up(), destroy(),
    ),
    "remote component with a provider": scenario(
        up('p = KitProvider("p", region="x")\n' + PAIR.replace("EXTRA", "opts=Options(providers=[p])")), preview(), destroy(),
    ),
    "remote component protected": scenario(
        up(PAIR.replace("EXTRA", "opts=Options(protect=True)")), destroy(), up(_PAIR), destroy(),
    ),
}  # fmt: skip
