"""The preview of a pull request without credentials: the workflow's script, then its comment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import PROJECT
from tests.github_actions.fake_github import REPOSITORY, TOKEN, FakeGitHub, serving

COMMIT = "c" * 40


def checkout(directory: Path) -> Path:
    """Copy the project, with a virtual environment that runs the copy's code."""
    files = subprocess.run(
        ["git", "ls-files", "-z", "--", ".", ":!tests", ":!docs"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, files):
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, target)
    programs = directory / ".venv" / "bin"
    programs.mkdir(parents=True)
    for program, words in (("python", ""), ("sandbox", " -m sandbox")):
        (programs / program).write_text(f'#!/bin/sh\nexec {sys.executable}{words} "$@"\n')
        (programs / program).chmod(0o755)
    for stamp in ("uv", "dev", "sandbox"):  # `make` installs nothing
        (directory / ".venv" / stamp).touch()
    return directory


@pytest.mark.timeout(600)
def test_change_of_a_fork_is_previewed_against_its_base_and_commented(tmp_path: Path) -> None:
    base, head = checkout(tmp_path / "base"), checkout(tmp_path / "head")
    file = head / "Pulumi.dev.yaml"
    text = file.read_text()
    for old, new in (
        ("    maximum: 3\n", "    maximum: 5\n"),
        ("    monthly_budget_usd: 250", "    monthly_budget_usd: 300"),
        ("    nat: single", "    nat: per-zone"),
        ("    enabled: true", "    enabled: false"),
        ("    migration: [python3, -m, app.db.migrate]\n", ""),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    file.write_text(text)
    # The variables of the `make test` that runs this would also be those of the script's `make up`.
    excluded = ("AWS_", "PUL", "MAKE", "MFLAGS", "ARGS", "STACK")
    variables = {
        **{key: value for key, value in os.environ.items() if not key.startswith(excluded)},
        "SANDBOX_HOME": str(tmp_path / "home"),
    }
    script = str(head / ".github/scripts/preview-in-sandbox")
    ran = subprocess.run(
        [script, str(base), str(head), str(tmp_path / "results"), "dev"],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    with serving(FakeGitHub()) as github:
        github.pull_requests = [{"number": 9, "state": "open", "head": {"sha": COMMIT}}]
        variables |= {
            "GITHUB_API_URL": github.url,
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_TOKEN": TOKEN,
        }
        words = ["-m", "github_actions", "comment", "--commit", COMMIT, "results/dev.json"]
        for _ in range(2):
            command = [sys.executable, *words]
            environment = variables | {"PYTHONPATH": str(PROJECT)}
            subprocess.run(command, cwd=tmp_path, env=environment, check=True)
        assert github.writes == ["POST issues/9/comments", "PATCH issues/comments/1000"]
        body = github.comments[1000]["body"]
    if directory := os.environ.get("PREVIEW_COMMENT"):
        Path(directory).write_text(body)
    assert "**data loss**: delete of `aws:rds:Instance` `database` deletes the database" in body
    assert "the monthly budget changes from 250 to 300 USD" in body
    assert "+1 aws:ec2:NatGateway" in body
    assert "!    spec.maxReplicas: 3 => 5" in body
