"""The service's image in a container: user, filesystem, contents, SIGTERM."""

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
    with serving(app, docker) as running:
        yield running


def test_page_shows_the_image_digest(container: Container, app: BuiltApp) -> None:
    page = requests.get(container.url, timeout=60)
    assert page.status_code == 200
    assert app.outcome.digest.removeprefix("sha256:")[:12] in page.text
    assert requests.get(f"{container.url}/livez", timeout=60).status_code == 200
    assert "# HELP" in requests.get(f"{container.url}/metrics", timeout=60).text


def test_image_runs_as_a_numeric_user_on_a_read_only_root(container: Container) -> None:
    assert container.inside("id", "-u").stdout.strip() == "10001"
    refused = container.inside("touch", "/srv/app/new")
    assert refused.returncode != 0
    assert "Read-only file system" in refused.stderr
    owned = container.inside("find", "/srv", "/opt", "-user", "10001")
    assert owned.stdout == ""


def test_image_has_no_compiler_and_no_secret(container: Container) -> None:
    for tool in ("gcc", "cc", "make"):
        assert container.inside("sh", "-c", f"command -v {tool}").returncode != 0, tool
    assert container.inside("find", "/root", "/home", "/srv", "-name", ".*history").stdout == ""
    assert (
        container.inside("find", "/", "-xdev", "-name", "ca.pem", "-o", "-name", "pip.conf").stdout
        == ""
    )


def test_modules_are_compiled_in_the_image(container: Container) -> None:
    code = "import flask, app.factory; print(flask.__cached__, app.factory.__cached__)"
    for path in container.inside("python3", "-c", code).stdout.split():
        assert container.inside("test", "-s", path).returncode == 0


def test_image_has_a_health_check(container: Container) -> None:
    assert container.inspect()["State"]["Health"]


def test_request_in_progress_at_sigterm_is_answered(container: Container) -> None:
    port = int(container.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as begun:
        begun.sendall(
            b"POST /api/entries HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Content-Length: 2\r\n\r\n{"
        )
        time.sleep(0.3)
        container.run("kill", "--signal", "TERM", container.name)
        time.sleep(0.3)
        begun.sendall(b"}")
        assert begun.recv(4096).startswith(b"HTTP/1.1 404")  # no database, but answered
    deadline = time.monotonic() + 120
    while container.inspect()["State"]["Running"]:
        assert time.monotonic() < deadline, "the service still runs 120 s after SIGTERM"
        time.sleep(0.1)
    assert container.inspect()["State"]["ExitCode"] == 0, container.logs()
