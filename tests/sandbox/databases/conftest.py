"""A database host in a directory that the server's user can enter, and connections to it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sandbox.contracts.database_host import DatabaseFacts, DatabaseState
from sandbox.databases import programs
from sandbox.databases.errors import ServerError
from sandbox.databases.host import PostgresHost
from sandbox.databases.log_shipper import LogEvent
from sandbox.runtime import postmaster
from sandbox.runtime.certificate_authority import CertificateAuthority

# A version that Debian 12 has, so that no package is downloaded there.
VERSION = "15.18"
PASSWORD = "it's-a-secret-4711"
FACTS = DatabaseFacts(
    id="db-ONE",
    arn="arn:aws:rds:us-east-1:123456789012:db:one",
    identifier="one",
    region="us-east-1",
    host_name="one.aaaaaaaaaa.us-east-1.rds.amazonaws.com",
    port=5439,
    engine_version=VERSION,
    username="platform",
    password=PASSWORD,
    name="guestbook",
)
SECOND = replace(
    FACTS,
    id="db-TWO",
    identifier="two",
    host_name="two.aaaaaaaaaa.us-east-1.rds.amazonaws.com",
)


class RecordedLogs:
    """Log groups in memory; only created ones accept events."""

    def __init__(self) -> None:
        self.groups: dict[str, list[LogEvent]] = {}

    def put(self, region: str, group: str, stream: str, events: Sequence[LogEvent]) -> bool:
        if f"{region} {group} {stream}" not in self.groups:
            return False
        self.groups[f"{region} {group} {stream}"] += events
        return True

    def create(self, region: str, group: str, stream: str) -> None:
        self.groups[f"{region} {group} {stream}"] = []


class Databases:
    """A host and what tests need of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.logs = RecordedLogs()
        self.authority = CertificateAuthority(directory / "tls")
        self.host = self.start()

    def start(self) -> PostgresHost:
        self.host = PostgresHost(self.directory / "databases", self.authority, self.logs)
        return self.host

    def create(self, facts: DatabaseFacts) -> DatabaseState:
        self.host.create(facts)
        return self.settled(facts)

    def settled(self, facts: DatabaseFacts) -> DatabaseState:
        """Return the state once the host has finished."""
        busy = {"creating", "modifying", "rebooting", "starting", "stopping"}
        state: DatabaseState = until(
            lambda: self.host.state(facts.id), lambda state: state.status not in busy
        )
        return state

    def instance(self, facts: DatabaseFacts) -> Path:
        return self.directory / "databases" / "instances" / facts.id

    def pid(self, facts: DatabaseFacts) -> int | None:
        return postmaster.find(self.instance(facts) / "data")

    def connect(self, facts: DatabaseFacts, **changes: Any) -> psycopg.Connection[Any]:
        options: dict[str, Any] = {
            "host": facts.host_name,
            "hostaddr": self.host.addresses()[facts.host_name],
            "port": facts.port,
            "user": facts.username,
            "password": facts.password,
            "dbname": facts.name or "postgres",
            "sslmode": "verify-full",
            "sslrootcert": str(self.authority.certificate),
            "connect_timeout": 5,
            "autocommit": True,
        }
        return psycopg.connect(**{**options, **changes})

    def query(self, facts: DatabaseFacts, statement: str, **changes: Any) -> Any:
        with self.connect(facts, **changes) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else None


def until(read: Callable[[], Any], done: Callable[[Any], bool], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not done(value := read()):
        assert time.monotonic() < deadline, value
        time.sleep(0.02)
    return value


@pytest.fixture
def databases() -> Iterator[Databases]:
    """A running host, in a directory outside pytest's, which only its user can enter."""
    try:
        programs.select(VERSION.partition(".")[0])
    except ServerError as error:
        if os.environ.get("REQUIRE_POSTGRES"):
            pytest.fail(error.reason)
        pytest.skip(error.reason)
    directory = Path(tempfile.mkdtemp(prefix="databases-"))
    directory.chmod(0o711)
    running = Databases(directory)
    try:
        yield running
    finally:
        running.host.stop()
        shutil.rmtree(directory, ignore_errors=True)
