"""Startup, liveness and readiness probes of a container."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any

# Runs a command in the container within a time limit; returns exit code and output.
Execute = Callable[[Sequence[str], float], tuple[int, str]]


class Probe:
    """One probe with Kubernetes's thresholds; `healthy` is None until a threshold is reached."""

    def __init__(
        self,
        spec: Mapping[str, Any],
        address: str,
        ports: Mapping[str, int],
        execute: Execute,
        *,
        healthy: bool | None = None,
    ) -> None:
        self._spec, self._address, self._ports, self._execute = spec, address, ports, execute
        self._period = float(spec.get("periodSeconds") or 10)
        self._timeout = float(spec.get("timeoutSeconds") or 1)
        self._next = time.monotonic() + float(spec.get("initialDelaySeconds") or 0)
        self._running: Future[str] | None = None
        self._successes = self._failures = 0
        self.healthy = healthy
        self.message = ""

    def poll(self, executor: Executor) -> bool:
        """Start the probe when due and evaluate a finished one; return whether one finished."""
        if self._running is None:
            if time.monotonic() >= self._next:
                self._next = time.monotonic() + self._period
                self._running = executor.submit(self._check)
            return False
        if not self._running.done():
            return False
        problem = self._running.result()
        self._running = None
        self.message = problem
        if problem:
            self._failures, self._successes = self._failures + 1, 0
            if self._failures >= (self._spec.get("failureThreshold") or 3):
                self.healthy = False
        else:
            self._successes, self._failures = self._successes + 1, 0
            if self._successes >= (self._spec.get("successThreshold") or 1):
                self.healthy = True
        return True

    def _check(self) -> str:
        """Return what is wrong in the kubelet's words, or ""."""
        try:
            if action := self._spec.get("httpGet"):
                return self._http(action)
            if action := self._spec.get("tcpSocket"):
                port = self._port(action["port"])
                with socket.create_connection((self._address, port), timeout=self._timeout):
                    return ""
            if action := self._spec.get("exec"):
                code, output = self._execute(action["command"], self._timeout)
                return "" if code == 0 else output or f"exit code {code}"
        except subprocess.TimeoutExpired:
            return f"command timed out after {self._timeout:g}s"
        except (OSError, http.client.HTTPException) as error:
            return str(error) or type(error).__name__
        return "the sandbox's kubelet has no gRPC probes"

    def _http(self, action: Mapping[str, Any]) -> str:
        host, port = action.get("host") or self._address, self._port(action["port"])
        connection: http.client.HTTPConnection
        if action.get("scheme") == "HTTPS":
            # As in the kubelet, the certificate is not verified.
            context = ssl._create_unverified_context()  # noqa: S323
            connection = http.client.HTTPSConnection(
                host, port, timeout=self._timeout, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._timeout)
        headers = {item["name"]: item["value"] for item in action.get("httpHeaders") or ()}
        with contextlib.closing(connection):
            connection.request(
                "GET",
                action.get("path") or "/",
                headers={"User-Agent": "kube-probe/sandbox", "Connection": "close", **headers},
            )
            status = connection.getresponse().status
        return "" if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"

    def _port(self, port: int | str) -> int:
        return self._ports.get(str(port)) or int(port)
