"""The log of a build: CloudWatch Logs or a function, with secrets masked."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from sandbox.builds.errors import PhaseError

Event = tuple[int, str]
# Source: CloudWatch Logs API reference, PutLogEvents.
_MAX_EVENTS, _MAX_BYTES, _EVENT_BYTES = 10_000, 1_048_576, 26
_SHORTEST_SECRET = 4  # shorter values would mask parts of ordinary words
# The account's journal has one entry for each request, so requests become rarer.
_FIRST_SECONDS, _LONGEST_SECONDS = 0.25, 2.0


class BuildLog:
    """Collects lines; `send` gets the events in order and raises PhaseError if it is denied."""

    def __init__(self, send: Callable[[Sequence[Event]], None]) -> None:
        self._send = send
        self._events: list[Event] = []
        self._mask: re.Pattern[str] | None = None
        self._secrets: set[str] = set()
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._closed = threading.Event()
        self.error: PhaseError | None = None
        self._thread = threading.Thread(target=self._ship, name="build-log", daemon=True)
        self._thread.start()

    def mask(self, values: Sequence[str]) -> None:
        """Replace these values by *** in the following lines; each line of a value is a secret."""
        lines = {line for value in values for line in value.splitlines()}
        self._secrets |= {line for line in lines if len(line) >= _SHORTEST_SECRET}
        if self._secrets:
            longest_first = sorted(self._secrets, key=len, reverse=True)
            self._mask = re.compile("|".join(map(re.escape, longest_first)))

    def line(self, text: str) -> None:
        """Append a line of a command's output."""
        if self._mask is not None:
            text = self._mask.sub("***", text)
        with self._lock:
            self._events.append((int(time.time() * 1000), text))

    def note(self, text: str) -> None:
        """Append a line of the agent, with AWS's prefix."""
        moment = datetime.now(UTC).strftime("%Y/%m/%d %H:%M:%S.%f")
        self.line(f"[Container] {moment} {text}")

    def flush(self) -> None:
        """Send all lines. Raises PhaseError if the role may not write the log."""
        with self._sending:
            while True:
                with self._lock:
                    batch = _batch(self._events)
                    del self._events[: len(batch)]
                if not batch:
                    return
                try:
                    self._send(batch)
                except PhaseError as error:
                    self.error = error
                    raise

    def close(self) -> None:
        """Send the last lines."""
        self._closed.set()
        self._thread.join()
        if self.error is None:
            self._flush_quietly()

    def _ship(self) -> None:
        interval = _FIRST_SECONDS
        while not self._closed.wait(interval) and self.error is None:
            if self._events:
                self._flush_quietly()
                interval = min(interval * 1.5, _LONGEST_SECONDS)

    def _flush_quietly(self) -> None:
        try:
            self.flush()
        except PhaseError:
            return  # `error` has it


def _batch(events: Sequence[Event]) -> list[Event]:
    size, count = 0, 0
    for _, message in events[:_MAX_EVENTS]:
        size += len(message.encode()) + _EVENT_BYTES + 1
        if size > _MAX_BYTES:
            break
        count += 1
    return list(events[:count])


class CloudWatchLog:
    """Sends events to a stream, which it creates, and its group if that is missing."""

    def __init__(self, logs: Any, group: str, stream: str, build_arn: str) -> None:
        self._logs, self._group, self._stream = logs, group, stream
        self._build_arn = build_arn
        self._created = False

    def send(self, events: Sequence[Event]) -> None:
        """Store events. Raises PhaseError with AWS's message."""
        try:
            if not self._created:
                self._create()
            self._logs.put_log_events(
                logGroupName=self._group,
                logStreamName=self._stream,
                logEvents=[{"timestamp": time, "message": f"{text}\n"} for time, text in events],
            )
        except self._logs.exceptions.ClientError as error:
            raise PhaseError(
                "ACCESS_DENIED" if "AccessDenied" in str(error) else "CLIENT_ERROR",
                "Service role does not allow AWS CodeBuild to create Amazon CloudWatch Logs log "
                f"streams for build {self._build_arn}. Error message: {_message(error)}",
            ) from None

    def _create(self) -> None:
        names = {"logGroupName": self._group, "logStreamName": self._stream}
        exceptions = self._logs.exceptions
        try:
            self._logs.create_log_stream(**names)
        except exceptions.ResourceNotFoundException:
            # Another build of the project may create it at the same time.
            with suppress(exceptions.ResourceAlreadyExistsException):
                self._logs.create_log_group(logGroupName=self._group)
            self._logs.create_log_stream(**names)
        except exceptions.ResourceAlreadyExistsException:
            pass
        self._created = True


def _message(error: Any) -> str:
    return str(error.response["Error"]["Message"])
