"""Runs the account's builds in threads of the background process."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.builds.batches import BatchRunner
from sandbox.builds.build import Build, Surroundings
from sandbox.builds.errors import StoppedError
from sandbox.builds.record import BuildRecord
from sandbox.contracts.build_record import new_build, utc
from sandbox.contracts.build_runner import BatchOrder, BuildOrder
from sandbox.runtime import build_processes

_CONCURRENT = 8
_STOP_SECONDS = 10.0
_INTERRUPTED = "The background process of the sandbox ended during the build."


class LocalBuildRunner:
    """Implements `BuildRunner`; each build has a directory below `directory`.

    A record is written before `start` returns, so the account never has a build without one.
    """

    def __init__(self, directory: Path, surroundings: Surroundings) -> None:
        self._directory, self._surroundings = directory, surroundings
        self._lock = threading.RLock()
        self._records: dict[str, BuildRecord] = {}
        self._running: dict[str, Build] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._stops: dict[str, StoppedError] = {}
        self._slots = threading.Condition(self._lock)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        build_processes.end_all(directory)
        self._batches = BatchRunner(directory, surroundings, self.build)
        self._restore()
        self._batches.restore(_INTERRUPTED)

    def start(self, order: BuildOrder) -> None:
        """Queue a build; an ID that is known is ignored."""
        with self._lock:
            if order.id in self._records:
                return
            path = self._path(order.id)
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            record = BuildRecord(
                path / "build.json",
                new_build(order, utc(time.time())),
                self._surroundings.emit,
            )
            record.submitted()
            self._records[order.id] = record
            thread = threading.Thread(
                target=self._run, args=(order, record), name=f"build {order.id}", daemon=True
            )
            self._threads[order.id] = thread
            thread.start()

    def stop(self, id: str) -> None:
        """Stop a build; one that has ended is ignored."""
        self._stop(id, StoppedError("STOPPED", "Build was stopped."))

    def build(self, id: str) -> Mapping[str, Any] | None:
        """Return a build in the shape of botocore's `Build`, or None if the ID is unknown."""
        record = self._records.get(id)
        return record.content() if record is not None else None

    def builds(self, project: str | None = None) -> Sequence[str]:
        """Return build IDs, newest first."""
        with self._lock:
            records = sorted(self._records.values(), key=lambda record: -record.started)
        return [r.id for r in records if project is None or r.id.partition(":")[0] == project]

    def delete(self, id: str) -> None:
        """Stop a build and delete its record; an unknown ID is ignored."""
        self.stop(id)
        self._join([id])
        with self._lock:
            self._records.pop(id, None)
        shutil.rmtree(self._path(id), ignore_errors=True)

    def start_batch(self, order: BatchOrder) -> None:
        """Start a batch; an ID that is known is ignored."""
        self._batches.start(order)

    def stop_batch(self, id: str) -> None:
        """Stop a batch and its builds; one that has ended is ignored."""
        self._batches.stop(id)

    def batch(self, id: str) -> Mapping[str, Any] | None:
        """Return a batch in the shape of botocore's `BuildBatch`, or None if it is unknown."""
        return self._batches.batch(id)

    def delete_batch(self, id: str) -> None:
        """Delete a batch's record; an unknown ID is ignored."""
        self._batches.delete(id)

    def close(self) -> None:
        """Stop all builds, which end as failed, and wait for their processes."""
        self._batches.close(_INTERRUPTED)
        with self._lock:
            ids = list(self._threads)
        for id in ids:
            self._stop(id, StoppedError("FAILED", _INTERRUPTED))
        self._join(ids)

    def _stop(self, id: str, error: StoppedError) -> None:
        with self._lock:
            if id not in self._threads:
                return
            self._stops.setdefault(id, error)
            self._slots.notify_all()
            build = self._running.get(id)
        if build is not None:
            build.stop(error)

    def _join(self, ids: Sequence[str]) -> None:
        deadline = time.monotonic() + _STOP_SECONDS
        for id in ids:
            if (thread := self._threads.get(id)) is not None:
                thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, order: BuildOrder, record: BuildRecord) -> None:
        try:
            build = self._dequeue(order, record)
            if build is not None:
                build.run()
        finally:
            with self._lock:
                self._running.pop(order.id, None)
                self._threads.pop(order.id, None)
                self._stops.pop(order.id, None)
                self._slots.notify_all()

    def _dequeue(self, order: BuildOrder, record: BuildRecord) -> Build | None:
        """Wait for a slot; return None for a build that was stopped or queued for too long."""
        deadline = time.monotonic() + 60 * order.project["queuedTimeoutInMinutes"]
        with self._lock:
            while len(self._running) >= _CONCURRENT and order.id not in self._stops:
                if not self._slots.wait(max(0.0, deadline - time.monotonic())):
                    self._stops[order.id] = StoppedError("TIMED_OUT", "Build timed out in queue.")
            if (stopped := self._stops.get(order.id)) is not None:
                record.end_phase(stopped)
                record.complete(stopped.status)
                return None
            record.end_phase()
            directory = self._path(order.id) / "work"
            build = Build(
                order=order, record=record, directory=directory, surroundings=self._surroundings
            )
            self._running[order.id] = build
            return build

    def _restore(self) -> None:
        """Read the records; fail the builds of an ended process and end what is left of them."""
        for path in sorted(self._directory.glob("*/build.json")):
            try:
                record = BuildRecord.load(path, self._surroundings.emit)
            except ValueError:
                continue  # a machine that lost power may leave an empty file
            if not record.is_complete:
                record.fail_interrupted(_INTERRUPTED)
            shutil.rmtree(path.parent / "work", ignore_errors=True)
            self._records[record.id] = record

    def _path(self, id: str) -> Path:
        return self._directory / id.partition(":")[2]
