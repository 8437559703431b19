"""Previews of pull requests: by the workflow's script without credentials, and by CodeBuild.

Both use one environment: the base branch, which the script brings up.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.end_to_end.conftest import IDENTITY, PROJECT
from tests.github_actions.fake_github import REPOSITORY, TOKEN, FakeGitHub, serving

COMMIT = "c" * 40
PREVIEW = """\
    approval: false
    github_runner: true
    preview:
      enabled: true
      state_bucket: platform-state-123456789012-us-east-1
      state_key_arn: arn:aws:kms:us-east-1:123456789012:key/1
      comment_secret: github/comments
"""


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


@dataclass(frozen=True)
class PullRequest:
    """The base branch, a change of it, and the variables of commands in a sandbox of their own."""

    directory: Path
    base: Path
    head: Path
    variables: dict[str, str]

    def sandbox(self, *arguments: str) -> str:
        """Run a command of the base's sandbox."""
        command = [sys.executable, "-m", "sandbox", *arguments]
        return run(command, self.base, self.variables)

    def client(self, service: str) -> Any:
        """Return a boto3 client of the emulated account, whose sandbox is started."""
        variables = json.loads(self.sandbox("env", "dev", "--json"))["variables"]
        return boto3.client(
            service,
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        )


def run(command: Sequence[str], directory: Path, variables: Mapping[str, str]) -> str:
    ran = subprocess.run(
        command, cwd=directory, env=variables, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def replace(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    file.write_text(text)


@pytest.fixture(scope="module")
def pull_request(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PullRequest]:
    """A base branch whose pull requests CodeBuild previews; nothing is brought up."""
    directory = tmp_path_factory.mktemp("pull-request")
    # The variables of the `make test` that runs this would also be those of the script's `make up`.
    excluded = ("AWS_", "PUL", "MAKE", "MFLAGS", "ARGS", "STACK")
    variables = {
        **{key: value for key, value in os.environ.items() if not key.startswith(excluded)},
        "SANDBOX_HOME": str(directory / "home"),
        "SANDBOX_ENGINE": "embedded",
    }
    base, head = checkout(directory / "base"), directory / "head"
    created = PullRequest(directory, base, head, variables)
    connections = created.client("codeconnections")
    arn = connections.create_connection(ConnectionName="github", ProviderType="GitHub")
    created.client("secretsmanager").create_secret(Name="github/comments", SecretString=TOKEN)
    accept(connections.meta.endpoint_url, arn["ConnectionArn"])
    replace(
        base / "Pulumi.dev.yaml",
        (
            "      branch: main\n",
            f"      branch: releases\n      connection_arn: {arn['ConnectionArn']}\n",
        ),
        ("      pull_requests: true", "      pull_requests: false"),
        ("    approval: false\n", PREVIEW),
    )
    shutil.copytree(base, head)
    yield created
    created.sandbox("stop")


def accept(account: str, connection_arn: str) -> None:
    """Complete the handshake of a connection, as a person does in the console."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    body = json.dumps({"connection": connection_arn}).encode()
    opener.open(urllib.request.Request(f"{account}/_sandbox/handshake", body)).close()


@pytest.mark.timeout(600)
def test_change_of_a_fork_is_previewed_against_its_base_and_commented(
    pull_request: PullRequest,
) -> None:
    directory, variables = pull_request.directory, dict(pull_request.variables)
    replace(
        pull_request.head / "Pulumi.dev.yaml",
        ("    maximum: 3\n", "    maximum: 5\n"),
        ("    monthly_budget_usd: 250", "    monthly_budget_usd: 300"),
        ("    nat: single", "    nat: per-zone"),
        ("    enabled: true", "    enabled: false"),
        ("    migration: [python3, -m, app.db.migrate]\n", ""),
    )
    script = str(pull_request.head / ".github/scripts/preview-in-sandbox")
    run([script, "base", "head", "results", "dev"], directory, variables)
    with serving(FakeGitHub()) as github:
        github.pull_requests = [{"number": 9, "state": "open", "head": {"sha": COMMIT}}]
        variables |= {
            "GITHUB_API_URL": github.url,
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_TOKEN": TOKEN,
            "PYTHONPATH": str(PROJECT),
        }
        words = ["-m", "github_actions", "comment", "--commit", COMMIT, "results/dev.json"]
        for _ in range(2):
            run([sys.executable, *words], directory, variables)
        assert github.writes == ["POST issues/9/comments", "PATCH issues/comments/1000"]
        body = github.comments[1000]["body"]
    if file := os.environ.get("PREVIEW_COMMENT"):
        Path(file).write_text(body)
    assert "**data loss**: delete of `aws:rds:Instance` `database` deletes the database" in body
    assert "the monthly budget changes from 250 to 300 USD" in body
    assert "+1 aws:ec2:NatGateway" in body
    assert "!    spec.maxReplicas: 3 => 5" in body


@pytest.mark.timeout(600)
def test_pull_request_starts_a_preview_in_codebuild_whose_end_writes_the_comment(
    pull_request: PullRequest,
) -> None:
    """Needs the environment of the test above."""
    (pull_request.base / "Makefile").write_text(".venv/sandbox: ;\n")  # the builds install nothing
    builds = pull_request.client("codebuild")
    repository = pull_request.directory / "home/repositories" / f"{REPOSITORY}.git"
    pull_request.sandbox("connection", "accept", "dev")
    git(pull_request, "init", "-q", "-b", "main")
    push(pull_request, repository, "refs/heads/main")
    with serving(FakeGitHub()) as github:
        (comment,) = builds.batch_get_projects(names=["platform-dev-pipeline-comment"])["projects"]
        environment = comment["environment"]
        environment["environmentVariables"].append({"name": "GITHUB_API_URL", "value": github.url})
        builds.update_project(name=comment["name"], environment=environment)
        change = ("    monthly_budget_usd: 250", "    monthly_budget_usd: 300")
        replace(pull_request.base / "Pulumi.dev.yaml", change)
        commit = push(pull_request, repository, "refs/pull/7/main")
        preview = ended(builds, "platform-dev-pipeline-preview")
        assert (preview["sourceVersion"], preview["resolvedSourceVersion"]) == ("pr/7", commit)
        assert preview["buildStatus"] == "SUCCEEDED"
        assert ended(builds, comment["name"])["buildStatus"] == "SUCCEEDED"
        assert github.writes == ["POST issues/7/comments"]
        body = github.comments[1000]["body"]
    assert body.startswith("<!-- preview of dev -->")
    assert f"Commit {commit[:12]}." in body
    assert "| **dev** | 0 | 1 | 0 | 0 |" in body
    assert "the monthly budget changes from 250 to 300 USD" in body


def git(pull_request: PullRequest, *arguments: str) -> str:
    return run(["git", *IDENTITY, *arguments], pull_request.base, pull_request.variables).strip()


def push(pull_request: PullRequest, repository: Path, reference: str) -> str:
    """Commit everything, push it, and return the commit."""
    git(pull_request, "add", "--all", "--force")
    git(pull_request, "commit", "-qm", "Change the base")
    git(pull_request, "push", "-q", str(repository), f"HEAD:{reference}")
    return git(pull_request, "rev-parse", "HEAD")


def ended(builds: Any, project: str) -> dict[str, Any]:
    """Wait for the first build of a project."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for id in builds.list_builds_for_project(projectName=project)["ids"]:
            build: dict[str, Any] = builds.batch_get_builds(ids=[id])["builds"][0]
            if build["buildComplete"]:
                return build
        time.sleep(0.2)
    pytest.fail(f"no build of {project} has ended")
