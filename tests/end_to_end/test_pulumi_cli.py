"""The whole program with the Pulumi CLI, and changes of engine; skipped without a CLI.

The tests run in order, on one sandbox.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import PROJECT, Sandbox
from tests.pulumi import cli_path, needs_cli

NOTHING = {"create": 0, "update": 0, "replace": 0, "delete": 0}
ENGINES = ("embedded", "pulumi")

pytestmark = [
    needs_cli,
    pytest.mark.xdist_group("pulumi-cli"),
]
each_engine = pytest.mark.parametrize("engine", ENGINES)


def other(engine: str) -> str:
    return ENGINES[1 - ENGINES.index(engine)]


def project_files() -> dict[str, str]:
    files = [PROJECT / "Pulumi.yaml", *PROJECT.glob("Pulumi.*.yaml")]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module", autouse=True)
def nothing_else_is_written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Check that a home directory and the project's stack files stay unchanged."""
    home, before = tmp_path_factory.mktemp("home"), project_files()
    with pytest.MonkeyPatch.context() as patch:
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        patch.setenv("XDG_CACHE_HOME", cache)  # it has the CLI
        patch.setenv("HOME", str(home))
        yield home
    assert project_files() == before
    assert not (home / ".pulumi").exists()


def act(
    sandbox: Sandbox, operation: str, stack: str, engine: str, *options: str, code: int = 0
) -> dict[str, Any]:  # fmt: skip
    """Run an operation with an engine."""
    document = sandbox.json(operation, stack, "--engine", engine, "--yes", *options, code=code)
    assert document["engine"].startswith(engine)
    return document


def changed(document: dict[str, Any]) -> dict[str, int]:
    return {kind: count for kind, count in document["changes"].items() if kind != "same"}


def plan(document: dict[str, Any]) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Return operation, URN and property changes of each resource."""
    steps = [(step["op"], step["urn"], step["changes"]) for step in document["steps"]]
    return sorted(steps, key=lambda step: step[:2])


def a_log_group(sandbox: Sandbox) -> str:
    exported = sandbox.json("export", "dev")["deployment"]["resources"]
    return next(
        str(item["urn"]) for item in exported if item["type"] == "aws:cloudwatch/logGroup:LogGroup"
    )


def test_both_engines_plan_the_same_number_of_resources(sandbox: Sandbox) -> None:
    counted = [act(sandbox, "preview", "dev", engine)["changes"] for engine in ENGINES]
    assert counted[0] == counted[1]
    assert counted[0]["create"] > 100
    assert sandbox.resources() == []


@each_engine
def test_stack_of_one_engine_has_no_changes_in_either(sandbox: Sandbox, engine: str) -> None:
    created = act(sandbox, "up", "dev", engine)
    assert changed(created) == NOTHING | {"create": created["changes"]["create"]}
    for reader in (engine, other(engine)):
        assert changed(act(sandbox, "preview", "dev", reader, "--expect-no-changes")) == NOTHING
        assert changed(act(sandbox, "refresh", "dev", reader, "--expect-no-changes")) == NOTHING
    assert changed(act(sandbox, "up", "dev", other(engine), "--expect-no-changes")) == NOTHING


@each_engine
def test_both_engines_detect_an_unexpected_change(sandbox: Sandbox, engine: str) -> None:
    options = (
        *("-c", "observability.contacts[0]=someone-else@example.com"),
        *("-c", "network.nat=per-zone"),
        *("-c", "workload.maximum=5"),
    )
    result = act(sandbox, "preview", "dev", engine, *options)
    assert changed(result) != NOTHING
    compared = act(sandbox, "preview", "dev", other(engine), *options)
    assert changed(compared) == changed(result)
    assert plan(compared) == plan(result)
    act(sandbox, "preview", "dev", engine, *options, "--expect-no-changes", code=7)


@each_engine
def test_drift_detected_by_one_engine_is_fixed_by_the_other(sandbox: Sandbox, engine: str) -> None:
    logs, urn = sandbox.client("logs"), a_log_group(sandbox)
    exported = sandbox.json("export", "dev")["deployment"]["resources"]
    group = next(item for item in exported if item["urn"] == urn)
    days = group["inputs"]["retentionInDays"]
    logs.put_retention_policy(logGroupName=group["id"], retentionInDays=3653)
    assert changed(act(sandbox, "refresh", "dev", engine)) == NOTHING | {"update": 1}
    act(sandbox, "preview", "dev", engine, "--expect-no-changes", code=7)
    assert changed(act(sandbox, "up", "dev", other(engine), "--target", urn)) == NOTHING | {
        "update": 1
    }
    result = logs.describe_log_groups(logGroupNamePrefix=group["id"])["logGroups"]
    assert [item["retentionInDays"] for item in result if item["logGroupName"] == group["id"]] == [
        days
    ]


def test_pulumi_preview_works_with_sandbox_env(
    sandbox: Sandbox, nothing_else_is_written: Path
) -> None:
    remaining = {
        key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PULUMI_"))
    }
    variables = remaining | sandbox.variables("dev") | {"HOME": str(nothing_else_is_written)}
    command = [cli_path(), "preview", "--stack", "dev", "--expect-no-changes", "--non-interactive"]
    ran = subprocess.run(
        command,
        cwd=PROJECT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "unchanged" in ran.stdout


def test_embedded_engine_destroys_a_stack_of_the_cli(sandbox: Sandbox) -> None:
    assert act(sandbox, "destroy", "dev", "embedded")["changes"]["delete"] > 100
    assert sandbox.resources() == []


def test_cli_destroys_a_stack_of_the_embedded_engine(sandbox: Sandbox) -> None:
    act(sandbox, "up", "dev", "embedded")
    assert act(sandbox, "destroy", "dev", "pulumi")["changes"]["delete"] > 100
    assert sandbox.resources() == []


def test_invalid_settings_fail_with_the_cli(sandbox: Sandbox) -> None:
    refused = act(sandbox, "preview", "dev", "pulumi", "-c", "network.zones=9", code=2)
    assert refused["result"] == "failed"
    assert any("network.zones" in item["message"] for item in refused["diagnostics"])


def test_protected_prod_is_not_destroyed_by_the_cli(sandbox: Sandbox) -> None:
    act(sandbox, "up", "prod", "pulumi")
    assert changed(act(sandbox, "preview", "prod", "embedded", "--expect-no-changes")) == NOTHING
    refused = act(sandbox, "destroy", "prod", "pulumi", code=1)
    assert "lifecycle" in refused["diagnostics"][0]["message"]
    act(sandbox, "up", "prod", "pulumi", "-c", "lifecycle=ephemeral")
    act(sandbox, "destroy", "prod", "pulumi")
    assert sandbox.resources() == []
