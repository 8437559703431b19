"""A build runner for an account that runs alone: every build fails, with the reason."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.contracts.batch_record import new_batch
from sandbox.contracts.build_record import failed_build, utc
from sandbox.contracts.build_runner import BatchOrder, BuildOrder

_REASON = "This account runs without a build runner; `python -m sandbox.daemon` has one."


class NullBuildRunner:
    """Implements `BuildRunner`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._builds: dict[str, dict[str, Any]] = {}
        self._batches: dict[str, dict[str, Any]] = {}

    def start(self, order: BuildOrder) -> None:
        """Record a build that has failed before its start."""
        build = failed_build(order, utc(time.time()), "INTERNAL_ERROR", _REASON)
        with self._lock:
            self._builds.setdefault(order.id, build)

    def stop(self, id: str) -> None:
        """Do nothing: every build has ended."""

    def build(self, id: str) -> Mapping[str, Any] | None:
        """Return the record."""
        return self._builds.get(id)

    def builds(self, project: str | None = None) -> Sequence[str]:
        """Return build IDs, newest first."""
        ids = reversed(list(self._builds))
        return [id for id in ids if project is None or id.partition(":")[0] == project]

    def delete(self, id: str) -> None:
        """Delete the record."""
        self._builds.pop(id, None)

    def start_batch(self, order: BatchOrder) -> None:
        """Record a batch that has failed before its start."""
        batch = new_batch(order, utc(time.time()))
        failure = {"statusCode": "INTERNAL_ERROR", "message": _REASON}
        batch["phases"][0] |= {"phaseStatus": "FAILED", "contexts": [failure]}
        batch |= {"buildBatchStatus": "FAILED", "complete": True, "currentPhase": "FAILED"}
        with self._lock:
            self._batches.setdefault(order.id, batch)

    def stop_batch(self, id: str) -> None:
        """Do nothing: every batch has ended."""

    def batch(self, id: str) -> Mapping[str, Any] | None:
        """Return the record."""
        return self._batches.get(id)

    def delete_batch(self, id: str) -> None:
        """Delete the record."""
        self._batches.pop(id, None)
