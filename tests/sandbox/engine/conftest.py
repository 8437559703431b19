"""What every test of the engine stands on: a provider in this process and a project beside it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.sandbox.engine.kit import Kit, serving
from tests.sandbox.engine.workspace import ROOT, Workspace


@pytest.fixture
def kit() -> Kit:
    return Kit()


@pytest.fixture
def workspace(tmp_path: Path, kit: Kit) -> Iterator[Workspace]:
    with serving(kit) as port:
        yield Workspace(tmp_path, port)


@pytest.fixture
def boxed(workspace: Workspace) -> Iterator[Workspace]:
    """The workspace with the `box` provider attached too."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.sandbox.engine.box"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    workspace.others = f",box:{process.stdout.readline().strip()}"
    yield workspace
    process.stdin.close()
    process.wait(timeout=120)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """An HTTP server of a folder `remote` that may be changed."""
    folder = tmp_path / "remote"
    folder.mkdir()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = folder / self.path.lstrip("/")
            self.send_response(200 if path.exists() else 404)
            self.end_headers()
            self.wfile.write(path.read_bytes() if path.exists() else b"there is no such page")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    served.server_close()
