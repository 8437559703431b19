"""Data survives stops and crashes, is restored from snapshots, and is deleted with its instance."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.runtime import postmaster
from tests.sandbox.databases.conftest import FACTS, SECOND, Databases, until

_ROWS = "SELECT i FROM t ORDER BY i"


def test_killed_server_is_restarted_with_its_data(databases: Databases) -> None:
    databases.create(FACTS)
    databases.query(FACTS, "CREATE TABLE t AS SELECT 7 AS i")
    pid = databases.pid(FACTS)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: databases.pid(FACTS), lambda new: new not in {None, pid})
    assert databases.settled(FACTS).status == "available"
    assert databases.query(FACTS, _ROWS) == [(7,)]


def test_stopped_host_ends_its_servers_and_the_next_one_continues(databases: Databases) -> None:
    databases.create(FACTS)
    databases.query(FACTS, "CREATE TABLE t AS SELECT 7 AS i")
    address = databases.host.addresses()[FACTS.host_name]
    databases.host.stop()
    assert databases.pid(FACTS) is None
    databases.start()
    databases.host.reconcile([FACTS], [])
    assert databases.settled(FACTS).status == "available"
    assert databases.query(FACTS, _ROWS) == [(7,)]
    assert databases.host.addresses()[FACTS.host_name] == address


def _server_of_a_killed_host(databases: Databases) -> int:
    """Stop the host, run one in a process that is killed, and return its server's process ID."""
    databases.host.stop()
    program = f"""
        import os, signal, sys, time
        from pathlib import Path
        sys.path.insert(0, {str(Path.cwd())!r})
        from sandbox.databases.host import PostgresHost
        from sandbox.runtime.certificate_authority import CertificateAuthority
        from tests.sandbox.databases.conftest import FACTS
        directory = Path({str(databases.directory)!r})
        authority = CertificateAuthority(directory / "tls")
        host = PostgresHost(directory / "databases", authority)
        host.reconcile([FACTS], [])
        while host.state(FACTS.id).status != "available":
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    assert subprocess.run(command, check=False, timeout=120).returncode == -signal.SIGKILL
    pid = databases.pid(FACTS)
    assert pid is not None
    return pid


def test_server_of_a_killed_host_is_adopted_and_supervised(databases: Databases) -> None:
    databases.create(FACTS)
    databases.query(FACTS, "CREATE TABLE t AS SELECT 7 AS i")
    orphan = _server_of_a_killed_host(databases)
    databases.start()
    databases.host.reconcile([FACTS], [])
    assert databases.settled(FACTS).status == "available"
    assert databases.query(FACTS, _ROWS) == [(7,)]
    assert databases.pid(FACTS) == orphan
    changed = replace(FACTS, password="of-the-next-host", parameters={"work_mem": "8192"})
    databases.create(changed)
    assert databases.query(changed, "SHOW work_mem") == [("8MB",)]
    os.kill(orphan, signal.SIGKILL)
    until(lambda: databases.pid(FACTS), lambda new: new not in {None, orphan})
    assert databases.settled(FACTS).status == "available"
    assert databases.query(changed, _ROWS) == [(7,)]


def test_server_without_an_instance_is_ended(databases: Databases) -> None:
    databases.create(FACTS)
    orphan = _server_of_a_killed_host(databases)
    databases.start().reconcile([], [])
    assert postmaster.command(orphan) == ""
    assert not databases.instance(FACTS).exists()


def test_snapshot_is_restored_with_the_data_of_its_time(databases: Databases) -> None:
    databases.create(FACTS)
    databases.query(FACTS, "CREATE TABLE t AS SELECT 7 AS i")
    databases.host.snapshot(FACTS.id, "us-east-1/before")
    until(lambda: databases.host.snapshot_status("us-east-1/before"), "available".__eq__)
    databases.query(FACTS, "INSERT INTO t VALUES (8)")
    restored = replace(SECOND, snapshot="us-east-1/before", password="of-the-restored-one")
    assert databases.create(restored).status == "available"
    assert databases.query(restored, _ROWS) == [(7,)]
    assert databases.query(FACTS, _ROWS) == [(7,), (8,)]
    missing = replace(SECOND, id="db-THREE", snapshot="us-east-1/other")
    assert "snapshot is missing" in databases.create(missing).reason


def test_final_snapshot_outlives_the_instance_whose_directory_is_deleted(
    databases: Databases,
) -> None:
    databases.create(FACTS)
    databases.query(FACTS, "CREATE TABLE t AS SELECT 7 AS i")
    databases.host.snapshot(FACTS.id, "us-east-1/final")
    databases.host.delete(FACTS.id)
    assert not databases.instance(FACTS).exists()
    assert databases.host.addresses() == {}
    assert databases.create(replace(SECOND, snapshot="us-east-1/final")).status == "available"
    assert databases.query(SECOND, _ROWS) == [(7,)]
    databases.host.delete_snapshot("us-east-1/final")
    assert not list((databases.directory / "databases" / "snapshots").glob("*/*"))


def test_stopped_instance_keeps_its_data_without_a_process(databases: Databases) -> None:
    databases.create(FACTS)
    databases.query(FACTS, "CREATE TABLE t AS SELECT 7 AS i")
    assert databases.create(replace(FACTS, running=False)).status == "stopped"
    assert databases.pid(FACTS) is None
    assert databases.create(FACTS).status == "available"
    assert databases.query(FACTS, _ROWS) == [(7,)]


def test_reconcile_deletes_instances_and_snapshots_of_nobody(databases: Databases) -> None:
    databases.create(FACTS)
    databases.host.snapshot(FACTS.id, "us-east-1/old")
    until(lambda: databases.host.snapshot_status("us-east-1/old"), "available".__eq__)
    databases.host.stop()
    databases.start()
    databases.host.reconcile([], [])
    assert not databases.instance(FACTS).exists()
    assert not list((databases.directory / "databases" / "snapshots").glob("*/*"))


@pytest.mark.parametrize("version", ["17.10"])
def test_package_provides_a_version_that_the_system_lacks(
    databases: Databases, version: str
) -> None:
    facts = replace(FACTS, engine_version=version)
    state = databases.create(facts)
    if "could not be installed" in state.reason or "libraries" in state.reason:
        pytest.skip(state.reason)
    assert state.status == "available", state.reason
    assert databases.query(facts, "SHOW server_version_num")[0][0].startswith("17")
