"""Processes under measurement: the Hello World of the study and the service."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
HELLO_WORLD = """import os
from flask import Flask

app = Flask(__name__)


@app.route("/")
def hello():
    return "Hello, World!"


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
"""


def free_port() -> int:
    """Return a port that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def responds(port: int, path: str = "/") -> bool:
    """Return whether a GET request succeeds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def hello_world(directory: Path) -> Iterator[int]:
    """Run the Hello World under `python app.py` and yield its port."""
    (directory / "app.py").write_text(HELLO_WORLD)
    port = free_port()
    command = [sys.executable, str(directory / "app.py")]
    with _process(command, directory, port, {"PORT": str(port)}, "/"):
        yield port


@contextmanager
def service(
    directory: Path, *, database: str | None = None
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run the service and yield its port and process once it is ready."""
    port = free_port()
    variables = {"APP_PORT": str(port)}
    if database:
        variables["DATABASE_URL"] = database
    command = [sys.executable, "-m", "app"]
    with _process(command, directory, port, variables, "/readyz") as process:
        yield port, process


@contextmanager
def _process(
    command: list[str], directory: Path, port: int, variables: dict[str, str], path: str
) -> Iterator[subprocess.Popen[bytes]]:
    prefixes = ("APP_", "DATABASE_", "PROMETHEUS_")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(prefixes)}
    with (directory / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**inherited, **variables}, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 60
        while not responds(port, path):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((directory / f"{port}.log").read_text()[-3000:])
            time.sleep(0.01)
        yield process
    finally:
        process.terminate()
        process.wait(60)
