"""A real PostgreSQL for the tests: Debian's, in a folder of its own, on loopback, as a user that isn't root."""

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
from psycopg import sql

from tests.ports import free_port

ADMINISTRATOR = "postgres"


def binaries() -> Path | None:
    """The folder of the newest installed server's programs, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


@dataclass
class Postgres:
    """A server that can be stopped and started in the middle of a test. It demands passwords."""

    programs: Path
    folder: Path
    port: int
    password: str

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        log = self.folder / "log"
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-t", "240", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-t", "240", "-m", "immediate", "stop")

    def new_database(self) -> str:
        """An empty database's URL."""
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
        secret = self.folder / "password"
        secret.write_text(self.password)
        if os.geteuid() == 0:  # the caller's umask may leave it to root alone
            shutil.chown(secret, "postgres")
        # The caller's locale may be one that this machine doesn't have.
        self._run(
            "initdb", "-D", self.folder / "data", "-U", ADMINISTRATOR, "--auth=scram-sha-256", f"--pwfile={secret}",
            "--encoding=UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip

    def _run(self, program: str, *arguments: str | Path) -> None:
        # PostgreSQL refuses to run as root.
        user = "postgres" if os.geteuid() == 0 else None
        # Into a file, since the server that `pg_ctl` leaves behind would keep a pipe open.
        with (self.folder / f"{program}.out").open("w+") as out:
            done = subprocess.run(
                [self.programs / program, *arguments],
                check=False,
                user=user,
                cwd=self.folder,
                env={**os.environ, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            out.seek(0)
            said = out.read()
        log = self.folder / "log"
        if done.returncode and log.exists():
            said += log.read_text()[-3000:]
        assert done.returncode == 0, f"{program} failed with code {done.returncode}:\n{said}"


@contextmanager
def running(programs: Path) -> Iterator[Postgres]:
    # Not pytest's own folder: that is root's alone, and the server isn't root.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        server = Postgres(programs, folder, free_port(), secrets.token_hex(12))
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
