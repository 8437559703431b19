"""A container of the service's image, run as Kubernetes does: read-only, no capabilities."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from sandbox.images import engines
from tests.ports import free_port
from tests.sandbox.images.conftest import BuiltApp

# The host's network, because an engine that the tests start has no bridge.
_CONFINED = (
    "--network",
    "host",
    "--read-only",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
)


@dataclass(frozen=True)
class Container:
    """A running container of the service."""

    docker: engines.DockerEngine
    name: str
    url: str

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return _docker(self.docker, *command)

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        return self.run("exec", self.name, *command)

    def inspect(self) -> dict[str, Any]:
        [details] = json.loads(self.run("inspect", self.name).stdout)
        return dict(details)

    def logs(self) -> str:
        done = self.run("logs", self.name)
        return done.stdout + done.stderr


@contextmanager
def serving(app: BuiltApp, docker: engines.DockerEngine, **environment: str) -> Iterator[Container]:
    """Run the service and yield it once it is alive."""
    port = free_port()
    container = Container(docker, f"app-{port}", f"http://127.0.0.1:{port}")
    settings = {
        "APP_PORT": str(port),
        "APP_BIND": "127.0.0.1",
        "APP_IMAGE_DIGEST": app.outcome.digest,
    }
    options = [*_CONFINED, "--pids-limit", "200", *_variables({**settings, **environment})]
    started = container.run("run", "--detach", "--name", container.name, *options, app.reference)
    assert started.returncode == 0, started.stderr
    try:
        deadline = time.monotonic() + 120
        while not answers(f"{container.url}/livez"):
            assert time.monotonic() < deadline, container.logs()
            time.sleep(0.05)
        yield container
    finally:
        container.run("rm", "--force", container.name)


def once(
    app: BuiltApp, docker: engines.DockerEngine, *command: str, **environment: str
) -> subprocess.Popen[str]:
    """Start a container that runs `command` and is then removed."""
    options = ["run", "--rm", *_CONFINED, *_variables(environment)]
    return subprocess.Popen(
        [docker.program, *options, app.reference, *command],
        env=docker.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=20).status_code == 200
    except requests.RequestException:
        return False


def _variables(environment: Mapping[str, str]) -> list[str]:
    return [f"--env={name}={value}" for name, value in environment.items()]


def _docker(docker: engines.DockerEngine, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [docker.program, *command], env=docker.env, capture_output=True, text=True, check=False
    )
