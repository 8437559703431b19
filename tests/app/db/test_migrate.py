"""Migrations: idempotent, concurrent, atomic."""

import subprocess
import sys
import threading
import time

import psycopg
import pytest

from app.db.engine import Engine
from app.db.migrate import LOCK_ID, upgrade
from app.guestbook.store import metadata
from tests.app.conftest import load_database
from tests.app.service_process import ROOT, environment

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def engine_of(url: str) -> Engine:
    return Engine(load_database(DATABASE_URL=url), pool_size=2)


def command(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app.db.migrate"],
        cwd=ROOT,
        env=environment(DATABASE_URL=url),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_second_migration_changes_nothing(empty_database: str) -> None:
    engine = engine_of(empty_database)
    first = upgrade(engine)
    with psycopg.connect(empty_database) as connection:
        connection.execute("INSERT INTO guestbook_entry (name, message) VALUES ('a', 'kept')")
    assert upgrade(engine) == first
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT message FROM guestbook_entry").fetchall() == [("kept",)]
    engine.engine.dispose()


def test_four_concurrent_migrations_succeed(empty_database: str) -> None:
    pods = [command(empty_database) for _ in range(4)]
    outputs = [pod.communicate(timeout=240)[0] for pod in pods]
    assert [pod.returncode for pod in pods] == [0, 0, 0, 0], outputs
    assert sum("Running upgrade" in output for output in outputs) == 1


def test_migration_waits_for_the_lock(empty_database: str) -> None:
    engine = engine_of(empty_database)
    done = threading.Event()

    def migrate() -> None:
        upgrade(engine)
        done.set()

    with psycopg.connect(empty_database) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_ID])
        waiting = threading.Thread(target=migrate)
        waiting.start()
        # Wait until PostgreSQL reports the waiting migration.
        deadline = time.monotonic() + 60
        with psycopg.connect(empty_database, autocommit=True) as observer:
            while observer.execute(WAITING).fetchone() == (0,):
                assert time.monotonic() < deadline
                assert waiting.is_alive(), "the migration did not wait"
                time.sleep(0.05)
        assert not done.is_set()
    waiting.join(120)
    assert done.is_set()
    engine.engine.dispose()


def test_migrations_create_the_declared_tables(database: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    engine = engine_of(database)
    with engine.transaction() as connection:
        assert (
            compare_metadata(
                MigrationContext.configure(connection, opts={"compare_type": True}), metadata
            )
            == []
        )
    engine.engine.dispose()


def test_failing_migration_changes_nothing(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(empty_database)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("failure after the tables were created")

    monkeypatch.setattr("app.db.migrate.MigrationContext.get_current_revision", fail)
    with pytest.raises(RuntimeError):
        upgrade(engine)
    with psycopg.connect(empty_database) as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone() == (0,)
    engine.engine.dispose()


def test_migration_without_a_database_succeeds() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app.db.migrate"],
        check=False,
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0
    assert "no database is configured" in done.stdout
