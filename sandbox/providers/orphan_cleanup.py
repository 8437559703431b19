"""Creations that may outlive the engine that asked for them: noted on disk before it hears of them, and undone when it is gone."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandbox.providers.protocol import Connection, Created, Failure, PartialFailure, Properties, Resource
from sandbox.runtime.home import Home

_log = logging.getLogger(__name__)


class Making:
    """A creation under way in a thread of its own (in a preview without a URN); what it makes is noted, and may be left to undo."""

    def __init__(self, urn: str, create: Callable[[], Created]) -> None:
        self._urn, self._create = urn, create
        self._lock = threading.Lock()
        self._made: tuple[str, Properties] | None = None
        self._then: Callable[[str, Properties], None] | None = None

    def __call__(self) -> Created:
        """Make it."""
        try:
            created = self._create()
        except PartialFailure as failure:
            self._ended(failure.id, failure.state)
            raise
        self._ended(created.id, created.state)
        return created

    def _ended(self, id: str, state: Properties) -> None:
        if id and self._urn and (home := os.environ.get("SANDBOX_HOME")):
            Home(Path(home)).record_created(self._urn.split(":")[2], self._urn, id)
        with self._lock:
            self._made = (id, state)
        if self._then and id and self._urn:
            self._then(id, state)

    def when_made(self, threads: ThreadPoolExecutor, then: Callable[[str, Properties], None]) -> None:
        """Do it now if the creation has ended, else as soon as it has; never if nothing was made."""
        with self._lock:
            self._then, made = then, self._made
        if made and made[0] and self._urn:
            threads.submit(then, *made)


def undo(connection: Connection, resource: Resource, id: str, inputs: Properties, state: Properties) -> None:
    """Delete what was made for an engine that is gone."""
    try:
        connection.delete(resource, id, inputs, state)
        _log.warning("%s: its engine went away while it was made; it was deleted again", resource.urn)
    except Failure as failure:
        _log.error("%s: its engine went away while it was made, and it can't be deleted: %s", resource.urn, failure)
