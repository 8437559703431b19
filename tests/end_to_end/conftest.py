"""A separate sandbox, used through its command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.ports import free_port

PROJECT = Path(__file__).resolve().parents[2]
IDENTITY = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")


@dataclass(frozen=True)
class Sandbox:
    """The command line with its own home, in a project."""

    home: Path
    project: Path = PROJECT

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command, without variables of a real account."""
        variables = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("AWS_", "PULUMI_"))
        }
        # On every machine; test_pulumi_cli.py has the tests of the CLI.
        variables["SANDBOX_ENGINE"] = "embedded"
        return variables | {"SANDBOX_HOME": str(self.home), "COLUMNS": "200"}

    def run(
        self, *arguments: str, stdin: str | None = None, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sandbox", *arguments],
            cwd=self.project,
            env=self.environment | (environment or {}),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def git(self, *arguments: str) -> str:
        """Run git in the project and return its output."""
        return subprocess.run(
            ["git", *IDENTITY, *arguments],
            cwd=self.project,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a shell line whose `python` is this one."""
        variables = self.environment | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        }
        return subprocess.run(
            line,
            shell=True,
            cwd=PROJECT,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Run with --json and check the exit code; stdout must be one document."""
        ran = self.run(*arguments, "--json")
        assert ran.returncode == code, (
            f"{arguments}: exit code "
            f"{ran.returncode}\n{ran.stdout}\n{ran.stderr}\n{self._last_log()}"
        )
        document = json.loads(ran.stdout)
        assert isinstance(document, dict)
        return document

    def _last_log(self) -> str:
        """Return the last log lines of the background process."""
        log = self.home / "logs" / "daemon.log"
        return (
            "\n".join(log.read_text(errors="replace").splitlines()[-30:])
            if log.exists()
            else "(no log)"
        )

    def variables(self, stack: str) -> dict[str, str]:
        variables: dict[str, str] = self.json("env", stack)["variables"]
        return variables

    def client(self, service: str, stack: str = "dev") -> Any:
        """Return a boto3 client of the emulated account."""
        variables = self.variables(stack)
        return boto3.client(
            service,
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            region_name=variables["AWS_REGION"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        )

    def kubernetes(self, stack: str) -> Any:
        """Return an API client of the stack's cluster, from kubectl's kubeconfig."""
        from kubernetes import config

        created: Any = config.new_client_from_config  # the client has no types
        return created(config_file=self.variables(stack)["KUBECONFIG"])

    def resources(self) -> list[dict[str, Any]]:
        """Return the inventory of the account."""
        resources: list[dict[str, Any]] = self.json("inventory")["resources"]
        return resources


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    created = Sandbox(tmp_path_factory.mktemp("sandbox"))
    # A port of its own choice could be taken by another test's sandbox while it is stopped.
    for part in ("account", "kubernetes", "registry"):
        (created.home / part).mkdir(mode=0o700)
        (created.home / part / "port").write_text(str(free_port()))
    yield created
    created.run("stop")
