"""Processes of the control planes of clusters, which outlive a killed background process."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from sandbox.runtime import process_table

_STOP_SECONDS = 10.0


def record(directory: Path, program: str, pid: int) -> None:
    """Record a process of the control plane with its data in this directory."""
    (directory / f"{program}.pid").write_text(str(pid))


def end(directory: Path) -> bool:
    """End a control plane's processes, by SIGKILL after 10 s; return whether there were any."""
    running = pids = list(_running(directory))
    number = signal.SIGTERM
    deadline = time.monotonic() + _STOP_SECONDS
    while running:
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if time.monotonic() > deadline:
            number = signal.SIGKILL
        time.sleep(0.1)
        running = list(_running(directory))
    for file in directory.glob("*.pid"):
        file.unlink(missing_ok=True)
    return bool(pids)


def end_all(kubernetes: Path) -> bool:
    """End the control planes of a sandbox's clusters; return whether there were any."""
    directories = [path for path in kubernetes.glob("clusters/*/control-plane") if path.is_dir()]
    return sum(end(directory) for directory in directories) > 0


def _running(directory: Path) -> Iterator[int]:
    for file in directory.glob("*.pid"):
        try:
            pid = int(file.read_text())
        except (OSError, ValueError):
            continue
        # Its arguments contain the directory, and the number may have been reused.
        if process_table.runs(pid, str(directory)):
            yield pid
