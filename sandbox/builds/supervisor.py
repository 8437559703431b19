"""Runs the commands of one build and ends all its processes. Standard library only.

    python -I -S supervisor.py DIRECTORY NONCE

Each line of standard input is a command in JSON: `argv`, `cwd` and `env`. Its output is the
supervisor's; afterwards a line with a NUL byte, the nonce and the exit code follows. When standard
input ends, because the build or the background process has ended, all processes are ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

_SET_CHILD_SUBREAPER = 36  # prctl(2): processes whose parent has ended become children of this one
_GRACE_SECONDS = 3.0  # a Docker engine unmounts its file systems


def main() -> None:
    """Run commands until standard input ends."""
    nonce = sys.argv[2]
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # unlike SIG_IGN, not inherited
    commands: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(commands,), daemon=True).start()
    while True:
        command = json.loads(commands.get())
        code = _run(command)
        sys.stdout.buffer.write(b"\0%s %d\n" % (nonce.encode(), code))
        sys.stdout.buffer.flush()


def _read(commands: queue.Queue[str]) -> None:
    for line in sys.stdin:
        commands.put(line)
    _end_all()
    os._exit(0)


def _run(command: dict[str, Any]) -> int:
    try:
        process = subprocess.Popen(
            command["argv"],
            cwd=command["cwd"],
            env=command["env"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        sys.stdout.write(f"{error.filename}: {error.strerror}\n")
        sys.stdout.flush()
        return 127
    code: int = process.wait()
    return code if code >= 0 else 128 - code


def _end_all() -> None:
    """End all descendants: SIGTERM, and SIGKILL after a grace period."""
    deadline = time.monotonic() + _GRACE_SECONDS
    number = signal.SIGTERM
    signaled: set[int] = set()
    while processes := _descendants():
        if time.monotonic() > deadline:
            number = signal.SIGKILL
            signaled.clear()
        for pid in processes - signaled:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        signaled |= processes
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def _descendants() -> set[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[0] != "Z":
                    parents[int(entry.name)] = int(fields[1])
    descendants: set[int] = set()
    pending = [os.getpid()]
    while pending:
        parent = pending.pop()
        children = {
            pid for pid, its_parent in parents.items() if its_parent == parent
        } - descendants
        descendants |= children
        pending += children
    return descendants


if __name__ == "__main__":
    main()
