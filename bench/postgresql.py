"""A temporary PostgreSQL server on loopback, for the measures and the tests."""

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

from bench.processes import free_port

ADMINISTRATOR = "postgres"


def programs() -> Path | None:
    """Return the directory of a server's programs: Debian's newest, or the one on PATH."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    installed = sorted(debian, key=lambda path: int(path.parts[4]))
    on_path = shutil.which("initdb")
    if installed:
        return installed[-1].parent
    return Path(on_path).resolve().parent if on_path else None


@dataclass
class Postgres:
    """A server that can be stopped and started; it requires passwords."""

    programs: Path
    directory: Path
    port: int
    password: str

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        )
        self._pg_ctl("-l", self.directory / "log", "-o", options, "start")

    def stop(self) -> None:
        """Stop the server without a checkpoint."""
        self._pg_ctl("-m", "immediate", "stop")

    def new_database(self) -> str:
        """Return the URL of an empty database."""
        name = f"test_{secrets.token_hex(6)}"
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database."""
        login = f"{ADMINISTRATOR}:{self.password}"
        return f"postgresql://{login}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def name_in(self, url: str) -> str:
        """Return the name of the database in a URL."""
        return urlsplit(url).path.removeprefix("/")

    def execute(self, statement: sql.SQL | sql.Composed, database: str = "postgres") -> None:
        """Execute a statement outside a transaction."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)

    def initialise(self) -> None:
        """Create the data directory."""
        secret = self.directory / "password"
        secret.write_text(self.password)
        if os.geteuid() == 0:
            shutil.chown(secret, "postgres")
        # The caller's locale may not be installed.
        options = ["-U", ADMINISTRATOR, "--auth=scram-sha-256", f"--pwfile={secret}"]
        options += ["--encoding=UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", "-D", self.directory / "data", *options)

    def _pg_ctl(self, *arguments: str | Path) -> None:
        self._run("pg_ctl", "-D", self.directory / "data", "-w", "-t", "240", *arguments)

    def _run(self, program: str, *arguments: str | Path) -> None:
        user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        # A file, because the server that pg_ctl starts would keep a pipe open.
        with (self.directory / f"{program}.out").open("w+") as out:
            process = subprocess.run(
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
        if process.returncode and log.exists():
            output += log.read_text()[-3000:]
        if process.returncode:
            raise RuntimeError(f"{program} failed with code {process.returncode}:\n{output}")


@contextmanager
def running(programs: Path) -> Iterator[Postgres]:
    """Run a server until the block ends."""
    # Not below pytest's directory, which is not accessible to the server's user.
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
