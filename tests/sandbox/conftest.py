"""Images of a small HTTP server that needs no packages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from sandbox.containers.engine_client import ContainerEngine
from sandbox.containers.engine_runtime import EngineRuntime
from sandbox.containers.process_runtime import ProcessRuntime
from sandbox.images import image_sources
from sandbox.images.build_request import BuildRequest
from tests.sandbox import container_engine

SERVER = """
import os, signal, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        ready = os.path.exists(os.environ.get("READY_FILE", __file__))
        missing = self.path == "/ready" and not ready
        body = f"{os.environ.get('RELEASE', '')} {os.environ.get('HOSTNAME', '')}".encode()
        self.send_response(503 if missing else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, form, *args):
        print(form % args, flush=True)

server = ThreadingHTTPServer((os.environ["BIND"], 8080), Handler)
server.daemon_threads = False
def stop(*_):
    import threading
    threading.Thread(target=server.shutdown).start()
signal.signal(signal.SIGTERM, stop)
print("serving", os.environ["BIND"], flush=True)
server.serve_forever(0.05)
print("stopped", flush=True)
"""
DOCKERFILE = """
FROM scratch AS base
ENV IGNORED=1
FROM base
ARG RELEASE=none
ENV BIND=0.0.0.0 RELEASE=${RELEASE} DATA=/srv/data
WORKDIR /srv
COPY server.py ./
CMD ["python3", "server.py"]
"""

Images = Callable[..., str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return the sandbox's home."""
    return tmp_path / "home"


@pytest.fixture
def process_images(home: Path, tmp_path: Path) -> Images:
    """Record an image's sources and return its reference."""

    def record(
        name: str = "server", dockerfile: str = DOCKERFILE, server: str = SERVER, **args: str
    ) -> str:
        context = tmp_path / f"context-{name}"
        context.mkdir(exist_ok=True)
        (context / "server.py").write_text(server)
        (context / "Dockerfile").write_text(dockerfile)
        digest = "sha256:" + sha256(name.encode()).hexdigest()
        request = BuildRequest(
            context=context,
            dockerfile=context / "Dockerfile",
            platform="linux/amd64",
            args=args,
        )
        image_sources.record(home, digest, request)
        return f"localhost:1/{name}@{digest}"

    return record


@pytest.fixture
def process_runtime(home: Path, tmp_path: Path) -> ProcessRuntime:
    """Return a runtime with the images of `process_images`."""
    return ProcessRuntime(home / "pods", home, tmp_path / "environments")


@pytest.fixture(scope="session")
def engine() -> Iterator[ContainerEngine]:
    """Return a container engine, or skip."""
    with container_engine.running_engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def python_image(engine: ContainerEngine) -> str:
    """Return an image of the engine with Python and a shell."""
    return container_engine.python_image(engine)


@pytest.fixture
def engine_images(engine: ContainerEngine, python_image: str) -> Images:
    """Build an image in the engine and return its reference."""

    def build(name: str = "server", server: str = SERVER, **args: str) -> str:
        variables = "".join(f"ENV {key}={value}\n" for key, value in args.items())
        dockerfile = (
            f"FROM {python_image}\nENV BIND=0.0.0.0\n{variables}"
            'WORKDIR /srv\nCOPY server.py ./\nCMD ["python3", "server.py"]\n'
        )
        digest = sha256((server + dockerfile).encode()).hexdigest()[:12]
        files = {"server.py": server}
        return container_engine.build(engine, f"sandbox-test-{name}:{digest}", dockerfile, files)

    return build


@pytest.fixture
def engine_runtime(engine: ContainerEngine, home: Path) -> Iterator[EngineRuntime]:
    """Return a runtime with the images of `engine_images`; it leaves nothing in the engine."""
    runtime = EngineRuntime(home / "pods" / "engine", home, engine)
    yield runtime
    for uid in runtime.pods():
        runtime.remove_pod(uid)
