"""The persistent record of a build: phases and results, in the shape of botocore's `Build`."""

from __future__ import annotations

import copy
import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sandbox.builds.errors import PhaseError
from sandbox.builds.state_changes import build_event, phase_event
from sandbox.contracts.build_record import utc
from sandbox.contracts.service_event import Emit

_TIMES = ("startTime", "endTime", "requestedOn")


class BuildRecord:
    """One build's record, written to `path` after each change. Thread-safe."""

    def __init__(
        self, path: Path, content: dict[str, Any], emit: Emit = lambda _event: None
    ) -> None:
        self._path, self._content, self._emit = path, content, emit
        self._lock = threading.RLock()

    @classmethod
    def load(cls, path: Path, emit: Emit = lambda _event: None) -> Self:
        """Read a record."""
        return cls(path, json.loads(path.read_text(), object_hook=_decode), emit)

    def save(self) -> None:
        """Write the record."""
        temporary = self._path.with_suffix(".new")
        with self._lock:
            temporary.write_text(json.dumps(self._content, default=_encode))
            temporary.replace(self._path)

    def content(self) -> dict[str, Any]:
        """Return a copy."""
        with self._lock:
            return copy.deepcopy(self._content)

    @property
    def id(self) -> str:
        """The build's ID."""
        return str(self._content["id"])

    @property
    def is_complete(self) -> bool:
        """Whether the build has ended."""
        return bool(self._content["buildComplete"])

    @property
    def started(self) -> float:
        """When the build was submitted, in seconds since the epoch."""
        return float(self._content["startTime"].replace(tzinfo=UTC).timestamp())

    def update(self, **members: Any) -> None:
        """Set members of the build."""
        with self._lock:
            self._content.update(members)
            self.save()

    def begin_phase(self, phase: str) -> None:
        """Begin a phase; the previous one has ended."""
        with self._lock:
            self._content["phases"].append({"phaseType": phase, "startTime": utc(time.time())})
            self._content["currentPhase"] = phase
            self.save()

    def end_phase(self, error: PhaseError | None = None) -> None:
        """End the current phase with the reason of its failure."""
        with self._lock:
            phase = self._content["phases"][-1]
            ended = utc(time.time())
            context = {"statusCode": error.code if error else "", "message": ""}
            if error is not None:
                context["message"] = error.message
            phase |= {
                "phaseStatus": error.status if error else "SUCCEEDED",
                "endTime": ended,
                "durationInSeconds": int((ended - phase["startTime"]).total_seconds()),
                "contexts": [context],
            }
            self.save()
            self._report_phase(phase)

    def _report_phase(self, phase: dict[str, Any]) -> None:
        """Send the event of a phase that has ended."""
        self._emit(phase_event(self._content, phase))

    def complete(self, status: str) -> None:
        """End the build."""
        with self._lock:
            moment = utc(time.time())
            if "endTime" not in self._content["phases"][-1]:
                self.end_phase(PhaseError("", "", status=status))
            self._content["phases"].append({"phaseType": "COMPLETED", "startTime": moment})
            self.update(
                buildStatus=status, buildComplete=True, currentPhase="COMPLETED", endTime=moment
            )
            self._emit(build_event(self._content))

    def submitted(self) -> None:
        """Write a new record, and send its first event."""
        with self._lock:
            self.save()
            self._emit(build_event(self._content))

    def fail_interrupted(self, reason: str) -> None:
        """End a build that an ended process has left running."""
        with self._lock:
            if self._content["phases"][-1]["phaseType"] == "COMPLETED":
                self._content["phases"].pop()
            if "endTime" not in self._content["phases"][-1]:
                self.end_phase(PhaseError("INTERNAL_ERROR", reason))
            self.complete("FAILED")


class BatchRecord(BuildRecord):
    """The record of a batch; its last phase is its status. Only its builds send events."""

    @property
    def is_complete(self) -> bool:
        """Whether the batch has ended."""
        return bool(self._content["complete"])

    def _report_phase(self, phase: dict[str, Any]) -> None:
        """Send no event."""

    def complete(self, status: str) -> None:
        """End the batch."""
        with self._lock:
            if "endTime" not in self._content["phases"][-1]:
                self.end_phase(PhaseError("", "", status=status))
            self.begin_phase(status)
            self.end_phase()
            self.update(buildBatchStatus=status, complete=True, endTime=utc(time.time()))


def _encode(value: object) -> object:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).timestamp()
    raise TypeError(type(value).__name__)


def _decode(item: dict[str, Any]) -> dict[str, Any]:
    return {
        name: utc(value) if name in _TIMES and isinstance(value, float) else value
        for name, value in item.items()
    }
