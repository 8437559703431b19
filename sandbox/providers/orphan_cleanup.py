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


class Creation:
    """A creation in its own thread (without URN in a preview); it can be undone."""

    def __init__(self, urn: str, create: Callable[[], Created]) -> None:
        self._urn, self._create = urn, create
        self._lock = threading.Lock()
        self._created: tuple[str, Properties] | None = None
        self._then: Callable[[str, Properties], None] | None = None

    def __call__(self) -> Created:
        """Create the resource."""
        try:
            created = self._create()
        except PartialFailure as failure:
            self._record_end(failure.id, failure.state)
            raise
        self._record_end(created.id, created.state)
        return created

    def _record_end(self, id: str, state: Properties) -> None:
        if id and self._urn and (home := os.environ.get("SANDBOX_HOME")):
            Home(Path(home)).record_created(self._urn.split(":")[2], self._urn, id)
        with self._lock:
            self._created = (id, state)
        if self._then and id and self._urn:
            self._then(id, state)

    def when_created(
        self, threads: ThreadPoolExecutor, then: Callable[[str, Properties], None]
    ) -> None:
        """Undo now if the creation has ended, otherwise when it ends."""
        with self._lock:
            self._then, result = then, self._created
        if result and result[0] and self._urn:
            threads.submit(then, *result)


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
