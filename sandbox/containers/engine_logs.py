"""Copies the logs of an engine's containers into files in the CRI's format."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from docker.errors import APIError
from requests.exceptions import RequestException

LOG_BYTES = 10 * 1024 * 1024  # the kubelet's containerLogMaxSize
_STREAMS = {1: b"stdout", 2: b"stderr"}
_END_SECONDS = 10.0


class EngineLogs:
    """Copies a container's log once it is asked for, and follows it until the container's end."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._locks: dict[Path, threading.Lock] = {}
        self._followers: dict[Path, threading.Thread] = {}

    def follow(self, engine_id: str, path: Path) -> None:
        """Copy what the container has written and start to follow it, unless that is done."""
        with self._own_lock(path):
            if (follower := self._followers.get(path)) is not None and follower.is_alive():
                return
            self._copy(engine_id, path, follow=False)
            follower = threading.Thread(
                target=self._copy,
                args=(engine_id, path),
                kwargs={"follow": True},
                name=f"log-{engine_id[:12]}",
                daemon=True,
            )
            self._followers[path] = follower
            follower.start()

    def finish(self, engine_id: str, path: Path) -> None:
        """Copy the rest of an ended container's log."""
        with self._own_lock(path):
            if (follower := self._followers.pop(path, None)) is not None:
                follower.join(_END_SECONDS)
            self._copy(engine_id, path, follow=False)
        with self._lock:
            self._locks.pop(path, None)

    def _own_lock(self, path: Path) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(path, threading.Lock())

    def _copy(self, engine_id: str, path: Path, *, follow: bool) -> None:
        last = _last_time(path)
        options = {"stdout": "1", "stderr": "1", "timestamps": "1", "follow": str(int(follow))}
        if last:
            options["since"] = _epoch(last)
        # The package's own method does not tell the streams apart. A missing container or an
        # engine that ends is no defect: the file keeps what was copied.
        url = f"{self._api.base_url}/containers/{engine_id}/logs"
        with (
            contextlib.suppress(RequestException, APIError, OSError),
            self._api.get(url, params=options, stream=True) as response,
        ):
            if response.status_code == 200:
                _write(path, frames(response.iter_content(None)), last)


def frames(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield stream number and content of each frame of the engine's multiplexed stream."""
    buffer = b""
    for chunk in chunks:
        buffer += chunk
        while len(buffer) >= 8:
            size = 8 + int.from_bytes(buffer[4:8], "big")
            if len(buffer) < size:
                break
            yield buffer[0], buffer[8:size]
            buffer = buffer[size:]


def _write(path: Path, content: Iterable[tuple[int, bytes]], last: bytes) -> None:
    for number, message in content:
        moment, _, text = message.partition(b" ")
        if moment <= last:  # `since` includes the last line
            continue
        flag = b"F" if text.endswith(b"\n") else b"P"
        stream = _STREAMS.get(number, b"stdout")
        with path.open("ab") as file:
            file.write(b"%s %s %s %s\n" % (moment, stream, flag, text.removesuffix(b"\n")))
            size = file.tell()
        if size > LOG_BYTES:
            path.replace(path.with_suffix(".previous"))


def _last_time(path: Path) -> bytes:
    for file in (path, path.with_suffix(".previous")):
        if file.exists() and (lines := file.read_bytes().splitlines()):
            return lines[-1].partition(b" ")[0]
    return b""


def _epoch(moment: bytes) -> str:
    """Return a time such as 2026-01-02T03:04:05.123456789Z as seconds with nanoseconds."""
    text = moment.decode().removesuffix("Z")
    whole, _, fraction = text.partition(".")
    seconds = int(datetime.fromisoformat(whole + "+00:00").timestamp())
    return f"{seconds}.{fraction.ljust(9, '0')[:9]}"
