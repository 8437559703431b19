"""Processes of PostgreSQL servers, found by their data directory."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

# Disconnect clients and write a checkpoint; disconnect only; nothing. Seconds to wait after each.
_SIGNALS = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0))


def find(data: Path) -> int | None:
    """Return the process ID of a data directory's server, or None."""
    try:
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if str(data) in command(pid) else None  # the number may have been reused


def end(data: Path) -> bool:
    """End a data directory's server and return whether there was one."""
    pid = find(data)
    if pid is None:
        return False
    for number, seconds in _SIGNALS:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + seconds
        while command(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        if not command(pid):
            break
    return True


def end_all(directory: Path) -> bool:
    """End every server of a sandbox's databases and return whether there was one."""
    files = list(directory.glob("instances/*/data/postmaster.pid"))
    return sum(end(file.parent) for file in files) > 0


def command(pid: int) -> str:
    """Return a process's command line; "" for one that has ended."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            return ""
    arguments = ["ps", "-o", "command=", "-p", str(pid)]
    return subprocess.run(arguments, capture_output=True, text=True, check=False).stdout
