"""The service's own image, run as Kubernetes runs it: by digest, read-only, without capabilities, told to end by SIGTERM."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from sandbox.images import engines
from tests.images.conftest import BuiltApp
from tests.images.test_builds import docker_pull


@dataclass(frozen=True)
class Container:
    """A running container of the service."""

    docker: engines.DockerEngine
    name: str
    url: str

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.docker.program, *command], env=self.docker.env, capture_output=True, text=True, check=False
        )

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        return self.run("exec", self.name, *command)

    def inspect(self) -> dict[str, dict[str, object]]:
        [found] = json.loads(self.run("inspect", self.name).stdout)
        return dict(found)

    def logs(self) -> str:
        done = self.run("logs", self.name)
        return done.stdout + done.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def container(app: BuiltApp, docker: engines.DockerEngine, tmp_path: Path) -> Iterator[Container]:
    assert docker_pull(docker, app, tmp_path).returncode == 0
    port = free_port()
    found = Container(docker, f"app-{port}", f"http://127.0.0.1:{port}")
    # The host's network, since an engine that the tests start has no bridge; loopback only, as everything here.
    options = ["--network", "host", "--env", f"APP_PORT={port}", "--env", "APP_BIND=127.0.0.1"]
    options += ["--env", f"APP_IMAGE_DIGEST={app.outcome.digest}", "--env", "APP_DRAIN_SECONDS=1"]
    options += ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "200"]
    started = found.run("run", "--detach", "--name", found.name, *options, app.reference)
    assert started.returncode == 0, started.stderr
    try:
        deadline = time.monotonic() + 20
        while not answers(f"{found.url}/readyz"):
            assert time.monotonic() < deadline, found.logs()
            time.sleep(0.05)
        yield found
    finally:
        found.run("rm", "--force", found.name)


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).status_code == 200
    except requests.RequestException:
        return False


def test_pages_answer_and_name_the_image_by_its_digest(container: Container, app: BuiltApp) -> None:
    page = requests.get(container.url, timeout=5)
    assert page.status_code == 200
    assert app.outcome.digest.removeprefix("sha256:")[:12] in page.text
    assert requests.get(f"{container.url}/livez", timeout=5).status_code == 200
    assert "# HELP" in requests.get(f"{container.url}/metrics", timeout=5).text


def test_it_runs_as_a_number_that_owns_nothing_on_a_read_only_root(container: Container) -> None:
    assert container.inside("id", "-u").stdout.strip() == "10001"
    refused = container.inside("touch", "/srv/app/new")
    assert refused.returncode != 0
    assert "Read-only file system" in refused.stderr
    owned = container.inside("find", "/srv", "/opt", "-user", "10001")
    assert owned.stdout == ""


def test_no_pip_compiler_or_shell_history_is_left(container: Container) -> None:
    assert container.inside("python3", "-m", "pip", "--version").returncode != 0
    for tool in ("gcc", "cc", "make", "pip", "pip3"):
        assert container.inside("sh", "-c", f"command -v {tool}").returncode != 0, tool
    assert container.inside("find", "/root", "/home", "/srv", "-name", ".*history").stdout == ""
    assert container.inside("find", "/", "-xdev", "-name", "ca.pem", "-o", "-name", "pip.conf").stdout == ""


def test_docker_calls_it_healthy_by_the_images_own_check(container: Container) -> None:
    assert container.inside("python3", "-m", "app.healthcheck").returncode == 0
    assert container.inspect()["State"]["Health"]


def test_sigterm_drains_what_has_begun_and_ends_with_success(container: Container) -> None:
    port = int(container.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as begun:
        begun.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")  # a request under way
        time.sleep(0.3)
        container.run("kill", "--signal", "TERM", container.name)
        time.sleep(0.3)
        begun.sendall(b"Connection: close\r\n\r\n")
        assert begun.recv(4096).startswith(b"HTTP/1.1 200")
    deadline = time.monotonic() + 15
    while container.inspect()["State"]["Running"]:
        assert time.monotonic() < deadline, "the service still runs 15 s after SIGTERM"
        time.sleep(0.1)
    assert container.inspect()["State"]["ExitCode"] == 0, container.logs()


def test_readiness_is_withdrawn_while_draining(container: Container) -> None:
    container.run("kill", "--signal", "TERM", container.name)
    time.sleep(0.3)
    try:
        answer = requests.get(f"{container.url}/readyz", timeout=2)
    except requests.ConnectionError:
        pytest.fail("the service stopped listening before its drain was over")
    assert answer.status_code == 503
