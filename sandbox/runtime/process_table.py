"""Reads and signals processes through /proc."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# Fields of /proc/PID/stat after the command's name (proc(5)), counted from 0.
_STATE, _GROUP, _USER_TIME, _SYSTEM_TIME, _RESIDENT = 0, 2, 11, 12, 21


def runs(pid: int, argument: str) -> bool:
    """Return whether the process runs with this argument: its ID alone may have been reused."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    fields = _stat(pid)
    return argument.encode() in command and fields is not None and fields[_STATE] != "Z"


def kill_group(group: int, number: int) -> None:
    """Send a signal to each process of a group that still exists."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def group_usage(group: int) -> tuple[float, int]:
    """Return CPU seconds and resident bytes of a group's processes."""
    cpu, memory = 0.0, 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields is not None and int(fields[_GROUP]) == group:
                cpu += (int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME])) / _TICKS
                memory += int(fields[_RESIDENT]) * _PAGE
    return cpu, memory


def _stat(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
