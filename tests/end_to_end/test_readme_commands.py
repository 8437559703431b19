"""Each command of the README's table "Commands you may know" does what it replaces."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import PROJECT, Sandbox

TABLE = (PROJECT / "README.md").read_text().partition("## Commands you may know")[2]
ROWS = re.findall(r"^\| (`.+?|[A-Z].+?) \| (.+?) \|$", TABLE.partition("\n## ")[0], re.MULTILINE)
# tests/sandbox/images/test_compose.py, which has a Docker engine, runs those of app/.


def shell(sandbox: Sandbox, line: str) -> str:
    """Run a line after `eval "$(sandbox env dev)"`, as the README says."""
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", "-euc", f'eval "$(sandbox env dev)"; export SANDBOX_HOME={sandbox.home}; {line}'],
        cwd=PROJECT,
        env=sandbox.environment | {"PATH": programs},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, f"{line}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.fixture(scope="module")
def up(sandbox: Sandbox) -> Iterator[Sandbox]:
    assert sandbox.run("up", "dev", "--yes", "--skip-preview").returncode == 0
    yield sandbox
    destroyed = sandbox.run("destroy", "dev", "--yes")
    assert destroyed.returncode == 0, destroyed.stderr


EXPECTED = {
    "aws sts get-caller-identity": '"Account": "123456789012"',
    "kubectl get nodes": "Ready",
    "sandbox history dev": "succeeded",
    "sandbox inventory": "platform-dev-cluster",
    "sandbox pipeline status dev": "platform-dev-pipeline, version 1",
    "aws ecr describe-images --repository-name platform-dev/image": "imageDigest",
}
# `make` would install; these are the commands behind it, which the fixture runs.
OF_FIXTURE = {"make up", "make destroy"}
OTHER_TESTS = {
    "sandbox console dev": "tests/sandbox/console/test_command.py",
    "sandbox codebuild list": "tests/end_to_end/test_codebuild.py",
    "sandbox codebuild logs ID": "tests/end_to_end/test_codebuild.py",
}
SHELL_LINES = {'eval "$(sandbox env dev)"', "eval"}


def commands() -> set[str]:
    return {text for _, here in ROWS for text in re.findall(r"`([^`]+)`", here)}


def test_each_command_of_the_table_is_tested() -> None:
    assert len(ROWS) >= 10
    others = {command for command in commands() if "app/" not in command}
    assert others == {*EXPECTED, *OF_FIXTURE, *OTHER_TESTS, *SHELL_LINES}
    for command, file in OTHER_TESTS.items():
        words = [word for word in command.split()[1:] if word not in {"dev", "ID"}]
        assert all(f'"{word}"' in (PROJECT / file).read_text() for word in words), command


@pytest.mark.parametrize("command", EXPECTED)
def test_command_shows_what_it_promises(up: Sandbox, command: str) -> None:
    tool = command.split(maxsplit=1)[0]
    if tool != "sandbox" and shutil.which(tool) is None:
        pytest.skip(f"{tool} is not on PATH")
    assert EXPECTED[command] in shell(up, command)


def test_make_runs_the_commands_of_the_fixture() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    assert "\t@$(SANDBOX) up $(STACK) --yes $(ARGS)\n" in makefile
    assert "\t@$(SANDBOX) destroy $(STACK) --yes $(ARGS)\n" in makefile
