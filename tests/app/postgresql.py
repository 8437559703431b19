"""A real PostgreSQL server for the tests, on loopback, as an unprivileged user."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.ports import free_port

ADMINISTRATOR = "postgres"


def programs() -> Path | None:
    """Return the directory of a server's programs: Debian's newest, or the one on PATH."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    installed = sorted(debian, key=lambda path: int(path.parts[4]))
    on_path = shutil.which("initdb")
    if installed:
        return installed[-1].parent
    return Path(on_path).resolve().parent if on_path else None


def required_programs() -> Path:
    """Return `programs()`; skip the test without them, or fail if REQUIRE_POSTGRES is set."""
    found = programs()
    if found is None:
        reason = "no PostgreSQL server is installed (Debian: apt-get install postgresql)"
        if os.environ.get("REQUIRE_POSTGRES"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@dataclass
class Postgres:
    """A server that tests may stop and start; it requires passwords."""

    programs: Path
    directory: Path
    port: int
    password: str

    def start(self) -> None:
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        )
        log = self.directory / "log"
        self._run(
            "pg_ctl",
            "-D",
            self.directory / "data",
            "-w",
            "-t",
            "240",
            "-l",
            log,
            "-o",
            options,
            "start",
        )

    def stop(self) -> None:
        self._run(
            "pg_ctl", "-D", self.directory / "data", "-w", "-t", "240", "-m", "immediate", "stop"
        )

    def new_database(self) -> str:
        """Return the URL of an empty database."""
        name = f"test_{secrets.token_hex(6)}"
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{ADMINISTRATOR}:{self.password}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def name_in(self, url: str) -> str:
        return urlsplit(url).path.removeprefix("/")

    def execute(self, statement: sql.SQL | sql.Composed, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)

    def initialise(self) -> None:
        secret = self.directory / "password"
        secret.write_text(self.password)
        if os.geteuid() == 0:
            shutil.chown(secret, "postgres")
        # The caller's locale may not be installed.
        self._run(
            "initdb",
            "-D",
            self.directory / "data",
            "-U",
            ADMINISTRATOR,
            "--auth=scram-sha-256",
            f"--pwfile={secret}",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        )

    def _run(self, program: str, *arguments: str | Path) -> None:
        user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        # A file, because the server that pg_ctl starts would keep a pipe open.
        with (self.directory / f"{program}.out").open("w+") as out:
            done = subprocess.run(
                [self.programs / program, *arguments],
                check=False,
                user=user,
                cwd=self.directory,
                env={**os.environ, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            out.seek(0)
            output = out.read()
        log = self.directory / "log"
        if done.returncode and log.exists():
            output += log.read_text()[-3000:]
        assert done.returncode == 0, f"{program} failed with code {done.returncode}:\n{output}"


@contextmanager
def running(programs: Path) -> Iterator[Postgres]:
    # pytest's own directory is not accessible to the server's user.
    directory = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        server = Postgres(programs, directory, free_port(), secrets.token_hex(12))
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres")
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
