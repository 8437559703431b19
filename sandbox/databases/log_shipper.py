"""Sends servers' logs to CloudWatch Logs, once per second."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

_TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC:")
_LARGEST_FILE = 16 * 1024 * 1024  # then it is emptied
_LARGEST_BATCH = 512 * 1024

# Milliseconds since the epoch, message.
LogEvent = tuple[int, str]


class LogSink(Protocol):
    """Where logs go."""

    def put(self, region: str, group: str, stream: str, events: Sequence[LogEvent]) -> bool:
        """Store events; return False if there is no such log group or stream."""
        ...

    def create(self, region: str, group: str, stream: str) -> None:
        """Create log group and stream."""
        ...


class LogFile:
    """A server's log, read from its beginning once per process: the sink does not persist."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = self._previous = 0

    def read(self) -> list[LogEvent]:
        """Return the events after those of the last call; an event may have several lines."""
        self._previous = self._offset
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                content = file.read(_LARGEST_BATCH)
        except FileNotFoundError:
            return []
        complete = content[: content.rfind(b"\n") + 1]
        self._offset += len(complete)
        if self._offset > _LARGEST_FILE and len(complete) == len(content):
            os.truncate(self._path, 0)  # the server appends
            self._offset = self._previous = 0
        return _events(complete.decode(errors="replace"))

    def unread(self) -> None:
        """Return the last events again: they could not be stored."""
        self._offset = self._previous


def _events(text: str) -> list[LogEvent]:
    events: list[LogEvent] = []
    for line in text.splitlines():
        match = _TIME.match(line)
        if match is None and events:
            events[-1] = (events[-1][0], f"{events[-1][1]}\n{line}")
        elif line.strip():
            moment = time.time()
            if match is not None:
                moment = datetime.fromisoformat(match[1]).replace(tzinfo=UTC).timestamp()
            events.append((int(moment * 1000), line))
    return events
