"""Migrations run before a roll-out: twice, and from several pods at once, without harm."""

import subprocess
import sys
import threading
import time

import psycopg
import pytest

from app.config import load
from app.database import Store
from app.guestbook import metadata
from app.migrate import LOCK, upgrade
from tests.app.serving import ROOT, environment

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def store_of(url: str) -> Store:
    config = load({"DATABASE_URL": url})
    assert config.database is not None
    return Store(config.database, pool_size=2)


def command(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app.migrate"],
        cwd=ROOT, env=environment(DATABASE_URL=url), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_a_second_run_finds_nothing_to_do_and_keeps_the_entries(empty_database: str) -> None:
    store = store_of(empty_database)
    first = upgrade(store)
    with psycopg.connect(empty_database) as connection:
        connection.execute("INSERT INTO guestbook_entry (name, message) VALUES ('a', 'kept')")
    assert upgrade(store) == first
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT message FROM guestbook_entry").fetchall() == [("kept",)]
    store.engine.dispose()


def test_the_commands_of_four_pods_at_once_all_succeed(empty_database: str) -> None:
    pods = [command(empty_database) for _ in range(4)]
    outputs = [pod.communicate(timeout=240)[0] for pod in pods]
    assert [pod.returncode for pod in pods] == [0, 0, 0, 0], outputs
    assert sum("Running upgrade" in output for output in outputs) == 1


def test_a_migration_waits_for_the_one_that_holds_the_lock(empty_database: str) -> None:
    store = store_of(empty_database)
    done = threading.Event()

    def migrate() -> None:
        upgrade(store)
        done.set()

    with psycopg.connect(empty_database) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        waiting = threading.Thread(target=migrate)
        waiting.start()
        # Until PostgreSQL itself says that somebody waits for the lock that we hold.
        deadline = time.monotonic() + 60
        with psycopg.connect(empty_database, autocommit=True) as observer:
            while observer.execute(WAITING).fetchone() == (0,):
                assert time.monotonic() < deadline
                assert waiting.is_alive(), "the migration didn't wait"
                time.sleep(0.05)
        assert not done.is_set()
    waiting.join(120)
    assert done.is_set()
    store.engine.dispose()


def test_the_migrations_make_exactly_the_tables_that_the_code_reads(database: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    store = store_of(database)
    with store.transaction() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata) == []
    store.engine.dispose()


def test_a_failing_migration_changes_nothing(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(empty_database)

    def broken(connection: object) -> str:
        raise RuntimeError("broken after the tables were made")

    monkeypatch.setattr("app.migrate._revision", broken)
    with pytest.raises(RuntimeError):
        upgrade(store)
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
    store.engine.dispose()


def test_without_a_database_there_is_nothing_to_migrate_and_that_is_fine() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app.migrate"],
        check=False,
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0
    assert "no database is configured" in done.stdout
