"""Targeted operations with several providers; every run checks the state's integrity."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.engine.recording_provider import Kit, serving
from tests.sandbox.engine.workspace import OTHER, TWO_PACKAGES, Workspace, messages, steps


@pytest.fixture
def other() -> Kit:
    return Kit()


@pytest.fixture
def both(workspace: Workspace, other: Kit) -> Iterator[Workspace]:
    """The workspace with a second package, `other`."""
    with serving(other) as port:
        workspace.others = f",other:{port}"
        yield workspace


def provider_ids(workspace: Workspace) -> dict[str, str]:
    result = workspace.state()["resources"]
    return {
        item["type"]: item["id"] for item in result if item["type"].startswith("pulumi:providers:")
    }


def test_default_provider_of_untargeted_resources_is_unchanged(both: Workspace) -> None:
    both.program(TWO_PACKAGES)
    both.json("up")
    providers = provider_ids(both)
    both.program(TWO_PACKAGES.replace("v=1", "v=2"))
    assert steps(both.json("up", "--target", "**::b"))["b"] == "update"
    assert provider_ids(both) == providers
    assert steps(both.json("up", "--target", "**::a"))["a"] == "update"
    assert provider_ids(both) == providers
    assert both.changes("up") == {}


def test_removed_resource_and_its_provider_stay_unless_targeted(both: Workspace) -> None:
    both.program(TWO_PACKAGES)
    both.json("up")
    providers = provider_ids(both)
    both.program('Thing("b", v=3)')
    assert both.changes("up", "--target", "**::b") == {"update": 1}
    assert provider_ids(both) == providers
    refused = both.json("up", "--target", "**pulumi:providers:other::**", expect=1)
    assert "Deleting the targets would break" in messages(refused)
    assert both.changes("up") == {"delete": 1}
    assert provider_ids(both).keys() == {"pulumi:providers:kit"}


def test_untargeted_resource_may_depend_on_later_or_missing_resources(both: Workspace) -> None:
    both.program(
        TWO_PACKAGES + 'c = Thing("c", Options(depends_on=[a, b]), of=b.arn)\nd = Thing("d", v=1)'
    )
    both.json("up")
    both.program(OTHER + 'c = Thing("c")\nd = Thing("d", v=2)\nb = Thing("b")')
    assert both.changes("up", "--target", "**::d") == {"update": 1}
    assert {"a", "b", "c", "d"} <= both.resources().keys()
    assert both.changes("refresh", "--target", "**::c") == {}
    assert both.changes("destroy", "--target", "**::c") == {"delete": 1}
    assert both.changes("destroy", "--target", "**::a", "--target-dependents") == {"delete": 2}


def test_replaced_provider_stays_while_an_untargeted_resource_uses_it(both: Workspace) -> None:
    text = (
        'own = KitProvider("own", account="one")\na = Thing("a", Options(provider=own))\nb = '
        'Thing("b", v=1)'
    )
    both.program(text)
    both.json("up")
    both.program(text.replace("one", "two").replace("v=1", "v=2"))
    assert steps(both.json("up", "--target", "**::b"))["b"] == "update"
    both.json("up", "--target", "**::b")
    assert both.changes("up")["replace"] >= 1
    assert both.changes("preview") == {}
    assert (
        len([kind for item in both.state()["resources"] if (kind := item["urn"]).endswith("::own")])
        == 1
    )
    assert both.changes("destroy")["delete"] >= 2


def test_target_with_an_untargeted_dependency_is_refused(both: Workspace) -> None:
    both.program(
        OTHER
        + (
            'a = Other("a")\nb = Thing("b", Options(depends_on=[a]))\nc = Thing("c", '
            "Options(parent=a))"
        )
    )
    for name in ("b", "c"):
        assert "which the targets exclude" in messages(
            both.json("up", "--target", f"**::{name}", expect=1)
        )


def test_children_of_a_missing_parent_have_none(both: Workspace, kit: Kit) -> None:
    both.program(
        'a = Thing("a")\nb = Thing("b", Options(parent=a))\nc = Thing("c", Options(parent=b))'
    )
    both.json("up")
    for identifier in [key for key, thing in kit.things.items() if thing["__name"] in "ab"]:
        del kit.things[identifier]
    assert both.changes("refresh") == {"delete": 2}
    assert "parent" not in both.resources()["c"]


def test_component_with_an_untargeted_dependency_is_excluded(both: Workspace, kit: Kit) -> None:
    both.program(
        OTHER
        + """
a = Other("a")
group = Group("group", Options(depends_on=[a]))
b = Thing("b", Options(parent=group))
c = Thing("c")
"""
    )
    both.json("up", "--target", "**::c")
    assert {"a", "b", "group"}.isdisjoint(both.resources())
    assert "which the targets exclude" in messages(both.json("up", "--target", "**::b", expect=1))
    both.json("up")
    assert {"a", "b", "c", "group"} <= both.resources().keys()


def test_renamed_resource_with_a_failed_update_keeps_its_new_name(
    both: Workspace, kit: Kit
) -> None:
    both.program('a = Thing("a", v=1)\nb = Thing("b", of=a.arn)')
    both.json("up")
    text = (
        'a = Thing("z", Options(aliases=[pulumi.Alias(name="a")]), v=2, fail=WHICH)\nb = Thing("b", '
        "of=a.arn)"
    )
    both.program(text.replace("WHICH", '"update"'))
    both.json("up", expect=1)
    assert {"z", "b"} <= both.resources().keys()
    both.program(text.replace("WHICH", "None"))
    assert both.changes("up") == {"update": 1}
    assert len(kit.things) == 2
