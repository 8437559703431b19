"""Deletes resources whose engine died while they were created."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandbox.providers.protocol import (
    Connection,
    Created,
    Failure,
    PartialFailure,
    Properties,
    Resource,
)
from sandbox.runtime.home import Home

_log = logging.getLogger(__name__)


class Making:
    """A creation in its own thread (without URN in a preview); it can be undone."""

    def __init__(self, urn: str, create: Callable[[], Created]) -> None:
        self._urn, self._create = urn, create
        self._lock = threading.Lock()
        self._made: tuple[str, Properties] | None = None
        self._then: Callable[[str, Properties], None] | None = None

    def __call__(self) -> Created:
        """Create the resource."""
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

    def when_made(
        self, threads: ThreadPoolExecutor, then: Callable[[str, Properties], None]
    ) -> None:
        """Undo now if the creation has ended, otherwise when it ends."""
        with self._lock:
            self._then, made = then, self._made
        if made and made[0] and self._urn:
            threads.submit(then, *made)


def undo(
    connection: Connection, resource: Resource, id: str, inputs: Properties, state: Properties
) -> None:
    """Delete a resource whose engine has died."""
    try:
        connection.delete(resource, id, inputs, state)
        _log.warning("%s: its engine died while it was created; it was deleted", resource.urn)
    except Failure as failure:
        _log.error(
            "%s: its engine died while it was created, and it cannot be deleted: %s",
            resource.urn,
            failure,
        )
