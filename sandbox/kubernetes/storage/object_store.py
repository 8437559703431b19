"""Where a cluster's objects live: in memory for reading, in SQLite at every write, with a history for watches.

A write returns only after its transaction is committed (WAL, so it survives the death of the process). Objects are
copied at the border: what the store hands out is the caller's own.
"""

from __future__ import annotations

import copy
import json
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]
_HISTORY = 4000


@dataclass(frozen=True)
class Key:
    """An object's place: the qualified plural (`deployments.apps`), its namespace ("" for none) and its name."""

    resource: str
    namespace: str
    name: str


@dataclass(frozen=True)
class Event:
    """One change: ADDED, MODIFIED or DELETED, with the object before (None for ADDED) and after it."""

    revision: int
    type: str
    key: Key
    object: Json
    before: Json | None


class TooOldError(Exception):
    """The history no longer reaches back to the wanted revision."""


class Store:
    """The objects of one cluster. Every write takes `lock`, which callers may hold over several steps."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS objects (resource TEXT, namespace TEXT, name TEXT, document TEXT,"
            " PRIMARY KEY (resource, namespace, name))"
        )
        self._database.execute("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT)")
        self._objects: dict[Key, Json] = {
            Key(resource, namespace, name): json.loads(document)
            for resource, namespace, name, document in self._database.execute("SELECT * FROM objects")
        }
        row = self._database.execute("SELECT value FROM meta WHERE name = 'revision'").fetchone()
        self.revision = int(row[0]) if row else 0
        self._oldest = self.revision
        self._history: deque[Event] = deque()
        self._listeners: list[Callable[[Event], None]] = []
        self.closed = False

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` after each write, under the lock: it must be quick and must not write."""
        self._listeners.append(listener)

    def get(self, key: Key) -> Json | None:
        """Return a copy of an object, or None."""
        with self.lock:
            found = self._objects.get(key)
            return copy.deepcopy(found) if found is not None else None

    def exists(self, key: Key) -> bool:
        """Say whether there is such an object."""
        return key in self._objects

    def listed(self, resource: str, namespace: str = "") -> list[Json]:
        """Return copies of the objects of a type, in one namespace or ("") all, sorted by namespace and name."""
        with self.lock:
            keys = [k for k in self._objects if k.resource == resource and namespace in ("", k.namespace)]
            keys.sort(key=lambda k: (k.namespace, k.name))
            return [copy.deepcopy(self._objects[k]) for k in keys]

    def places(self) -> list[Key]:
        """Return the place of every object."""
        with self.lock:
            return list(self._objects)

    def uids(self) -> set[str]:
        """Return the uid of every object."""
        with self.lock:
            return {str(item["metadata"]["uid"]) for item in self._objects.values()}

    def put(self, key: Key, document: Json) -> Json:
        """Store an object under a new resource version, which is set in the copy that is returned."""
        with self.lock:
            before = self._objects.get(key)
            document = copy.deepcopy(document)
            document["metadata"]["resourceVersion"] = str(self.revision + 1)
            with self._transaction():
                self._database.execute(
                    "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)",
                    (key.resource, key.namespace, key.name, json.dumps(document)),
                )
            self._objects[key] = document
            self._publish("MODIFIED" if before is not None else "ADDED", key, document, before)
            return copy.deepcopy(document)

    def remove(self, key: Key) -> Json:
        """Remove an object and return its last state."""
        with self.lock:
            before = self._objects[key]
            gone = copy.deepcopy(before)
            gone["metadata"]["resourceVersion"] = str(self.revision + 1)
            with self._transaction():
                self._database.execute(
                    "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?",
                    (key.resource, key.namespace, key.name),
                )
            del self._objects[key]
            self._publish("DELETED", key, gone, before)
            return copy.deepcopy(gone)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN")
        try:
            yield
            self._database.execute("INSERT OR REPLACE INTO meta VALUES ('revision', ?)", (str(self.revision + 1),))
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")
        self.revision += 1

    def _publish(self, kind: str, key: Key, document: Json, before: Json | None) -> None:
        event = Event(self.revision, kind, key, document, before)
        self._history.append(event)
        if len(self._history) > _HISTORY:
            self._oldest = self._history.popleft().revision
        for listener in self._listeners:
            listener(event)
        self._changed.notify_all()

    def since(self, revision: int, timeout: float) -> list[Event]:
        """Return the changes after `revision`, waiting up to `timeout` seconds for the first.

        Raises TooOldError when the history doesn't reach back that far. Events are shared: don't change them.
        """
        with self._changed:
            if revision < self._oldest:
                raise TooOldError(f"too old resource version: {revision} ({self._oldest + 1})")
            if revision >= self.revision and not self.closed:
                self._changed.wait(timeout)
            found: list[Event] = []
            for event in reversed(self._history):
                if event.revision <= revision:
                    break
                found.append(event)
            return found[::-1]

    def close(self) -> None:
        """Release watchers and the file."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
            self._database.close()
