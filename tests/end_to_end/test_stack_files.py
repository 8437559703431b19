"""`sandbox diff` and `sandbox new`: settings and resources of stacks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.end_to_end.conftest import PROJECT, Sandbox

PROGRAM = """\
import pulumi
import pulumi_aws as aws

for number in range(pulumi.Config().require_int("topics")):
    aws.sns.Topic(f"topic-{number}")
"""


@pytest.fixture
def two_stacks(sandbox: Sandbox, tmp_path: Path) -> Sandbox:
    """A small project with two stacks; neither is up."""
    (tmp_path / "Pulumi.yaml").write_text("name: small\nruntime: python\n")
    secret = "  small:token:\n    secure: v1:abc:def\n"
    for stack, topics, more in (("dev", 1, ""), ("prod", 3, secret)):
        (tmp_path / f"Pulumi.{stack}.yaml").write_text(
            f"config:\n  aws:region: us-east-1\n  small:topics: {topics}\n"
            f"  small:network:\n    zones: {topics}\n{more}"
        )
    (tmp_path / "__main__.py").write_text(PROGRAM)
    return Sandbox(sandbox.home, tmp_path)


def test_settings_and_resources_are_compared(two_stacks: Sandbox) -> None:
    (two_stacks.project / "Pulumi.prod.yaml").write_text(
        "config:\n  aws:region: us-east-1\n  small:topics: 3\n  small:network:\n    zones: 3\n"
    )
    result = two_stacks.json("diff", "dev", "prod")
    assert result["settings"] == [
        {"path": "network.zones", "first": "1", "second": "3"},
        {"path": "topics", "first": "1", "second": "3"},
    ]
    topics = [{"type": "aws:sns/topic:Topic", "name": f"topic-{number}"} for number in (1, 2)]
    assert result["resources"] == {"dev": [], "prod": topics}
    assert two_stacks.resources() == []


def test_secret_is_masked(two_stacks: Sandbox) -> None:
    shown = two_stacks.run("diff", "dev", "prod", "--settings")
    assert shown.returncode == 0
    assert "[secret]" in shown.stdout
    assert "v1:abc" not in shown.stdout


def test_unknown_stack_is_refused(two_stacks: Sandbox) -> None:
    refused = two_stacks.run("diff", "dev", "staging")
    assert refused.returncode == 2
    assert "Stacks of this project: dev, prod" in refused.stderr


def test_new_stack_file_is_written_once(sandbox: Sandbox, tmp_path: Path) -> None:
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml", "pyproject.toml"):
        shutil.copy(PROJECT / name, tmp_path)
    for folder in ("settings", "components", "app"):
        shutil.copytree(PROJECT / folder, tmp_path / folder)
    (tmp_path / "Pulumi.yaml").write_text("name: platform\nruntime: python\n")
    project = Sandbox(sandbox.home, tmp_path)
    created = project.run("new", "staging")
    assert created.returncode == 0, created.stderr
    assert "Wrote Pulumi.staging.yaml." in created.stdout
    settings = project.json("diff", "dev", "staging", "--settings")["settings"]
    assert [item["path"] for item in settings] == ["network.cidr", "network.neighbours"]
    again = project.run("new", "staging")
    assert again.returncode == 2
    assert "Pulumi.staging.yaml exists" in again.stderr


def test_project_without_a_module_for_stack_files_is_told_so(two_stacks: Sandbox) -> None:
    refused = two_stacks.run("new", "staging")
    assert refused.returncode == 1
    assert "copy an existing stack file instead" in refused.stderr
    assert not (two_stacks.project / "Pulumi.staging.yaml").exists()
