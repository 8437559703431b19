"""Protocol between the account and the host of its RDS instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class DatabaseFacts:
    """The configuration of an RDS instance that its server needs.

    `id` is the DbiResourceId, which a rename keeps; `host_name` is the name in the endpoint.
    `engine_version` is the instance's ("17.10"); `name` is the database to create, "" for none.
    `parameters` are those of the parameter group; `deferred` names the ones that wait for a reboot.
    `log_group` receives the server's log; "" if it is not exported.
    `snapshot` is the snapshot (`region/identifier`) that a new server's data comes from.
    """

    id: str
    arn: str
    identifier: str
    region: str
    host_name: str
    port: int
    engine_version: str
    username: str
    password: str = field(repr=False)
    name: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    deferred: frozenset[str] = frozenset()
    log_group: str = ""
    running: bool = True
    snapshot: str = ""


@dataclass(frozen=True, kw_only=True)
class DatabaseState:
    """An instance's RDS status, and one sentence each: why it failed, which version differs.

    `pending_reboot` tells whether a changed parameter waits for a reboot.
    """

    status: str = "available"
    reason: str = ""
    notice: str = ""
    pending_reboot: bool = False


class DatabaseHost(Protocol):
    """Runs the servers of RDS instances.

    Methods are thread-safe and idempotent and return at once; the work follows in order for each
    instance. Instances are named by `DatabaseFacts.id`, snapshots by `region/identifier`.
    """

    def create(self, database: DatabaseFacts) -> None:
        """Start the instance's server, or reconfigure, rename, stop or start an existing one."""
        ...

    def delete(self, id: str) -> None:
        """Stop the server and delete its data; an unknown instance is ignored."""
        ...

    def reboot(self, id: str) -> None:
        """Restart the server, which applies every parameter."""
        ...

    def snapshot(self, id: str, snapshot: str) -> None:
        """Copy the instance's data."""
        ...

    def copy_snapshot(self, source: str, target: str) -> None:
        """Copy a snapshot."""
        ...

    def delete_snapshot(self, snapshot: str) -> None:
        """Delete a snapshot; an unknown one is ignored."""
        ...

    def reconcile(self, databases: Sequence[DatabaseFacts], snapshots: Sequence[str]) -> None:
        """After a restart, run exactly these instances and keep exactly these snapshots."""
        ...

    def state(self, id: str) -> DatabaseState:
        """Return the state of an instance."""
        ...

    def snapshot_status(self, snapshot: str) -> str:
        """Return "creating", "available" or "failed"."""
        ...

    def addresses(self) -> Mapping[str, str]:
        """Return the loopback address of each endpoint's host name."""
        ...
