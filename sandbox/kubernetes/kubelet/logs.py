"""Reads container logs in the CRI's format with the options of `kubectl logs`."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

_POLL_SECONDS = 0.2
_ALIVE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class LogOptions:
    """`tail` is a number of lines, `since` a time; None means all."""

    follow: bool = False
    timestamps: bool = False
    tail: int | None = None
    since: datetime | None = None
    limit_bytes: int | None = None


def read(path: Path, options: LogOptions, running: Callable[[], bool]) -> Iterator[bytes]:
    """Yield the log's lines; with `follow`, until the container has ended.

    An empty part is yielded while nothing is written, so that a closed connection is noticed.
    """
    limit = options.limit_bytes
    lines = _follow(path, running) if options.follow else iter(_lines(path))
    if options.tail is not None:
        present = deque(_lines(path), maxlen=options.tail)
        lines = _skip(lines, len(_lines(path)) - len(present)) if options.follow else iter(present)
    for line in lines:
        part = _render(line, options)
        if limit is not None:
            part, limit = part[:limit], limit - len(part)
        yield part
        if limit is not None and limit <= 0:
            return


class LogProcess:
    """What a running container writes from now on, as `kubectl attach` shows it."""

    stdin: IO[bytes] | None = None

    def __init__(self, path: Path, running: Callable[[], bool]) -> None:
        self._path, self._running = path, running
        self._stopped = threading.Event()
        (out, self._out), (err, self._err) = os.pipe(), os.pipe()
        self.stdout: IO[bytes] | None = os.fdopen(out, "rb")
        self.stderr: IO[bytes] | None = os.fdopen(err, "rb")
        self._present = len(_lines(path))
        threading.Thread(target=self._follow, name="attach", daemon=True).start()

    def kill(self) -> None:
        """Detach; the container continues."""
        self._stopped.set()

    def wait(self) -> int:
        """Return 0, as attach reports the end of a container."""
        return 0

    def _follow(self) -> None:
        def attached() -> bool:
            return self._running() and not self._stopped.is_set()

        try:
            for line in _skip(_follow(self._path, attached), self._present):
                if line:
                    _moment, stream, _flag, _text = line.split(b" ", 3)
                    target = self._err if stream == b"stderr" else self._out
                    os.write(target, _render(line, LogOptions()))
        except OSError:
            pass  # the client has gone
        finally:
            os.close(self._out)
            os.close(self._err)


def _skip(lines: Iterator[bytes], count: int) -> Iterator[bytes]:
    for number, line in enumerate(lines):
        if number >= count:
            yield line


def _lines(path: Path) -> list[bytes]:
    content = []
    for file in (path.with_suffix(".previous"), path):
        if file.exists():
            content += file.read_bytes().splitlines(keepends=True)
    return [line for line in content if line.endswith(b"\n")]


def _follow(path: Path, running: Callable[[], bool]) -> Iterator[bytes]:
    yield from _lines(path)
    position = path.stat().st_size if path.exists() else 0
    last = time.monotonic()
    while True:
        ended = not running()
        if path.exists():
            size = path.stat().st_size
            if size < position:
                position = 0  # rotated
            with path.open("rb") as file:
                file.seek(position)
                for line in file:
                    if line.endswith(b"\n"):
                        position += len(line)
                        last = time.monotonic()
                        yield line
        if ended:
            return
        if time.monotonic() - last > _ALIVE_SECONDS:
            last = time.monotonic()
            yield b""
        time.sleep(_POLL_SECONDS)


def _render(line: bytes, options: LogOptions) -> bytes:
    if not line:
        return b""
    moment, _stream, flag, text = line.split(b" ", 3)
    if options.since is not None:
        written = datetime.fromisoformat(moment.decode()[:26] + "+00:00")
        if written < options.since:
            return b""
    text = text if flag == b"F" else text.rstrip(b"\n")
    return moment + b" " + text if options.timestamps else text


def since(seconds: str, moment: str) -> datetime | None:
    """Return the start of `sinceSeconds` or `sinceTime`, or None."""
    if seconds:
        return datetime.now(UTC) - timedelta(seconds=int(seconds))
    return datetime.fromisoformat(moment) if moment else None
