"""A database host without servers: every instance and snapshot is available."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from sandbox.contracts.database_host import DatabaseFacts, DatabaseState


class NullDatabaseHost:
    """For an account that runs alone; its endpoints do not answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.databases: dict[str, DatabaseFacts] = {}
        self.calls: list[str] = []

    def create(self, database: DatabaseFacts) -> None:
        """Record the instance."""
        with self._lock:
            self.calls.append(f"create {database.identifier}")
            self.databases[database.id] = database

    def delete(self, id: str) -> None:
        """Remove the instance."""
        with self._lock:
            database = self.databases.pop(id, None)
            self.calls.append(f"delete {database.identifier if database else id}")

    def reboot(self, id: str) -> None:
        """Record the reboot."""
        self.calls.append(f"reboot {self.databases[id].identifier}")

    def snapshot(self, id: str, snapshot: str) -> None:
        """Record the snapshot."""
        self.calls.append(f"snapshot {self.databases[id].identifier} {snapshot}")

    def copy_snapshot(self, source: str, target: str) -> None:
        """Record the copy."""
        self.calls.append(f"copy {source} {target}")

    def delete_snapshot(self, snapshot: str) -> None:
        """Record the deletion."""
        self.calls.append(f"delete snapshot {snapshot}")

    def reconcile(self, databases: Sequence[DatabaseFacts], snapshots: Sequence[str]) -> None:
        """Keep exactly these instances."""
        with self._lock:
            self.calls.append(f"reconcile {len(databases)} {len(snapshots)}")
            self.databases = {database.id: database for database in databases}

    def state(self, id: str) -> DatabaseState:  # noqa: ARG002
        """Return an available instance."""
        return DatabaseState()

    def snapshot_status(self, snapshot: str) -> str:  # noqa: ARG002
        """Return an available snapshot."""
        return "available"

    def addresses(self) -> Mapping[str, str]:
        """Return no address."""
        return {}
