"""The program registers the same resources as the commit of the snapshot.

Only deliberate differences are listed here. IDs of policy statements are not compared: they are
updated in place and have no effect on permissions.
"""

import json
from typing import Any

import pytest

from tests.program.running import run_program
from tests.program.snapshot import load_snapshot, snapshot

Snapshots = tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module", params=["dev", "prod"])
def snapshots(request: pytest.FixtureRequest) -> Snapshots:
    return load_snapshot(request.param), snapshot(run_program(request.param))


def test_program_registers_the_same_urns(snapshots: Snapshots) -> None:
    before, after = snapshots
    assert sorted(after) == sorted(before)


def test_program_registers_the_same_inputs_and_options(snapshots: Snapshots) -> None:
    before, after = snapshots
    differences = {
        urn: {"before": before[urn], "after": resource}
        for urn, resource in after.items()
        if urn in before and _without_statement_ids(resource) != _without_statement_ids(before[urn])
    }
    assert differences == {}


def _without_statement_ids(resource: dict[str, Any]) -> dict[str, Any]:
    if "policy" not in resource["inputs"]:
        return resource
    policy = json.loads(resource["inputs"]["policy"])
    for statement in policy.get("Statement", []):
        statement.pop("Sid", None)
    return {**resource, "inputs": {**resource["inputs"], "policy": policy}}
