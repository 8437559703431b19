"""One RDS instance: its work in order in a thread, and its supervision."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sandbox.contracts.database_host import DatabaseFacts, DatabaseState
from sandbox.databases.errors import ServerError
from sandbox.databases.log_shipper import LogFile
from sandbox.databases.server import Server

_LOG = logging.getLogger(__name__)
_CHECK_SECONDS = 0.2
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 0.2, 30.0


class Instance:
    """Runs jobs one after the other; between them it restarts a server that has ended.

    A server that never started is not retried: `reboot` or a modification does that.
    """

    def __init__(self, facts: DatabaseFacts, server: Server, snapshot: Path | None) -> None:
        self.facts = self._wanted = facts  # applied; to be applied
        self.server = server
        self.log = LogFile(server.log)
        self._snapshot = snapshot
        self._state = DatabaseState(status="creating")
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._retry_at, self._retry_seconds = 0.0, _FIRST_RETRY_SECONDS
        self._was_available = False
        self._thread = threading.Thread(target=self._run, name=f"database-{facts.identifier}")
        self._thread.daemon = True
        self._thread.start()

    @property
    def state(self) -> DatabaseState:
        """The instance's state."""
        return self._state

    def configure(self, facts: DatabaseFacts) -> None:
        """Start, stop or reconfigure the server."""
        if facts == self._wanted and self._state.status in {"available", "stopped"}:
            return
        status = "modifying" if facts.running else "stopping"
        if self._state.status == "stopped" and facts.running:
            status = "starting"
        if self._state.status != "creating":
            self._state = DatabaseState(status=status, notice=self._state.notice)
        self._wanted = facts
        self._submit(lambda: self._configure(facts))

    def reboot(self) -> None:
        """Restart the server."""
        self._state = DatabaseState(status="rebooting", notice=self._state.notice)
        self._submit(self._restart)

    def submit(self, job: Callable[[], None]) -> None:
        """Run a job after those before it; it handles its errors."""
        self._jobs.put(job)

    def end(self, *, delete: bool, seconds: float) -> None:
        """End the server and the thread after the jobs before this; wait up to `seconds`."""
        self.submit(self.server.delete if delete else self.server.stop)
        self._jobs.put(None)
        self._thread.join(seconds)

    def _submit(self, job: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                job()
            except ServerError as error:
                self._fail(error)

        self.submit(guarded)

    def _run(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=_CHECK_SECONDS)
            except queue.Empty:
                job = self._supervise
            if job is None:
                return
            try:
                job()
            except Exception:  # noqa: BLE001 - the thread must survive
                _LOG.exception("%s: a job failed", self.facts.identifier)
                self._fail(ServerError("failed", "the sandbox failed; its log has the reason"))

    def _configure(self, facts: DatabaseFacts) -> None:
        port_changed, self.facts = facts.port != self.facts.port, facts
        if not facts.running:
            self.server.stop()
            self._state = DatabaseState(status="stopped", notice=self._state.notice)
        elif port_changed or not (self.server.is_running or self.server.adopt()):
            self._restart()
        else:
            self._was_available = True
            pending = self.server.reconfigure(facts)
            self._state = DatabaseState(notice=self._notice(), pending_reboot=pending)

    def _restart(self) -> None:
        self.server.stop()
        self.server.start(self.facts, self._snapshot)
        self._was_available = True
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._state = DatabaseState(notice=self._notice())
        _LOG.info(
            "%s: PostgreSQL %s accepts connections on %s:%s",
            self.facts.identifier,
            self.server.version,
            self.server.address,
            self.facts.port,
        )

    def _notice(self) -> str:
        """Say which version runs if it is not the instance's."""
        if self.server.version == self.facts.engine_version:
            return ""
        return f"PostgreSQL {self.server.version} runs instead of {self.facts.engine_version}"

    def _fail(self, error: ServerError) -> None:
        _LOG.error("%s: %s", self.facts.identifier, error.reason)
        self._state = DatabaseState(status=error.status, reason=error.reason)
        self._retry_at = time.monotonic() + self._retry_seconds
        self._retry_seconds = min(self._retry_seconds * 2, _LAST_RETRY_SECONDS)

    def _supervise(self) -> None:
        """Restart a server that has ended."""
        expected = self.facts.running and self._was_available
        if not expected or self.server.is_running or time.monotonic() < self._retry_at:
            return
        if self._state.status == "available":
            _LOG.error("%s: PostgreSQL has ended; restarting it", self.facts.identifier)
            self._state = DatabaseState(status="rebooting", notice=self._state.notice)
        try:
            self._restart()
        except ServerError as error:
            self._fail(error)
