"""One PostgreSQL server: its directory, its process and the programs that administer it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from sandbox.contracts.database_host import DatabaseFacts
from sandbox.databases import configuration, errors, programs, roles
from sandbox.databases.addresses import choose_address
from sandbox.databases.configuration import ADMINISTRATOR
from sandbox.databases.errors import ServerError
from sandbox.databases.programs import Programs
from sandbox.runtime import postmaster
from sandbox.runtime.certificate_authority import CertificateAuthority, write_private
from sandbox.runtime.postgres_user import server_user

_START_SECONDS = 120.0
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PGCONNECT_TIMEOUT": "5"}


class Server:
    """The server in a directory; every method runs in the thread of its instance.

    `directory` contains the data directory, configuration, certificate and log; only the server's
    user can enter it.
    """

    def __init__(self, directory: Path, authority: CertificateAuthority) -> None:
        self.directory, self.data = directory, directory / "data"
        self.log = directory / "postgresql.log"
        self._authority = authority
        user = server_user()
        self._uid = user.uid if user else None
        self._gid = user.gid if user else None
        self._process: subprocess.Popen[bytes] | None = None
        self._programs: Programs | None = None
        self._is_adopted = False
        self._applied: dict[str, str] = {}

    @property
    def address(self) -> str:
        """The loopback address, "" before the first start."""
        file = self.directory / "address"
        return file.read_text() if file.exists() else ""

    @property
    def version(self) -> str:
        """The version of the programs, "" before the first start."""
        return self._programs.version if self._programs else ""

    @property
    def is_running(self) -> bool:
        """Whether the server's process lives, started by this object or adopted."""
        if self._process is not None:
            return self._process.poll() is None
        return self._is_adopted and postmaster.find(self.data) is not None

    def adopt(self) -> bool:
        """Continue the server of a background process that has ended; return whether it runs.

        One of other programs than a start would use, or that still starts, is not adopted.
        """
        pid = postmaster.find(self.data)
        if pid is None or not self._is_ready():
            return False
        try:
            self._programs = programs.select((self.data / "PG_VERSION").read_text().strip())
            self._applied = json.loads((self.directory / "parameters.json").read_text())
        except (ServerError, OSError, ValueError):
            return False
        self._is_adopted = self._programs["postgres"] in postmaster.command(pid)
        return self._is_adopted

    def start(self, facts: DatabaseFacts, snapshot: Path | None) -> None:
        """Start the server, with the snapshot's data if it is new, and wait until it accepts
        connections. Raises ServerError; a new server leaves no data then.
        """
        is_new = not (self.data / "PG_VERSION").exists()
        try:
            self._prepare(facts, snapshot)
            postmaster.end(self.data)  # of a background process that was killed
            address = choose_address(self.address, str(self.directory), facts.port)
            self._write("address", address.encode())
            self._applied = dict(facts.parameters)
            self._configure(facts)
            self._launch(facts)
            if is_new and snapshot is None:
                self._execute(facts.port, roles.role_statements(facts))
                self._execute(facts.port, roles.database_statements(facts))
            else:
                self._execute(facts.port, roles.role_statements(facts))
        except (ServerError, OSError) as error:
            self.stop()
            if is_new:
                shutil.rmtree(self.data, ignore_errors=True)
            if isinstance(error, OSError):
                raise _os_error(facts, error) from error
            raise

    def reconfigure(self, facts: DatabaseFacts) -> bool:
        """Apply password, certificate and parameters; return whether some wait for a restart."""
        deferred = {name: self._applied[name] for name in facts.deferred if name in self._applied}
        immediate = {k: v for k, v in facts.parameters.items() if k not in facts.deferred}
        self._applied = immediate | deferred
        self._configure(facts)
        self._execute(facts.port, roles.role_statements(facts) + "SELECT pg_reload_conf();")
        waiting = "SELECT count(*) FROM pg_settings WHERE pending_restart"
        # The postmaster reads its configuration after the signal.
        time.sleep(0.1)
        pending = int(self._execute(facts.port, waiting))
        return pending > 0 or self._applied != dict(facts.parameters)

    def stop(self) -> None:
        """Disconnect clients and end the process."""
        if self._process is not None:
            if self._process.poll() is None and not postmaster.end(self.data):
                self._process.kill()  # it ended before it wrote its file, or hangs
            self._process.wait()
            self._process = None
        else:
            postmaster.end(self.data)
            self._is_adopted = False

    def backup(self, facts: DatabaseFacts, target: Path) -> None:
        """Copy the data directory to `target`. Raises ServerError."""
        self._own(target.parent)
        if self.is_running:
            assert self._programs is not None  # noqa: S101 - set by start
            with self._socket() as socket:
                command = [self._programs["pg_basebackup"], "-h", socket, "-p", str(facts.port)]
                command += ["-U", ADMINISTRATOR, "-D", str(target), "-c", "fast", "-X", "fetch"]
                self._run([*command, "--no-sync"])
        else:
            self._run(["cp", "-a", str(self.data), str(target)])

    def delete(self) -> None:
        """End the process and delete the directory."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def log_size(self) -> int:
        """Return the size of the log."""
        return self.log.stat().st_size if self.log.exists() else 0

    def _prepare(self, facts: DatabaseFacts, snapshot: Path | None) -> None:
        """Create the directories, select the programs and create the data."""
        self._own(self.directory)
        version = self.data / "PG_VERSION"
        exists = version.exists()
        source = version if exists else snapshot / "PG_VERSION" if snapshot else None
        if source is not None and not source.exists():
            raise ServerError("failed", f"the data of {facts.identifier}'s snapshot is missing")
        major = source.read_text().strip() if source else facts.engine_version.partition(".")[0]
        self._programs = selected = programs.select(major)
        if exists:
            return
        partial = self.directory / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(self.data, ignore_errors=True)
        if snapshot is not None:
            self._run(["cp", "-a", str(snapshot), str(partial)])
        else:
            options = ["-U", ADMINISTRATOR, "--auth=trust", "--encoding=UTF8", "--no-sync"]
            locale = "--locale=C.UTF-8"
            if int(selected.major) >= 17:  # does not depend on the machine's locales
                locale = "--locale=C --locale-provider=builtin --builtin-locale=C.UTF-8"
            self._run([selected["initdb"], "-D", str(partial), *options, *locale.split()])
        partial.rename(self.data)

    def _configure(self, facts: DatabaseFacts) -> None:
        """Write configuration and certificate."""
        assert self._programs is not None  # noqa: S101 - set by _prepare
        content = configuration.server_configuration(
            facts, self._applied, self._programs, directory=self.directory, address=self.address
        )
        self._write("postgresql.conf", content.encode())
        authentication = configuration.client_authentication(facts, self._applied)
        self._write("pg_hba.conf", authentication.encode())
        self._write("parameters.json", json.dumps(self._applied).encode())
        named = self.directory / "certificate-name"
        subject = f"{facts.host_name} {self._authority.certificate.stat().st_mtime_ns}"
        if not named.exists() or named.read_text() != subject:
            certificate, key = self._authority.issue(facts.host_name, [facts.host_name])
            self._write("server.key", key)
            self._write("server.crt", certificate)
            self._write("certificate-name", subject.encode())

    def _launch(self, facts: DatabaseFacts) -> None:
        """Start the process and wait until it accepts connections."""
        assert self._programs is not None  # noqa: S101 - set by _prepare
        for stale in (self.data / "postmaster.pid", *self.data.glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)  # the process has ended, or a backup has copied them
        before = self.log_size()
        configuration_file = self.directory / "postgresql.conf"
        command = [self._programs["postgres"], "-D", str(self.data)]
        command += ["-c", f"config_file={configuration_file}"]
        with self.log.open("ab") as output:
            self.log.chmod(0o600)
            self._process = subprocess.Popen(
                command,
                cwd=self.data,
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                umask=0o077,
                user=self._uid,
                group=self._gid,
                extra_groups=None if self._uid is None else (),
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None:
                with self.log.open("rb") as log:
                    log.seek(before)
                    text = log.read().decode(errors="replace")
                raise errors.from_log(facts.identifier, facts.port, text)
            if time.monotonic() > deadline:
                raise ServerError(
                    "failed",
                    f"PostgreSQL did not accept connections within {_START_SECONDS:.0f} s; see "
                    f"{self.log}, then reboot DB instance {facts.identifier}",
                )
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        """Whether the postmaster's file says that it accepts connections, in its last line."""
        try:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"

    def _execute(self, port: int, statements: str) -> str:
        """Execute statements as the administrator. Raises ServerError."""
        assert self._programs is not None  # noqa: S101 - set by _prepare
        with self._socket() as socket:
            command = [self._programs["psql"], "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
            command += ["-h", socket, "-p", str(port), "-U", ADMINISTRATOR, "-d", "postgres"]
            return self._run(command, statements)

    def _socket(self) -> _ShortPath:
        return _ShortPath(self.data, self._uid)

    def _run(self, command: list[str], text: str = "") -> str:
        """Run a program as the server's user and return its output. Raises ServerError."""
        process = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
            env=_ENVIRONMENT | {"PATH": os.environ.get("PATH", "")},
            umask=0o077,
            user=self._uid,
            group=self._gid,
            extra_groups=None if self._uid is None else (),
        )
        if process.returncode:
            if "No space left on device" in process.stderr:
                raise ServerError("storage-full", "the disk is full; free space and try again")
            lines = process.stderr.strip().splitlines() or [f"code {process.returncode}"]
            name = Path(command[0]).name
            raise ServerError("failed", f"{name} failed: {lines[-1]}; remove the cause")
        return process.stdout.strip()

    def _own(self, directory: Path) -> None:
        """Create a directory that only the server's user can enter."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._give(directory)

    def _write(self, name: str, content: bytes) -> None:
        path = self.directory / name
        partial = path.with_name(f"{name}.partial")
        write_private(partial, content)
        self._give(partial)
        partial.rename(path)

    def _give(self, path: Path) -> None:
        """Make the server's user the owner."""
        if self._uid is not None and self._gid is not None:
            os.chown(path, self._uid, self._gid)


class _ShortPath:
    """A link to the directory of a socket, whose whole path may be too long for a socket."""

    def __init__(self, directory: Path, uid: int | None) -> None:
        self._directory, self._uid = directory, uid

    def __enter__(self) -> str:
        self._temporary = Path(tempfile.mkdtemp(prefix="pg-"))
        if self._uid is not None:
            os.chown(self._temporary, self._uid, -1)
        (self._temporary / "s").symlink_to(self._directory)
        return str(self._temporary / "s")

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._temporary, ignore_errors=True)


def _os_error(facts: DatabaseFacts, error: OSError) -> ServerError:
    status = "storage-full" if error.errno == 28 else "failed"
    remedy = "free space" if error.errno == 28 else "remove the cause"
    reason = f"{error.strerror or error} ({error.filename}); {remedy}, then reboot DB instance"
    return ServerError(status, f"{reason} {facts.identifier}")
