"""The database goes away and comes back: right codes, nothing lost, no restart needed."""

import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from psycopg import sql
from sqlalchemy import text

from app import database
from app.config import load
from app.errors import DatabaseUnavailableError
from tests.app.conftest import migrate
from tests.app.postgresql import Postgres, binaries, running
from tests.app.serving import Service, served


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server that this test alone may stop."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with running(programs) as server:
        yield server


def ready_within(service: Service, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if service.get("/readyz").status == 200:
            return True
        time.sleep(0.1)
    return False


def test_an_outage_is_a_503_with_retry_after_and_ends_by_itself(tmp_path: Path, own_postgres: Postgres) -> None:
    url = own_postgres.new_database()
    migrate(url)
    with served(tmp_path, DATABASE_URL=url) as service:
        before = service.post_json("/api/entries", {"name": "a", "message": "before the outage"})
        assert before.status == 201

        own_postgres.stop()
        try:
            assert service.get("/livez").status == 200
            assert service.get("/readyz").status == 503
            for answer in (
                service.post_json("/api/entries", {"name": "a", "message": "m"}),
                service.get("/api/entries"),
            ):
                assert answer.status == 503
                assert int(answer.headers["retry-after"]) > 0
                assert answer.headers["content-type"] == "application/problem+json"
                assert b"127.0.0.1" not in answer.body
            form = urlencode({"name": "Ada", "message": "typed with care"}).encode()
            kept = service.request("POST", "/", form, {"Content-Type": "application/x-www-form-urlencoded"})
            assert kept.status == 503
            assert b"typed with care" in kept.body
            deadline = time.monotonic() + 60
            while b"be reached right now" not in (page := service.get("/")).body:  # a page from before is kept a second
                assert time.monotonic() < deadline, page.body
                time.sleep(0.1)
            assert page.status == 200
        finally:
            own_postgres.start()

        assert ready_within(service, 60)
        entry = {"name": "a", "message": "after the outage"}
        # Whichever worker takes the request: what one has found out, the others know.
        assert service.post_json("/api/entries", entry).status == 201
        for _ in range(20):
            found = service.get("/api/entries")
            assert found.status == 200, found.body
            assert [entry["message"] for entry in found.json()["entries"]] == ["after the outage", "before the outage"]
        logged = service.log_file.read_text()
        assert "Traceback" not in logged
        assert own_postgres.password not in logged


def test_the_worker_that_gets_through_ends_the_others_waiting(
    own_postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BACK_OFF_SECONDS", 3600)
    configured = load({"DATABASE_URL": own_postgres.new_database()}).database
    assert configured is not None
    store = database.Store(configured, pool_size=1)
    ours, theirs = multiprocessing.Pipe()

    def another_worker() -> None:
        """Say, each time it's asked, what one transaction came to."""
        while theirs.recv():
            theirs.send(_tried(store))

    worker = multiprocessing.get_context("fork").Process(target=another_worker, daemon=True)
    own_postgres.stop()
    try:
        worker.start()
        answers = []
        for _ in range(2):
            ours.send(True)
            answers.append(ours.recv())
        assert "refused" in answers[0]
        assert "a moment ago" in answers[1]
    finally:
        own_postgres.start()
    ours.send(True)
    assert "a moment ago" in ours.recv()  # nobody knows yet
    assert _tried(store) == "done"
    ours.send(True)
    assert ours.recv() == "done"
    ours.send(False)
    worker.join()


def _tried(store: database.Store) -> str:
    try:
        with store.transaction() as connection:
            connection.execute(text("SELECT 1"))
    except DatabaseUnavailableError as error:
        return error.reason
    return "done"


def test_a_password_rotated_in_its_file_needs_no_restart(tmp_path: Path, own_postgres: Postgres) -> None:
    url = own_postgres.new_database()
    migrate(url)
    file = tmp_path / "password"
    file.write_text(own_postgres.password + "\n")
    variables = {
        "DATABASE_HOST": "127.0.0.1",
        "DATABASE_PORT": str(own_postgres.port),
        "DATABASE_NAME": own_postgres.name_in(url),
        "DATABASE_USER": "postgres",
        "DATABASE_PASSWORD_FILE": str(file),
        "DATABASE_SSLMODE": "disable",
    }
    with served(tmp_path, **variables) as service:
        assert service.get("/readyz").status == 200
        own_postgres.execute(sql.SQL("ALTER USER postgres PASSWORD 'rotated'"))
        own_postgres.stop()
        own_postgres.start()  # drops every connection, so new ones need the new password
        own_postgres.password = "rotated"
        assert not ready_within(service, 2)
        file.write_text("rotated\n")
        assert ready_within(service, 60)
