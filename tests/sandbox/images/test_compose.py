"""The service and its database on a laptop, by the one command that app/README.md names, with real
containers.
"""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.images import image_cache
from tests.sandbox.images import compose
from tests.sandbox.images.compose import Laptop
from tests.sandbox.images.conftest import APP

ENTRIES = "http://127.0.0.1:8080/api/entries"
COUNT = """
import psycopg, sys
print(psycopg.connect(sys.argv[1]).execute("SELECT count(*) FROM guestbook_entry").fetchone()[0])
"""


@dataclass(frozen=True)
class Project:
    """A clone's app/ folder on a laptop, where images that can't be pulled are replaced by
    `variables`.
    """

    laptop: Laptop
    folder: Path
    variables: dict[str, str]

    def compose(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        # The docker that has BuildKit must be the first on the PATH.
        path = f"{Path(self.laptop.docker.program).parent}:{self.laptop.docker.env['PATH']}"
        return self.laptop.run(
            self.folder / "compose.sh",
            *command,
            environment={**self.variables, "PATH": path, **environment},
        )

    def messages(self) -> list[str]:
        status, body = self.laptop.ask("GET", ENTRIES)
        assert status == 200, body
        return [entry["message"] for entry in json.loads(body)["entries"]]

    def running(self, service: str) -> str:
        return self.compose("ps", "-q", service).stdout.strip()

    def query(self, password: str) -> subprocess.CompletedProcess[str]:
        """Ask PostgreSQL on the port that the laptop's own tools would use."""
        url = f"postgresql://app:{password}@127.0.0.1:5433/guestbook"
        return self.laptop.run(sys.executable, "-c", COUNT, url)


@pytest.fixture(scope="module")
def laptop_and_images() -> Iterator[tuple[Laptop, dict[str, str]]]:
    with (
        # A socket's path has at most 108 characters, so its folder can't be pytest's deep one.
        tempfile.TemporaryDirectory(prefix="compose-", ignore_cleanup_errors=True) as folder,
        compose.laptop(Path(folder)) as laptop,
    ):
        compose.compose_or_skip(laptop.docker)
        bases = image_cache() / "bases"
        yield laptop, compose.stand_ins(laptop.docker, bases, Path(folder) / "postgres")


@pytest.fixture
def project(laptop_and_images: tuple[Laptop, dict[str, str]], tmp_path: Path) -> Iterator[Project]:
    laptop, variables = laptop_and_images
    shutil.copytree(APP, tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__", ".env"))
    result = Project(laptop, tmp_path / "app", variables)
    yield result
    result.compose("down", "--volumes", POSTGRES_PASSWORD="any")


def test_one_command_brings_it_up_and_entries_outlive_down_and_up(project: Project) -> None:
    up = project.compose()
    assert up.returncode == 0, up.stdout + up.stderr
    assert "http://127.0.0.1:8080" in up.stdout
    secret = project.folder / ".env"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    password = secret.read_text().strip().removeprefix("POSTGRES_PASSWORD=")
    assert len(password) == 48

    assert project.laptop.ask("GET", "http://127.0.0.1:8080/readyz")[0] == 200
    assert project.laptop.ask("POST", ENTRIES, {"name": "Ada", "message": "kept"})[0] == 201
    counted = project.query(password)
    assert counted.stdout.strip() == "1", counted.stderr

    down = project.compose("down")
    assert down.returncode == 0, down.stderr
    assert project.running("app") == ""
    again = project.compose()
    assert again.returncode == 0, again.stdout + again.stderr
    assert secret.read_text().strip() == f"POSTGRES_PASSWORD={password}"
    assert project.messages() == ["kept"]

    # The database goes away and comes back: 503 meanwhile, nothing lost, no restart.
    project.compose("stop", "database")
    assert project.laptop.ask("POST", ENTRIES, {"name": "Ada", "message": "lost?"})[0] == 503
    assert project.laptop.ask("GET", "http://127.0.0.1:8080/livez")[0] == 200
    project.compose("start", "database")
    deadline = time.monotonic() + 30
    while project.laptop.ask("GET", "http://127.0.0.1:8080/readyz")[0] != 200:
        assert time.monotonic() < deadline, project.compose("logs", "app").stdout[-2000:]
        time.sleep(0.5)
    assert project.messages() == ["kept"]


def test_the_password_may_come_from_the_environment_and_another_one_is_refused_in_words(
    project: Project,
) -> None:
    up = project.compose(POSTGRES_PASSWORD="chosen: by $me")
    assert up.returncode == 0, up.stdout + up.stderr
    assert not (project.folder / ".env").exists()
    assert project.compose("down", POSTGRES_PASSWORD="any").returncode == 0

    other = project.compose(POSTGRES_PASSWORD="another")
    assert other.returncode == 1
    said = other.stdout + other.stderr
    assert "password authentication failed" in said
    assert "the database keeps the one of its first start" in said
    assert "Traceback" not in said


def test_without_a_password_compose_says_how_to_get_one(project: Project) -> None:
    refused = project.compose("config")
    assert refused.returncode != 0
    assert "POSTGRES_PASSWORD" in refused.stderr
    assert "Run app/compose.sh" in refused.stderr


@pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not on PATH")
def test_commands_of_the_readme_replace_those_of_docker_and_psql(project: Project) -> None:
    readme = (APP.parent / "README.md").read_text()
    commands = re.findall(r"`app/compose\.sh ?([^`]*)`", readme)
    assert set(commands) == {"", "ps", "stop"}
    up = project.compose()
    assert up.returncode == 0, up.stdout + up.stderr
    listed = project.compose("ps").stdout
    assert {"app", "database"} <= set(re.findall(r"app|database", listed))
    [psql] = re.findall(r"`(\. app/\.env; [^`]* psql [^`]*)`", readme)
    line = f"cd {project.folder.parent}; {psql} -c 'SELECT 40 + 2 AS answer'"
    response = project.laptop.run("sh", "-euc", line)
    assert "42" in response.stdout, response.stderr
    assert project.compose("stop").returncode == 0
    assert "Up" not in project.compose("ps").stdout
