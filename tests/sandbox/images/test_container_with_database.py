"""The service's image with a real PostgreSQL: migration, outage, stop under load."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import requests

from sandbox.images import engines
from tests.app import postgresql
from tests.app.postgresql import Postgres
from tests.sandbox.images.conftest import BuiltApp
from tests.sandbox.images.container import Container, answers, once, serving
from tests.sandbox.images.test_builds import docker_pull


@pytest.fixture
def database() -> Iterator[Postgres]:
    programs = postgresql.programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (make tools)")
    with postgresql.running(programs) as server:
        yield server


@pytest.fixture
def pulled(app: BuiltApp, docker: engines.DockerEngine, tmp_path: Path) -> BuiltApp:
    assert docker_pull(docker, app, tmp_path).returncode == 0
    return app


def migrate(
    app: BuiltApp, docker: engines.DockerEngine, url: str, *, at_once: int = 1
) -> list[tuple[int, str]]:
    """Run the migration in containers; return exit code and log of each."""
    running = [
        once(app, docker, "python3", "-m", "app.db.migrate", DATABASE_URL=url)
        for _ in range(at_once)
    ]
    said = [(process.communicate(timeout=600)[0], process.returncode) for process in running]
    return [(code, text) for text, code in said]


def within(seconds: float, container: Container, path: str, status: int) -> requests.Response:
    """Return the first response with this status."""
    deadline = time.monotonic() + seconds
    while (response := requests.get(f"{container.url}{path}", timeout=60)).status_code != status:
        assert time.monotonic() < deadline, container.logs()[-3000:]
        time.sleep(0.2)
    return response


def test_image_migrates_repeatedly_and_concurrently(
    pulled: BuiltApp, docker: engines.DockerEngine, database: Postgres
) -> None:
    url = database.new_database()
    with serving(pulled, docker, DATABASE_URL=url) as early:  # alive, not ready
        assert requests.get(f"{early.url}/readyz", timeout=60).status_code == 503
        assert requests.get(early.url, timeout=60).status_code == 200
        for code, log in [*migrate(pulled, docker, url, at_once=3), *migrate(pulled, docker, url)]:
            assert code == 0, log
            assert "the database is up to date" in log
            assert database.password not in log
        within(60, early, "/readyz", 200)
    [(code, log)] = migrate(pulled, docker, url.replace(database.password, "wrong"))
    assert code == 1
    assert "password authentication failed" in log
    assert "Traceback" not in log


def test_entries_survive_an_outage_of_the_database(
    pulled: BuiltApp, docker: engines.DockerEngine, database: Postgres
) -> None:
    url = database.new_database()
    assert migrate(pulled, docker, url)[0][0] == 0
    with serving(pulled, docker, DATABASE_URL=url) as container:
        within(60, container, "/readyz", 200)
        form = {"name": "Ada", "message": "by the page"}
        assert (
            requests.post(container.url, data=form, timeout=60).status_code == 200
        )  # after its redirect
        entry = {"name": "Grace", "message": "by the API"}
        assert (
            requests.post(f"{container.url}/api/entries", json=entry, timeout=60).status_code == 201
        )
        assert "by the API" in requests.get(container.url, timeout=60).text

        database.stop()
        within(60, container, "/readyz", 503)
        assert (
            requests.post(f"{container.url}/api/entries", json=entry, timeout=60).status_code == 503
        )
        assert requests.get(f"{container.url}/livez", timeout=60).status_code == 200
        database.start()
        within(60, container, "/readyz", 200)
        entries = within(60, container, "/api/entries", 200).json()["entries"]
        assert [result["message"] for result in entries] == ["by the API", "by the page"]
        assert "Traceback" not in container.logs()
        assert database.password not in container.logs()


def test_stop_under_load_keeps_every_acknowledged_entry(
    pulled: BuiltApp, docker: engines.DockerEngine, database: Postgres
) -> None:
    url = database.new_database()
    assert migrate(pulled, docker, url)[0][0] == 0
    outcomes: Counter[str] = Counter()
    with serving(pulled, docker, DATABASE_URL=url) as container:
        within(60, container, "/readyz", 200)

        def write(number: int) -> None:
            while True:
                entry = {"name": f"writer {number}", "message": "m"}
                try:  # a new connection each time
                    response = requests.post(f"{container.url}/api/entries", json=entry, timeout=60)
                except requests.ConnectionError as error:
                    outcomes["disconnected"] += 1
                    if "Connection refused" in str(error):
                        return
                    continue
                outcomes[str(response.status_code)] += 1

        writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for writer in writers:
            writer.start()
        deadline = time.monotonic() + 60
        while not outcomes["201"]:
            assert time.monotonic() < deadline, outcomes
            time.sleep(0.1)
        time.sleep(1)
        container.run("stop", "--time", "40", container.name)
        for writer in writers:
            writer.join(120)
        assert not answers(f"{container.url}/livez")
        assert container.inspect()["State"]["ExitCode"] == 0, container.logs()[-2000:]
    assert set(outcomes) == {"201", "disconnected"}, outcomes
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM guestbook_entry").fetchone()
    assert row is not None
    assert row[0] >= outcomes["201"]
