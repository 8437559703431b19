"""SANDBOX_RUNTIME chooses how pods run."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest

from sandbox.containers.engine_client import connect
from sandbox.containers.engine_images import RegistryAccess
from sandbox.containers.process_runtime import ProcessRuntime
from sandbox.contracts.container_runtime import ContainerRuntime
from sandbox.daemon.pod_runtime import RuntimeChoiceError, choose_runtime
from sandbox.runtime.home import Home

ACCESS = RegistryAccess(host="localhost:1", credentials=lambda: ("AWS", ""))


@pytest.fixture(autouse=True)
def _no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


def choose(home: Path, processes: ProcessRuntime) -> tuple[ContainerRuntime, str]:
    return choose_runtime(Home(home), processes, registry=ACCESS, environment=dict, endpoints=dict)


@pytest.mark.parametrize("choice", ["", "auto", "process"])
def test_pods_are_processes_without_an_engine(
    choice: str, monkeypatch: pytest.MonkeyPatch, home: Path, process_runtime: ProcessRuntime
) -> None:
    monkeypatch.setenv("SANDBOX_RUNTIME", choice)
    runtime, reason = choose(home, process_runtime)
    assert runtime is process_runtime
    assert ("SANDBOX_RUNTIME is process" if choice == "process" else "no engine answers") in reason


def test_required_engine_that_does_not_answer_is_an_error(
    monkeypatch: pytest.MonkeyPatch, home: Path, process_runtime: ProcessRuntime
) -> None:
    monkeypatch.setenv("SANDBOX_RUNTIME", "engine")
    with pytest.raises(RuntimeChoiceError, match=r"no engine answers at unix://.*/none\.sock"):
        choose(home, process_runtime)


def test_unknown_choice_is_an_error(
    monkeypatch: pytest.MonkeyPatch, home: Path, process_runtime: ProcessRuntime
) -> None:
    monkeypatch.setenv("SANDBOX_RUNTIME", "docker")
    with pytest.raises(RuntimeChoiceError, match="set it to auto, process or engine"):
        choose(home, process_runtime)


def test_engine_of_another_machine_is_not_used(
    monkeypatch: pytest.MonkeyPatch, home: Path, process_runtime: ProcessRuntime
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    assert choose(home, process_runtime)[0] is process_runtime


@contextmanager
def engine_with_component(name: str, socket: Path) -> Iterator[None]:
    """Serve the version and the details of an engine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            version = {"Version": "4.3.1", "ApiVersion": "1.41", "Components": [{"Name": name}]}
            body = json.dumps(version if self.path.endswith("/version") else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "client"

    with ThreadingUnixStreamServer(os.fspath(socket), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


@pytest.mark.parametrize(("component", "refused"), [("Podman Engine", True), ("Engine", False)])
def test_podman_is_not_used(component: str, refused: bool, tmp_path: Path) -> None:
    socket = Path(tmp_path.parent, "engine.sock")
    socket.unlink(missing_ok=True)
    with engine_with_component(component, socket):
        result = connect(f"unix://{socket}")
    assert isinstance(result, str) == refused
    if isinstance(result, str):
        assert "is Podman" in result
