"""The objects that were created through a cluster's endpoint, which its deletion deletes."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from sandbox.kubernetes.apiserver.resource_paths import ResourcePath
from sandbox.runtime.damage import DamagedFileError

_NAMESPACES = "/api/v1/namespaces/"


class OwnedObjects:
    """Paths of namespaces, and of objects outside them, in a file."""

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file, threading.Lock()
        try:
            self._paths: set[str] = set(json.loads(file.read_text())) if file.exists() else set()
        except (OSError, ValueError) as error:
            raise DamagedFileError(file, error) from error

    def created(self, path: ResourcePath, name: str) -> None:
        """Record an object; its namespace's record is enough for those in owned namespaces."""
        with self._lock:
            if f"{_NAMESPACES}{path.namespace}" not in self._paths:
                self._write(self._paths | {path.object_path(name)})

    def deleted(self, path: ResourcePath) -> None:
        """Remove the record of an object."""
        with self._lock:
            if path.object_path() in self._paths:
                self._write(self._paths - {path.object_path()})

    def paths(self) -> list[str]:
        """Return the recorded paths."""
        with self._lock:
            return sorted(self._paths)

    def namespaces(self) -> list[str]:
        """Return the names of the recorded namespaces."""
        return [
            path.removeprefix(_NAMESPACES)
            for path in self.paths()
            if path.startswith(_NAMESPACES) and path.count("/") == _NAMESPACES.count("/")
        ]

    def _write(self, paths: set[str]) -> None:
        temporary = self._file.with_suffix(".new")
        temporary.write_text(json.dumps(sorted(paths)))
        temporary.replace(self._file)
        self._paths = paths
