"""Outages of the database: status codes, no lost entry, recovery without restart."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from psycopg import sql

from tests.app.conftest import migrate
from tests.app.postgresql import Postgres, required_programs
from tests.app.postgresql import running as running_postgres
from tests.app.service_process import Service, running


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server that only this test uses."""
    with running_postgres(required_programs()) as server:
        yield server


def ready_within(service: Service, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if service.get("/readyz").status == 200:
            return True
        time.sleep(0.1)
    return False


def test_outage_is_503_with_retry_after_and_recovers(
    tmp_path: Path, own_postgres: Postgres
) -> None:
    url = own_postgres.new_database()
    migrate(url)
    with running(tmp_path, DATABASE_URL=url) as service:
        before = service.post_json("/api/entries", {"name": "a", "message": "before the outage"})
        assert before.status == 201

        own_postgres.stop()
        try:
            assert service.get("/livez").status == 200
            assert service.get("/readyz").status == 503
            for response in (
                service.post_json("/api/entries", {"name": "a", "message": "m"}),
                service.get("/api/entries"),
            ):
                assert response.status == 503
                assert int(response.headers["retry-after"]) > 0
                assert response.headers["content-type"] == "application/problem+json"
                assert b"127.0.0.1" not in response.body
            form = urlencode({"name": "Ada", "message": "typed with care"}).encode()
            remaining = service.request(
                "POST", "/", form, {"Content-Type": "application/x-www-form-urlencoded"}
            )
            assert remaining.status == 503
            assert b"typed with care" in remaining.body
            page = service.get("/")
            assert page.status == 200
            assert b"The database is unavailable" in page.body
        finally:
            own_postgres.start()

        assert ready_within(service, 60)
        entry = {"name": "a", "message": "after the outage"}
        assert service.post_json("/api/entries", entry).status == 201
        for _ in range(20):
            result = service.get("/api/entries")
            assert result.status == 200, result.body
            assert [entry["message"] for entry in result.json()["entries"]] == [
                "after the outage",
                "before the outage",
            ]
        logged = service.log_file.read_text()
        assert "Traceback" not in logged
        assert own_postgres.password not in logged


def test_rotated_password_file_is_used_without_a_restart(
    tmp_path: Path, own_postgres: Postgres
) -> None:
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
    with running(tmp_path, **variables) as service:
        assert service.get("/readyz").status == 200
        own_postgres.execute(sql.SQL("ALTER USER postgres PASSWORD 'rotated'"))
        own_postgres.stop()
        own_postgres.start()  # drops every connection, so new ones need the new password
        own_postgres.password = "rotated"
        assert not ready_within(service, 2)
        file.write_text("rotated\n")
        assert ready_within(service, 60)
