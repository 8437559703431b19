"""A clone of the project for the commands of the documents.

Its tests are one trivial test, because a release runs the repository's tests.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.runtime.home import user_cache
from sandbox.runtime.virtual_environments import VirtualEnvironments

PROJECT = Path(__file__).parents[2]
# The AWS CLI of the sandbox's builds.
_AWS_CLI = PROJECT / "sandbox" / "builds" / "locks" / "aws-cli.txt"
# What the trivial test needs of this project.
_PACKAGES = ("iniconfig", "packaging", "pluggy", "pygments", "pytest", "uv")
_TEST = "def test_service() -> None:\n    assert {passes}\n"
# The variables of the `make test` that runs a document would also be those of its `make`.
_EXCLUDED = ("AWS_", "PUL", "MAKE", "MFLAGS", "ARGS", "STACK", "SANDBOX_HOME", "KUBECONFIG")


@dataclass(frozen=True)
class Clone:
    """A repository with one commit, and the environment of its commands."""

    directory: Path
    environment: dict[str, str]

    def git(self, *arguments: str) -> str:
        ran = subprocess.run(
            ["git", *arguments],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return ran.stdout.strip()

    def commit_test(self, *, passes: bool) -> str:
        """Commit a test that passes or fails, and return the commit."""
        (self.directory / "tests" / "app" / "test_service.py").write_text(
            _TEST.format(passes=passes)
        )
        self.git("add", ".")
        self.git("commit", "-qm", f"Let the test {'pass' if passes else 'fail'}")
        return self.git("rev-parse", "HEAD")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )


def clone(directory: Path, home: Path) -> Clone:
    """Copy the tracked files, commit them, and let `.venv` run this interpreter."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--", ".", ":!tests", ":!requirements-dev.txt"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, names):
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, target)
    (directory / "tests" / "app").mkdir(parents=True)
    (directory / "requirements-dev.txt").write_text(_locked(_PACKAGES))
    (directory / "pytest.ini").write_text("[pytest]\n")
    created = Clone(directory, _environment(directory, home))
    _virtual_environment(directory)
    created.git("init", "-q", "-b", "main")
    created.commit_test(passes=True)
    return created


def _environment(directory: Path, home: Path) -> dict[str, str]:
    variables = {key: it for key, it in os.environ.items() if not key.startswith(_EXCLUDED)}
    identity = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in {"NAME": "Ann", "EMAIL": "ann@example.com"}.items()
    }
    return {
        **variables,
        **identity,
        "PATH": f"{directory / '.venv' / 'bin'}:{variables['PATH']}",
        "SANDBOX_ENGINE": "embedded",
        "SANDBOX_HOME": str(home),
    }


def _virtual_environment(directory: Path) -> None:
    programs = directory / ".venv" / "bin"
    programs.mkdir(parents=True)
    for program, words in (("python", ""), ("sandbox", " -m sandbox")):
        (programs / program).write_text(f'#!/bin/sh\nexec {sys.executable}{words} "$@"\n')
        (programs / program).chmod(0o755)
    aws = VirtualEnvironments(user_cache() / "environments").ensure([_AWS_CLI])
    (programs / "aws").symlink_to(aws / "bin" / "aws")
    for stamp in ("uv", "dev", "sandbox"):  # `make` installs nothing
        (directory / ".venv" / stamp).touch()


def _locked(packages: Sequence[str]) -> str:
    """Return the packages' lines of the lock file."""
    lines = (PROJECT / "requirements-dev.txt").read_text()
    pattern = r"^(?:{})==(?:.*\\\n)*.*\n".format("|".join(packages))
    result = re.findall(pattern, lines, re.MULTILINE)
    assert len(result) == len(packages), result
    return "".join(result)
