"""The service in a process of its own, as in a container."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ports import free_port

ROOT = Path(__file__).parents[2]


@dataclass
class Response:
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

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send one request on its own connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            return send(connection, method, path, body, headers)
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Response:
        return self.request("GET", path, headers=headers)

    def post_json(self, path: str, value: object) -> Response:
        headers = {"Content-Type": "application/json"}
        return self.request("POST", path, json.dumps(value).encode(), headers)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def log_records(self) -> list[dict[str, Any]]:
        """Return the log; every line must be JSON."""
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]


def send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    connection.request(method, path, body, dict(headers or {}))
    response = connection.getresponse()
    received = {name.lower(): value for name, value in response.getheaders()}
    return Response(response.status, received, response.read())


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without the service's variables, and the given ones."""
    prefixes = ("APP_", "DATABASE_", "POD_", "PROMETHEUS_")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(prefixes)}
    return {**inherited, **variables}


@contextmanager
def running(directory: Path, **variables: str) -> Iterator[Service]:
    """Run `python3 -m app` until the block ends."""
    port = free_port()
    log_file = directory / f"service-{time.monotonic_ns()}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app"],
            cwd=ROOT,
            env=environment(APP_PORT=str(port), **variables),
            stdout=log,
            stderr=log,
        )
    service = Service(process, port, log_file)
    try:
        _wait_until_alive(service)
        yield service
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_alive(service: Service) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and service.process.poll() is None:
        try:
            if service.get("/livez").status == 200:
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"the service did not start:\n{service.log_file.read_text()}")
