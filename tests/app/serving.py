"""The service as it runs in a container: gunicorn in a process of its own, on a port of its own."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Service:
    process: subprocess.Popen[bytes]
    port: int
    log_file: Path
    connection: http.client.HTTPConnection | None = field(default=None)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            return send(connection, method, path, body, headers)
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def post_json(self, path: str, value: object) -> Answer:
        return self.request("POST", path, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged; every line must be JSON."""
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]


def send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    connection.request(method, path, body, dict(headers or {}))
    response = connection.getresponse()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without anything the service would read, and with what is given."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("APP_", "DATABASE_", "POD_", "PROMETHEUS_"))
    }
    return {**kept, "APP_BIND": "127.0.0.1", "APP_PORT": "0", **variables}


@contextmanager
def served(folder: Path, *command: str, **variables: str) -> Iterator[Service]:
    """The service, started by `python3 -m app` or by what `command` says in its place."""
    log_file = folder / f"service-{time.monotonic_ns()}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *(command or ("-m", "app"))],
            cwd=ROOT,
            env=environment(**variables),
            stdout=log,
            stderr=log,
        )
    try:
        yield Service(process, _port(process, log_file), log_file)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _port(process: subprocess.Popen[bytes], log_file: Path) -> int:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", log_file.read_text())
        if found:
            return int(found[1])
        time.sleep(0.02)
    raise AssertionError(f"the service did not start:\n{log_file.read_text()}")
