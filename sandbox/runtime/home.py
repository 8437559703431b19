"""The sandbox's files: one directory, `.sandbox/` in the project, so that two clones stay apart."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from pathlib import Path
from typing import Literal

from sandbox.runtime import postgres_user
from sandbox.runtime.damage import DamagedFileError

Unemulated = Literal["refuse", "record"]
"""What happens to AWS resource types that are not emulated."""


def user_cache() -> Path:
    """Return the user's cache directory of this project, shared by its clones."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "platform-sandbox"


# The clone that this code is part of: the import path of every process of the sandbox.
SOURCE_DIRECTORY = Path(__file__).resolve().parents[2]


def find_project(start: Path | None = None) -> Path:
    """Return the nearest directory at or above `start` with a Pulumi.yaml, else this clone."""
    directory = (start or Path.cwd()).resolve()
    for candidate in (directory, *directory.parents):
        if (candidate / "Pulumi.yaml").is_file():
            return candidate
    return SOURCE_DIRECTORY


@dataclass(frozen=True)
class ActiveCommand:
    """A command that uses the background process: its words, process ID and local start time."""

    command: str
    pid: int
    since: str

    def __str__(self) -> str:
        return f"`{self.command}` (process {self.pid}, since {self.since})"


@dataclass(frozen=True)
class Home:
    """The sandbox's directory and the paths in it. `SANDBOX_HOME` moves it."""

    path: Path

    @classmethod
    def of_project(cls, project: Path | None = None) -> Home:
        """Return the home of a project: `SANDBOX_HOME`, or `.sandbox/` in the project."""
        configured = os.environ.get("SANDBOX_HOME")
        return cls(Path(configured or (project or find_project()) / ".sandbox").absolute())

    @property
    def state(self) -> Path:
        """Pulumi's file backend: `state/.pulumi/stacks/<project>/<stack>.json`."""
        return self.path / "state"

    @property
    def account(self) -> Path:
        """The emulated account's journal and objects."""
        return self.path / "account"

    @property
    def kubernetes(self) -> Path:
        """The clusters' objects and their certificate authority."""
        return self.path / "kubernetes"

    @property
    def registry(self) -> Path:
        """The blobs and manifests behind ECR."""
        return self.path / "registry"

    @property
    def pods(self) -> Path:
        """The pods' containers, logs and volumes."""
        return self.path / "pods"

    @property
    def service_proxy(self) -> Path:
        """The addresses and ports of Services and load balancers."""
        return self.path / "service-proxy"

    @property
    def pipelines(self) -> Path:
        """The records of pipeline executions."""
        return self.path / "pipelines"

    @property
    def repositories(self) -> Path:
        """The git repositories that stand in for those of source connections."""
        return self.path / "repositories"

    @property
    def timelines(self) -> Path:
        """The timeline of each stack's last operation."""
        return self.path / "timelines"

    @property
    def databases(self) -> Path:
        """The data of the PostgreSQL servers."""
        return postgres_user.data_directory(self.path / "databases")

    @property
    def builds(self) -> Path:
        """The records, caches and tools of CodeBuild's builds."""
        return self.path / "builds"

    @property
    def certificate_authority(self) -> Path:
        """The certificate authority of clusters and databases."""
        return self.kubernetes / "tls"

    @property
    def logs(self) -> Path:
        """The output of the background processes."""
        return self.path / "logs"

    @property
    def daemon_log(self) -> Path:
        """The output of the background process and its providers."""
        return self.logs / "daemon.log"

    @property
    def daemon_info(self) -> Path:
        """The file in which the background process publishes its addresses."""
        return self.path / "daemon.json"

    @property
    def _created(self) -> Path:
        return self.path / "created"

    @property
    def _recording(self) -> Path:
        return self.path / "recording"

    @property
    def _active(self) -> Path:
        return self.path / "active"

    @property
    def _contents(self) -> tuple[Path, ...]:
        """Everything that `erase` removes."""
        return (
            self.account,
            self.databases,
            self.kubernetes,
            self.pipelines,
            self.registry,
            self.repositories,
            self.pods,
            self.builds,
            self.service_proxy,
            self.timelines,
            self.path / "sources",
            self.state,
            self.path / "config",
            self.path / "kube",
            self._created,
            self._recording,
        )

    def stack_file(self, stack: str, overrides: Sequence[str] = ()) -> Path:
        """Return the path of one run's stack file.

        Each set of overrides has its own, so that a preview cannot change the input of an `up`.
        """
        directory = self.path / "config"
        if overrides:
            directory /= hashlib.sha256("\0".join(overrides).encode()).hexdigest()[:16]
        return directory / f"Pulumi.{stack}.yaml"

    def kubeconfig(self, stack: str) -> Path:
        """Return the path of the kubeconfig that `sandbox env` sets."""
        return self.path / "kube" / f"{stack}.yaml"

    def prepare(self) -> None:
        """Create the directories, readable by their owner only: they hold state and keys."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)  # another program may have created it first
        for directory in (*self._contents, self.logs, self._active):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        postgres_user.admit(self.databases)

    def record_created(self, stack: str, urn: str, id: str) -> None:
        """Record a created resource before the engine, which may be killed, does."""
        self._created.mkdir(mode=0o700, exist_ok=True)
        with (self._created / f"{stack}.jsonl").open("a") as file:
            file.write(json.dumps([urn, id]) + "\n")

    def created_resources(self, stack: str) -> list[tuple[str, str]]:
        """Return URN and ID of resources created since the last complete operation."""
        try:
            lines = (self._created / f"{stack}.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        complete = (line for line in lines if line.endswith("]"))  # a crash cuts a line
        try:
            return [(urn, id) for urn, id in map(json.loads, complete)]
        except (ValueError, TypeError) as error:
            path = self._created / f"{stack}.jsonl"
            remedy = "Otherwise delete it: an interrupted operation's resources may then remain."
            raise DamagedFileError(path, error, remedy) from error

    def clear_created(self, stack: str) -> None:
        """Remove these records once the stack's state holds every resource."""
        (self._created / f"{stack}.jsonl").unlink(missing_ok=True)

    def choose_unemulated(self, project: str, stack: str, choice: Unemulated) -> None:
        """Store what happens to resource types of a stack that are not emulated."""
        self.prepare()
        file = self._recording / f"{project}.{stack}"
        if choice == "record":
            file.touch()
        else:
            file.unlink(missing_ok=True)

    def is_recording(self, project: str, stack: str) -> bool:
        """Whether resource types of a stack that are not emulated are recorded."""
        return (self._recording / f"{project}.{stack}").is_file()

    def erase(self) -> None:
        """Remove account, clusters, registry and stacks; keep caches and the passphrase.

        The background process must not be running.
        """
        for directory in self._contents:
            shutil.rmtree(directory, ignore_errors=True)
        self.prepare()

    def passphrase(self) -> str:
        """Return the passphrase of the state's secrets, generated by the first call."""
        self.prepare()
        file = self.passphrase_file
        if not file.exists():
            # Link a complete file, so that two concurrent first commands read the same passphrase.
            handle, temporary = tempfile.mkstemp(prefix="passphrase-", dir=self.path)
            with os.fdopen(handle, "w") as opened:
                opened.write(secrets.token_urlsafe(32))
            with suppress(FileExistsError):
                os.link(temporary, file)
            Path(temporary).unlink()
        return file.read_text()

    @property
    def passphrase_file(self) -> Path:
        """The passphrase's file, `PULUMI_CONFIG_PASSPHRASE_FILE` for a Pulumi CLI."""
        return self.path / "passphrase"

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold an exclusive lock between processes of this project."""
        self.prepare()
        with (self.path / f"{name}.lock").open("w") as file:
            flock(file, LOCK_EX)
            try:
                yield
            finally:
                flock(file, LOCK_UN)

    @contextmanager
    def active(self, command: str) -> Iterator[None]:
        """Register this process as active until it exits; the lock on its file is what counts."""
        since = datetime.now().astimezone().strftime("%H:%M:%S")
        entry = ActiveCommand(command, os.getpid(), since)
        with self.locked("daemon"):
            path = self._active / f"{entry.pid}.json"
            file = path.open("w")
            flock(file, LOCK_EX)
            file.write(json.dumps(asdict(entry)))
            file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            file.close()

    def active_commands(self) -> list[ActiveCommand]:
        """Return the active commands of other processes; requires the lock "daemon"."""
        commands = []
        for path in sorted(self._active.glob("*.json")):
            if path.stem == str(os.getpid()):
                continue
            # A process that exits removes its file without the lock.
            with suppress(FileNotFoundError), path.open() as file:
                try:
                    flock(file, LOCK_EX | LOCK_NB)
                except BlockingIOError:
                    commands.append(ActiveCommand(**json.load(file)))
                else:
                    path.unlink(missing_ok=True)  # its process was killed
        return commands
