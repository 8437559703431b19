"""Both environments, through their whole life in the sandbox, with boto3 and the Kubernetes API as witnesses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sandbox.conftest import Sandbox

# What a stack is asked for beyond its file, so that it can be destroyed at the end: lifting prod's protection is a
# change of one key, applied by an `up` before the `destroy`.
UNPROTECTED = ("-c", "lifecycle=ephemeral")


@pytest.fixture(scope="module", params=["dev", "prod"])
def life(request: pytest.FixtureRequest, sandbox: Sandbox) -> tuple[Sandbox, str, dict[str, Any]]:
    stack = str(request.param)
    return sandbox, stack, sandbox.json("up", stack)


def test_up_creates_everything_once(life: tuple[Sandbox, str, dict[str, Any]]) -> None:
    _, stack, up = life
    assert up["result"] == "succeeded"
    assert up["stack"] == stack
    assert up["changes"]["create"] > 80
    assert {operation: count for operation, count in up["changes"].items() if operation not in ("create", "same")} == {
        "update": 0,
        "replace": 0,
        "delete": 0,
    }
