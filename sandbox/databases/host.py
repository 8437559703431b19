"""All databases of an account, each on its own loopback address."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.contracts.database_host import DatabaseFacts, DatabaseState
from sandbox.databases.errors import ServerError
from sandbox.databases.instance import Instance
from sandbox.databases.log_shipper import LogSink
from sandbox.databases.server import Server
from sandbox.runtime import postgres_user, postmaster
from sandbox.runtime.certificate_authority import CertificateAuthority

_LOG = logging.getLogger(__name__)
_LOG_SECONDS = 1.0
_DELETE_SECONDS, _STOP_SECONDS = 30.0, 15.0


class PostgresHost:
    """Implements `DatabaseHost` in a directory: instances/ID, snapshots/REGION/IDENTIFIER.

    `addresses.json` there has the loopback address of each endpoint's host name.
    """

    def __init__(
        self, directory: Path, authority: CertificateAuthority, logs: LogSink | None = None
    ) -> None:
        self._directory, self._authority, self._logs = directory, authority, logs
        self._lock = threading.RLock()
        self._instances: dict[str, Instance] = {}
        self._snapshots: dict[str, str] = {}
        self._stopping = threading.Event()
        for path in (directory, directory / "instances", directory / "snapshots"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            postgres_user.admit(path)
        threading.Thread(target=self._ship_logs, name="database-logs", daemon=True).start()

    def create(self, database: DatabaseFacts) -> None:
        """Start the instance's server, or reconfigure, rename, stop or start an existing one."""
        with self._lock:
            instance = self._instances.get(database.id)
            if instance is None:
                server = Server(self._directory / "instances" / database.id, self._authority)
                source = self._snapshot_path(database.snapshot) if database.snapshot else None
                instance = self._instances[database.id] = Instance(database, server, source)
            instance.configure(database)
            instance.submit(self._write_addresses)

    def delete(self, id: str) -> None:
        """Stop the server and delete its data; wait until both are done."""
        with self._lock:
            instance = self._instances.pop(id, None)
        if instance is not None:
            instance.end(delete=True, seconds=_DELETE_SECONDS)
            self._write_addresses()

    def reboot(self, id: str) -> None:
        """Restart the server."""
        with self._lock:
            if (instance := self._instances.get(id)) is not None:
                instance.reboot()

    def snapshot(self, id: str, snapshot: str) -> None:
        """Copy the instance's data after the changes before this."""
        with self._lock:
            instance = self._instances[id]
            self._snapshots[snapshot] = "creating"
        path = self._snapshot_path(snapshot)

        def copy() -> None:
            partial = path.with_name(f"{path.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            try:
                self._admit_snapshots(path)
                instance.server.backup(instance.facts, partial)
            except (ServerError, OSError) as error:
                _LOG.error("snapshot %s: %s", snapshot, error)
                shutil.rmtree(partial, ignore_errors=True)
                self._snapshots[snapshot] = "failed"
                return
            partial.rename(path)
            self._snapshots[snapshot] = "available"

        instance.submit(copy)

    def copy_snapshot(self, source: str, target: str) -> None:
        """Copy a snapshot."""
        path, partial = self._snapshot_path(target), self._snapshot_path(f"{target}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            self._admit_snapshots(path)
            command = ["cp", "-a", str(self._snapshot_path(source)), str(partial)]
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            _LOG.error("snapshot %s: %s", target, error)
            self._snapshots[target] = "failed"
            return
        partial.rename(path)
        self._snapshots[target] = "available"

    def delete_snapshot(self, snapshot: str) -> None:
        """Delete a snapshot."""
        self._snapshots.pop(snapshot, None)
        shutil.rmtree(self._snapshot_path(snapshot), ignore_errors=True)

    def reconcile(self, databases: Sequence[DatabaseFacts], snapshots: Sequence[str]) -> None:
        """Run exactly these instances, and keep exactly these snapshots."""
        ids = {database.id for database in databases}
        for id in [*self._instances, *self._stored("instances/*")]:
            if id not in ids:
                self.delete(id)
                postmaster.end(self._directory / "instances" / id / "data")
                shutil.rmtree(self._directory / "instances" / id, ignore_errors=True)
        for path in self._directory.glob("snapshots/*/*"):
            if f"{path.parent.name}/{path.name}" not in snapshots:
                shutil.rmtree(path, ignore_errors=True)
        for snapshot in snapshots:
            exists = self._snapshot_path(snapshot).exists()
            self._snapshots[snapshot] = "available" if exists else "failed"
        for database in databases:
            self.create(database)

    def state(self, id: str) -> DatabaseState:
        """Return the state of an instance."""
        with self._lock:
            instance = self._instances.get(id)
        return instance.state if instance else DatabaseState(status="creating")

    def snapshot_status(self, snapshot: str) -> str:
        """Return "creating", "available" or "failed"."""
        return self._snapshots.get(snapshot, "failed")

    def addresses(self) -> Mapping[str, str]:
        """Return the loopback address of each endpoint's host name."""
        with self._lock:
            instances = list(self._instances.values())
        return {
            instance.facts.host_name: instance.server.address
            for instance in instances
            if instance.server.address
        }

    def endpoints(self) -> Mapping[str, Sequence[int]]:
        """Return the port of each server's loopback address."""
        with self._lock:
            instances = list(self._instances.values())
        return {
            instance.server.address: [instance.facts.port]
            for instance in instances
            if instance.server.address
        }

    def stop(self) -> None:
        """Stop every server; the data stays."""
        self._stopping.set()
        with self._lock:
            instances = list(self._instances.values())
            self._instances.clear()
        threads = [
            threading.Thread(target=instance.end, kwargs={"delete": False, "seconds": 15.0})
            for instance in instances
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_STOP_SECONDS)
        postmaster.end_all(self._directory)

    def _stored(self, pattern: str) -> list[str]:
        return [path.name for path in self._directory.glob(pattern)]

    def _snapshot_path(self, snapshot: str) -> Path:
        return self._directory / "snapshots" / snapshot

    def _admit_snapshots(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, exist_ok=True)

    def _write_addresses(self) -> None:
        with self._lock:
            partial = self._directory / "addresses.partial"
            partial.write_text(json.dumps(dict(self.addresses()), indent=2))
            partial.rename(self._directory / "addresses.json")

    def _ship_logs(self) -> None:
        """Send new log lines of exporting instances once per second."""
        while not self._stopping.wait(_LOG_SECONDS):
            with self._lock:
                instances = list(self._instances.values())
            for instance in instances:
                if instance.facts.log_group and self._logs is not None:
                    self._ship(instance, self._logs)

    def _ship(self, instance: Instance, logs: LogSink) -> None:
        events = instance.log.read()
        if not events:
            return
        facts = instance.facts
        target = (facts.region, facts.log_group, f"{facts.identifier}.0")
        try:
            if logs.put(*target, events):
                return
            # A deleted instance must not create its log group again.
            if facts.id in self._instances:
                logs.create(*target)
                logs.put(*target, events)
        except Exception:  # noqa: BLE001 - the next second tries again
            instance.log.unread()
            _LOG.exception("%s: the log was not exported", facts.identifier)
