"""`--exclude` as the targets that remain."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.engine.errors import UsageError
from sandbox.runtime.selection import remaining_targets, with_their_needs

BASE = "urn:pulumi:dev::p::"


def resource(name: str, **fields: Any) -> dict[str, Any]:
    return {"urn": f"{BASE}a:b:C::{name}", **fields}


def test_pattern_excludes_within_a_part_of_the_urn_and_two_stars_anywhere() -> None:
    urns = [f"{BASE}a:b:C::x", f"{BASE}a:b:C$d:e:F::x", f"{BASE}d:e:F::y"]
    assert remaining_targets(urns, ["**::x"]) == [urns[2]]
    assert remaining_targets(urns, [f"{BASE}a:b:C::*"]) == urns[1:]
    assert remaining_targets(urns, ["nothing*"]) == urns


def test_excluded_urn_without_a_resource_is_refused() -> None:
    with pytest.raises(UsageError, match="No resource has the excluded URN nowhere"):
        remaining_targets([f"{BASE}a:b:C::x"], ["nowhere"])


def test_resource_that_stays_keeps_all_that_it_needs() -> None:
    provider = resource("provider", id="1")
    resources = [
        provider,
        resource("network"),
        resource("subnet", dependencies=[f"{BASE}a:b:C::network"]),
        resource("parent"),
        resource(
            "kept",
            parent=f"{BASE}a:b:C::parent",
            provider=f"{provider['urn']}::1",
            propertyDependencies={"x": [f"{BASE}a:b:C::subnet"], "y": None},
        ),
        resource("other"),
    ]
    names = ["kept", "network", "parent", "provider", "subnet"]
    assert with_their_needs(resources, [f"{BASE}a:b:C::kept"]) == [
        f"{BASE}a:b:C::{name}" for name in names
    ]
