"""The pipelines' roles have what a recorded release used, and little else (docs/permissions.md)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench import permissions_table
from tests.program.running import run_program

RECORDING = permissions_table.load()
REMEDY = "record releases with `make permissions`"
ROLES = [key for key in RECORDING if permissions_table.is_used_by_releases(key)]
STATEMENTS = [
    (key, statement["Sid"]) for key in ROLES for statement in RECORDING[key]["statements"]
]


def find(key: str, sid: str) -> tuple[dict[str, Any], dict[str, Any]]:
    role = RECORDING[key]
    return role, next(item for item in role["statements"] if item["Sid"] == sid)


@pytest.mark.parametrize("key", ROLES)
def test_recorded_release_was_allowed_everything(key: str) -> None:
    role = RECORDING[key]
    assert role["used"]
    for call in role["used"]:
        assert call["allowed"], call
        assert permissions_table.is_allowed(role["arn"], call, role["statements"]), call


@pytest.mark.parametrize(("key", "sid"), STATEMENTS)
def test_without_a_statement_a_recorded_call_is_denied(key: str, sid: str) -> None:
    role, statement = find(key, sid)
    others = [item for item in role["statements"] if item is not statement]
    denied = [
        call for call in role["used"] if not permissions_table.is_allowed(role["arn"], call, others)
    ]
    if not denied:  # AWS itself or a failure uses the whole statement
        assert not permissions_table.used_actions(role, statement)
        assert all(permissions_table.reason(sid, action) for action in statement["Action"])


@pytest.mark.parametrize(("key", "sid"), STATEMENTS)
def test_each_action_is_used_or_has_a_reason(key: str, sid: str) -> None:
    role, statement = find(key, sid)
    assert sid in permissions_table.PURPOSE
    without_reason = [
        action
        for action in permissions_table.unused_actions(role, statement)
        if permissions_table.reason(sid, action) is None
    ]
    assert without_reason == []


def test_each_reason_is_needed() -> None:
    unused = {
        (sid, action)
        for key, sid in STATEMENTS
        for action in permissions_table.unused_actions(*find(key, sid))
    }
    for sid, action in permissions_table.UNRECORDED:
        assert (sid, action) in unused or (action == "*" and sid in {name for name, _ in unused})


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_recorded_statements_are_those_of_the_program(stack: str) -> None:
    recording = run_program(stack, {})
    program = {
        f"{stack}/{policy.name}": [
            (item["Sid"], item["Action"])
            for item in json.loads(policy.inputs["policy"])["Statement"]
        ]
        for policy in recording.all("aws:iam/rolePolicy:RolePolicy")
        if policy.name.startswith("pipeline")
    }
    recorded = {
        key: [(item["Sid"], item["Action"]) for item in role["statements"]]
        for key, role in RECORDING.items()
        if key.startswith(f"{stack}/")
    }
    assert recorded == program, REMEDY


def test_page_is_generated_from_the_recording() -> None:
    page = permissions_table.TABLE.read_text(encoding="utf-8")
    assert page == permissions_table.document(RECORDING), REMEDY
