"""`up --skip-preview` with a version that the account does not offer creates nothing."""

from __future__ import annotations

import pytest

from sandbox.engine.state.backend import Backend
from sandbox.runtime.home import Home
from tests.end_to_end.conftest import Sandbox


@pytest.mark.parametrize(
    ("pin", "message"),
    [
        ("cluster.nodes.release_version=1.35.0-20260901", "AMI release 1.35.0-20260901"),
        ("cluster.addons.coredns=v1.99.0-eksbuild.1", "does not offer coredns v1.99.0-eksbuild.1"),
        ("database.engine_version=17.99", "does not offer PostgreSQL 17.99"),
    ],
)
def test_up_without_preview_creates_nothing(sandbox: Sandbox, pin: str, message: str) -> None:
    document = sandbox.json("up", "dev", "--skip-preview", "-c", pin, code=1)
    assert document["result"] == "failed"
    assert any(message in entry["message"] for entry in document["diagnostics"]), document
    assert sandbox.resources() == []
    state = Backend(Home(sandbox.home).state).read("platform", "dev").get("resources") or []
    # The stack itself, and the provider, through which the program looks versions up.
    assert {resource["type"] for resource in state} <= {
        "pulumi:pulumi:Stack",
        "pulumi:providers:aws",
    }
