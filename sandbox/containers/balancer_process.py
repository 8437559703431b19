"""Starts, configures and ends one `tcp_balancer` process, which outlives its caller."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.runtime import process_table

_ROOT = Path(__file__).parents[2]
# Isolated, so that the process loads only the standard library and these modules.
_PROGRAM = (
    f"import sys; sys.path.insert(0, {str(_ROOT)!r}); "
    "from sandbox.containers.tcp_balancer import run; run()"
)
_APPLY_SECONDS = 5.0
_STOP_SECONDS = 30.0

Listener = Mapping[str, Any]
# Address, port and reason of a listener that cannot be bound.
Failure = Sequence[Any]


class BalancerProcess:
    """The process whose configuration, process ID and errors are in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._applied: list[Listener] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process runs, started by this object or by a predecessor."""
        if self._process is not None:
            self._process.poll()
        try:
            pid = int((self._directory / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return False
        return process_table.runs(pid, str(self._directory))

    def apply(self, listeners: Sequence[Listener], *, again: bool = False) -> list[Failure]:
        """Listen exactly so; return the listeners that failed.

        Does nothing if that is applied already, unless `again` is set, which retries failures.
        """
        requested = list(listeners)
        if requested == self._applied and self.running and not again:
            return []
        if not requested:
            self.end()
            return []
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / "applied.json").unlink(missing_ok=True)
        temporary = self._directory / "config.new"
        temporary.write_text(json.dumps({"listeners": requested}))
        temporary.replace(self._directory / "config.json")
        if self.running:
            os.kill(int((self._directory / "pid").read_text()), signal.SIGHUP)
        else:
            self._start()
        deadline = time.monotonic() + _APPLY_SECONDS
        while time.monotonic() < deadline:
            if (applied := self._read_applied()).get("listeners") == requested:
                self._applied = requested
                return list(applied["failures"])
            time.sleep(0.01)
        self._applied = None
        return []

    def end(self) -> None:
        """End the process when its connections have ended."""
        self._applied = None
        if not self.running:
            return
        pid = int((self._directory / "pid").read_text())
        process_table.kill_group(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while self.running and time.monotonic() < deadline:
            time.sleep(0.02)
        process_table.kill_group(pid, signal.SIGKILL)

    def _read_applied(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads((self._directory / "applied.json").read_text())
        except FileNotFoundError:
            return {}
        return content

    def _start(self) -> None:
        with (self._directory / "errors.log").open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _PROGRAM, str(self._directory / "config.json")],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        (self._directory / "pid").write_text(str(self._process.pid))
