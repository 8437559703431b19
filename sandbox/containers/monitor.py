"""Monitors one container process: records its output, its process ID and its exit code.

It runs detached from the sandbox's background process, as conmon and containerd-shim do, so that
the container and its log survive a restart of the background process. Standard library only.

    python -I -S monitor.py DIRECTORY

`container.json` in the directory has `prefix`, `argv`, `env` and `cwd`. The monitor writes
`running.json`, `log` (the CRI's format) and `exit.json`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

LINE_BYTES = 16 * 1024  # a longer line is written in parts, as by containerd
LOG_BYTES = 10 * 1024 * 1024  # the kubelet's containerLogMaxSize


class _Log:
    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._file = path.open("ab")

    def copy(self, stream: IO[bytes], name: str) -> None:
        while line := stream.readline(LINE_BYTES):
            moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
            flag = "F" if line.endswith(b"\n") else "P"
            with self._lock:
                self._file.write(f"{moment} {name} {flag} ".encode() + line.rstrip(b"\n") + b"\n")
                self._file.flush()
                if self._file.tell() > LOG_BYTES:
                    self._rotate()

    def _rotate(self) -> None:
        self._file.close()
        self._path.replace(self._path.with_suffix(".previous"))
        self._file = self._path.open("ab")


def main() -> None:
    """Start the process and wait for its end."""
    directory = Path(sys.argv[1])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # unlike SIG_IGN, not inherited by the process
    spec = json.loads((directory / "container.json").read_text())
    started = time.time()
    try:
        process = subprocess.Popen(
            [*spec["prefix"], *spec["argv"]],
            cwd=spec["cwd"],
            env=spec["env"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
    except OSError as error:
        _write(
            directory / "exit.json",
            {
                "exit_code": 128,
                "started_at": started,
                "finished_at": time.time(),
                "reason": "StartError",
                "message": str(error),
            },
        )
        return
    _write(
        directory / "running.json",
        {"pid": process.pid, "monitor": os.getpid(), "started_at": started},
    )
    log = _Log(directory / "log")
    readers = [
        threading.Thread(target=log.copy, args=(stream, name), daemon=True)
        for stream, name in ((process.stdout, "stdout"), (process.stderr, "stderr"))
    ]
    for reader in readers:
        reader.start()
    code = process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # its children, which would keep the port
    for reader in readers:
        reader.join(timeout=5)
    _write(
        directory / "exit.json",
        {
            "exit_code": code if code >= 0 else 128 - code,
            "started_at": started,
            "finished_at": time.time(),
            "reason": "Completed" if code == 0 else "Error",
            "message": "",
        },
    )


def _write(path: Path, content: object) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)


if __name__ == "__main__":
    main()
