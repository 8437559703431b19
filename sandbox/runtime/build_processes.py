"""Ends the processes of builds that an ended background process has left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

from sandbox.runtime import process_table

# A supervisor ends its processes when the background process ends; see builds/supervisor.py.
_WAIT_SECONDS = 5.0


def end_all(builds: Path) -> bool:
    """End the processes of all builds, by SIGKILL after 5 s; return whether there were any."""
    running = [pid for build in builds.glob("*") if (pid := supervisor(build)) is not None]
    deadline = time.monotonic() + _WAIT_SECONDS
    while any(process_table.runs(pid, str(builds)) for pid in running):
        if time.monotonic() > deadline:
            for pid in running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.02)
    return bool(running)


def running(builds: Path) -> list[str]:
    """Return the IDs of the builds that run."""
    ids = []
    for build in sorted(builds.glob("*")):
        if supervisor(build) is not None:
            with contextlib.suppress(OSError, ValueError, KeyError):
                ids.append(str(json.loads((build / "build.json").read_text())["id"]))
    return ids


def supervisor(build: Path) -> int | None:
    """Return the process ID of the supervisor of a build's directory, if it runs."""
    directory = build / "work" / "shell"
    try:
        pid = int((directory / "pid").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if process_table.runs(pid, str(directory)) else None
