"""Stores a cluster's objects: reads from memory, writes to SQLite, and a history for watches.

A write returns after its transaction is committed (WAL), so it survives a crash of the process.
Objects are copied on the way in and out.
"""

from __future__ import annotations

import copy
import json
import sqlite3
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.runtime.damage import KEEP_READABLE, DamagedFileError

Json = dict[str, Any]
_HISTORY = 4000


@dataclass(frozen=True)
class Key:
    """An object's key: group resource (`deployments.apps`), namespace ("" for none) and name."""

    resource: str
    namespace: str
    name: str


@dataclass(frozen=True)
class Event:
    """A change (ADDED, MODIFIED, DELETED); `before` is None for ADDED."""

    revision: int
    type: str
    key: Key
    object: Json
    before: Json | None


class ExpiredRevisionError(Exception):
    """The history no longer contains the requested revision."""


class ObjectStore:
    """The objects of one cluster. Each write takes `lock`, which callers may hold over several
    steps.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the database. Raises DamagedFileError for an unreadable one."""
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        try:
            self._database = _open(path)
            rows = self._database.execute(
                "SELECT resource, namespace, name, document, checksum FROM objects"
            ).fetchall()
            self._objects = {
                Key(resource, namespace, name): _document(name, text, checksum)
                for resource, namespace, name, text, checksum in rows
            }
            row = self._database.execute(
                "SELECT value FROM meta WHERE name = 'revision'"
            ).fetchone()
            self.revision = int(row[0]) if row else 0
        except (sqlite3.Error, OSError, ValueError) as error:
            raise DamagedFileError(path, error, KEEP_READABLE) from error
        self._oldest = self.revision
        self._history: deque[Event] = deque()
        self._listeners: list[Callable[[Event], None]] = []
        self.closed = False

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` after each write under the lock; it must be fast and must not write."""
        self._listeners.append(listener)

    def get(self, key: Key) -> Json | None:
        """Return a copy of an object, or None."""
        with self.lock:
            document = self._objects.get(key)
            return copy.deepcopy(document) if document is not None else None

    def exists(self, key: Key) -> bool:
        """Return whether an object exists."""
        return key in self._objects

    def list_objects(self, resource: str, namespace: str = "") -> list[Json]:
        """Return copies of a type's objects in one namespace or ("") all, sorted by namespace and
        name.
        """
        with self.lock:
            keys = [
                k
                for k in self._objects
                if k.resource == resource and namespace in ("", k.namespace)
            ]
            keys.sort(key=lambda k: (k.namespace, k.name))
            return [copy.deepcopy(self._objects[k]) for k in keys]

    def list_keys(self) -> list[Key]:
        """Return the key of each object."""
        with self.lock:
            return list(self._objects)

    def put(self, key: Key, document: Json) -> Json:
        """Store an object and return a copy with its new resource version."""
        with self.lock:
            before = self._objects.get(key)
            document = copy.deepcopy(document)
            document["metadata"]["resourceVersion"] = str(self.revision + 1)
            text = json.dumps(document)
            with self._transaction():
                self._database.execute(
                    "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)",
                    (key.resource, key.namespace, key.name, text, zlib.crc32(text.encode())),
                )
            self._objects[key] = document
            self._publish("MODIFIED" if before is not None else "ADDED", key, document, before)
            return copy.deepcopy(document)

    def remove(self, key: Key) -> Json:
        """Remove an object and return its last state."""
        with self.lock:
            before = self._objects[key]
            removed = copy.deepcopy(before)
            removed["metadata"]["resourceVersion"] = str(self.revision + 1)
            with self._transaction():
                self._database.execute(
                    "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?",
                    (key.resource, key.namespace, key.name),
                )
            del self._objects[key]
            self._publish("DELETED", key, removed, before)
            return copy.deepcopy(removed)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN")
        try:
            yield
            self._database.execute(
                "INSERT OR REPLACE INTO meta VALUES ('revision', ?)", (str(self.revision + 1),)
            )
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

    def events_since(self, revision: int, timeout: float) -> list[Event]:
        """Return the changes after `revision`; wait up to `timeout` seconds for the first.

        Raises ExpiredRevisionError when the history starts later. Events are shared: do not modify
        them.
        """
        with self._changed:
            if revision < self._oldest:
                raise ExpiredRevisionError(
                    f"too old resource version: {revision} ({self._oldest + 1})"
                )
            if revision >= self.revision and not self.closed:
                self._changed.wait(timeout)
            events: list[Event] = []
            for event in reversed(self._history):
                if event.revision <= revision:
                    break
                events.append(event)
            return events[::-1]

    def close(self) -> None:
        """Release watchers and close the database."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
            self._database.close()


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute(
        "CREATE TABLE IF NOT EXISTS objects (resource TEXT, namespace TEXT, name TEXT, "
        "document TEXT, checksum INTEGER,"
        " PRIMARY KEY (resource, namespace, name))"
    )
    database.execute("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT)")
    columns = [row[1] for row in database.execute("PRAGMA table_info(objects)")]
    if "checksum" not in columns:  # of an older version
        database.execute("ALTER TABLE objects ADD COLUMN checksum INTEGER")
    problem = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if problem != "ok":
        raise ValueError(" ".join(problem.split()))
    return database


def _document(name: str, text: str, checksum: int | None) -> Json:
    if checksum is not None and zlib.crc32(text.encode()) != checksum:
        raise ValueError(f"the checksum of object {name} is wrong")
    document: Json = json.loads(text)
    return document
