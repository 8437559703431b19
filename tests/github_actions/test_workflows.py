"""The workflows: linted, pinned, with the least permissions; the shell code is in scripts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.github_access import DEPLOY_SESSION_SECONDS

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
each_workflow = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)


def content(file: Path) -> dict[Any, Any]:
    loaded = yaml.safe_load(file.read_text())
    assert isinstance(loaded, dict)
    return loaded


def steps(file: Path) -> list[dict[str, Any]]:
    return [step for job in content(file)["jobs"].values() for step in job["steps"]]


def run(*command: str) -> None:
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_zizmor_finds_nothing() -> None:
    zizmor = str(Path(sys.executable).parent / "zizmor")
    run(zizmor, "--offline", "--no-progress", "--persona=pedantic", ".github/workflows")


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not on PATH")
def test_actionlint_finds_nothing() -> None:
    run("actionlint")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not on PATH")
def test_shellcheck_finds_nothing() -> None:
    run("shellcheck", *map(str, sorted((ROOT / ".github" / "scripts").iterdir())))


def test_codebuild_installs_the_pulumi_cli_of_the_workflows() -> None:
    text = "".join(file.read_text() for file in WORKFLOWS)
    (version,) = set(re.findall(r"pulumi-version: ([\d.]+)", text))
    script = (ROOT / ".github" / "scripts" / "preview-in-codebuild").read_text()
    assert f"--version {version}\n" in script


@each_workflow
def test_action_is_pinned_by_digest_with_its_version(file: Path) -> None:
    lines = [line for line in file.read_text().splitlines() if "uses:" in line]
    assert lines
    for line in lines:
        assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


@each_workflow
def test_shell_code_is_one_command(file: Path) -> None:
    for step in steps(file):
        assert "\n" not in step.get("run", "").strip()
        assert "${{" not in step.get("run", ""), "an expression in a shell is an injection"


@each_workflow
def test_job_has_its_own_permissions_and_a_time_limit(file: Path) -> None:
    assert content(file)["permissions"] == {}
    for name, job in content(file)["jobs"].items():
        assert job["timeout-minutes"] <= 90
        if any("uses" in step for step in job["steps"]):
            assert "permissions" in job, name


@each_workflow
def test_runner_in_codebuild_uses_the_python_of_its_image(file: Path) -> None:
    for name, job in content(file)["jobs"].items():
        for step in job["steps"]:
            if "actions/setup-python@" in step.get("uses", ""):
                skips = step.get("if") == "vars.CODEBUILD_RUNNER == ''"
                assert skips == ("CODEBUILD_RUNNER" in job["runs-on"]), name


@each_workflow
def test_credentials_of_a_deployment_outlive_its_job(file: Path) -> None:
    for name, job in content(file)["jobs"].items():
        for step in job["steps"]:
            if "DEPLOY_ROLE" in step.get("with", {}).get("role-to-assume", ""):
                duration = step["with"]["role-duration-seconds"]
                assert job["timeout-minutes"] * 60 < duration <= DEPLOY_SESSION_SECONDS, name


def test_only_comment_and_issue_jobs_may_write() -> None:
    writers = {
        (file.stem, name, key)
        for file in WORKFLOWS
        for name, job in content(file)["jobs"].items()
        for key, value in job.get("permissions", {}).items()
        if value == "write" and key != "id-token"
    }
    assert writers == {
        ("comment", "comment", "pull-requests"),
        ("drift", "report", "issues"),
        ("preview", "comment", "pull-requests"),
    }


@each_workflow
def test_job_that_may_write_never_checks_out_the_pull_request(file: Path) -> None:
    for job in content(file)["jobs"].values():
        writes = "write" in {job.get("permissions", {}).get("pull-requests")}
        checkouts = [step for step in job["steps"] if "actions/checkout@" in step.get("uses", "")]
        if writes and file.stem == "preview":
            assert [step["with"]["ref"] for step in checkouts] == [
                "${{ github.event.pull_request.base.sha }}"
            ]
        for step in checkouts:
            assert step["with"]["persist-credentials"] is False


def test_deploy_and_destroy_of_a_stack_exclude_each_other() -> None:
    deploy = content(ROOT / ".github/workflows/deploy.yml")["jobs"]
    destroy = content(ROOT / ".github/workflows/destroy.yml")["jobs"]["destroy"]
    assert {name: job["concurrency"]["group"] for name, job in deploy.items()} == {
        "dev": "stack-dev",
        "prod": "stack-prod",
    }
    assert destroy["concurrency"]["group"] == "stack-${{ inputs.stack }}"
    assert destroy["environment"] == "${{ inputs.stack }}"
    assert deploy["prod"]["environment"] == "prod"
    for name, job in deploy.items():
        assert f"contains(fromJSON(vars.DEPLOYED_STACKS || '[]'), '{name}')" in job["if"]
