"""The service's own image, run as Kubernetes runs it: by digest, read-only, without capabilities, told to end by SIGTERM."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from sandbox.images import engines
from tests.sandbox.images.conftest import BuiltApp
from tests.sandbox.images.container import Container, serving
from tests.sandbox.images.test_builds import docker_pull


@pytest.fixture
def container(app: BuiltApp, docker: engines.DockerEngine, tmp_path: Path) -> Iterator[Container]:
    assert docker_pull(docker, app, tmp_path).returncode == 0
    with serving(app, docker) as found:
        yield found


def test_pages_answer_and_name_the_image_by_its_digest(container: Container, app: BuiltApp) -> None:
    page = requests.get(container.url, timeout=60)
    assert page.status_code == 200
    assert app.outcome.digest.removeprefix("sha256:")[:12] in page.text
    assert requests.get(f"{container.url}/livez", timeout=60).status_code == 200
    assert "# HELP" in requests.get(f"{container.url}/metrics", timeout=60).text


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


def test_a_start_compiles_nothing_and_finds_its_modules_in_one_file(container: Container) -> None:
    told = "import json.tool, flask, app.page; print(*(it.__cached__ for it in (json, flask, app.page)))"
    found = container.inside("python3", "-c", told).stdout.split()
    assert found[:2] == ["/opt/dependencies/modules"] * 2
    assert container.inside("test", "-s", found[2]).returncode == 0


def test_docker_calls_it_healthy_by_the_images_own_check(container: Container) -> None:
    assert container.inside("python3", "-m", "app.healthcheck").returncode == 0
    assert container.inspect()["State"]["Health"]


def test_sigterm_drains_what_has_begun_and_ends_with_success(container: Container) -> None:
    port = int(container.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as begun:
        begun.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")  # a request under way
        time.sleep(0.3)
        container.run("kill", "--signal", "TERM", container.name)
        time.sleep(0.3)
        begun.sendall(b"Connection: close\r\n\r\n")
        assert begun.recv(4096).startswith(b"HTTP/1.1 200")
    deadline = time.monotonic() + 120
    while container.inspect()["State"]["Running"]:
        assert time.monotonic() < deadline, "the service still runs two minutes after SIGTERM"
        time.sleep(0.1)
    assert container.inspect()["State"]["ExitCode"] == 0, container.logs()


def test_readiness_is_withdrawn_while_draining(app: BuiltApp, docker: engines.DockerEngine, tmp_path: Path) -> None:
    assert docker_pull(docker, app, tmp_path).returncode == 0
    with serving(app, docker, APP_DRAIN_SECONDS="300") as container:
        container.run("kill", "--signal", "TERM", container.name)
        deadline = time.monotonic() + 120
        while requests.get(f"{container.url}/readyz", timeout=60).status_code != 503:
            assert time.monotonic() < deadline, "it never began to drain"
            time.sleep(0.1)
        assert requests.get(f"{container.url}/livez", timeout=60).status_code == 200
