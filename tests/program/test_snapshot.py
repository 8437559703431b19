"""The program registers the same resources as before, except for the listed changes."""

from typing import Any

import pytest

from tests.program.running import run_program
from tests.program.snapshot import load_snapshot, snapshot

# Inputs that differ from the snapshot on purpose, by `type::name`. Every change is in place.
POLICY_STATEMENT_IDS = "statement IDs name what they allow"
CHANGED_INPUTS = {
    "aws:iam/rolePolicy:RolePolicy": {"policy": POLICY_STATEMENT_IDS},
    "aws:kms/key:Key": {"policy": POLICY_STATEMENT_IDS},
    "aws:sns/topicPolicy:TopicPolicy": {"policy": POLICY_STATEMENT_IDS},
}


@pytest.fixture(scope="module", params=["dev", "prod"])
def snapshots(request: pytest.FixtureRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    return load_snapshot(request.param), snapshot(run_program(request.param))


def test_program_registers_the_same_urns(snapshots: tuple[dict[str, Any], dict[str, Any]]) -> None:
    before, after = snapshots
    assert sorted(after) == sorted(before)


def test_program_registers_the_same_inputs_and_options(
    snapshots: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    before, after = snapshots
    differences = {
        urn: {"before": before[urn], "after": resource}
        for urn, resource in after.items()
        if urn in before and _without_expected(urn, resource) != _without_expected(urn, before[urn])
    }
    assert differences == {}


def _without_expected(urn: str, resource: dict[str, Any]) -> dict[str, Any]:
    resource_type = urn.partition("::")[0].rpartition("$")[2]
    changed = CHANGED_INPUTS.get(resource_type, {})
    inputs = {key: value for key, value in resource["inputs"].items() if key not in changed}
    return {**resource, "inputs": inputs}
