"""Permissions boundary of the roles that a program creates."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sandbox.engine.recording_provider import Kit, serving
from tests.sandbox.engine.workspace import Workspace

PROGRAM = """
from components.aws import boundary
boundary.ROLE = "kit:index:Thing"  # the recording provider has no roles
boundary.set_permissions_boundary(POLICY)
group = Group("group")
Thing("role", Options(parent=group), colour="red")
"""


@pytest.mark.engine
@pytest.mark.parametrize("policy", ["arn:aws:iam::123456789012:policy/limit", None])
def test_every_role_gets_the_boundary(tmp_path: Path, policy: str | None) -> None:
    with serving(Kit()) as port:
        workspace = Workspace(tmp_path, port)
        workspace.program(PROGRAM.replace("POLICY", repr(policy)))
        workspace.changes("up")
        inputs = workspace.resources()["role"]["inputs"]
    assert inputs["colour"] == "red"
    assert inputs.get("permissionsBoundary") == policy
