"""Where the sandbox keeps its files: one folder, `.sandbox/` beside the program, so that two clones never meet."""

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

PROJECT_DIRECTORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Work:
    """A command that is at work with what the background process holds: its words, its process id, its local start time."""

    command: str
    pid: int
    since: str

    def __str__(self) -> str:
        return f"`{self.command}` (process {self.pid}, since {self.since})"


@dataclass(frozen=True)
class Home:
    """The sandbox's folder and the places in it. `SANDBOX_HOME` moves it."""

    path: Path

    @classmethod
    def of_project(cls, project: Path = PROJECT_DIRECTORY) -> Home:
        """The home of a clone: `SANDBOX_HOME`, or `.sandbox/` in the clone."""
        return cls(Path(os.environ.get("SANDBOX_HOME") or project / ".sandbox").absolute())

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
    def logs(self) -> Path:
        """What the background processes print."""
        return self.path / "logs"

    @property
    def daemon_log(self) -> Path:
        """What the background process and its providers print."""
        return self.logs / "daemon.log"

    @property
    def announcement(self) -> Path:
        """Where the running background process says which ports it has."""
        return self.path / "daemon.json"

    @property
    def _made(self) -> Path:
        return self.path / "made"

    @property
    def _notes(self) -> Path:
        return self.path / "working"

    def stack_file(self, stack: str, overrides: Sequence[str] = ()) -> Path:
        """The stack file of one run: the project's, with the run's overrides and the sandbox's own keys.

        Each set of overrides has a place of its own: a preview of something else mustn't reach an `up` that begins.
        """
        folder = self.path / "config"
        if overrides:
            folder /= hashlib.sha256("\0".join(overrides).encode()).hexdigest()[:16]
        return folder / f"Pulumi.{stack}.yaml"

    def kubeconfig(self, stack: str) -> Path:
        """The kubeconfig that `python -m sandbox env` points kubectl at."""
        return self.path / "kube" / f"{stack}.yaml"

    def prepare(self) -> None:
        """Make the folders; readable by their owner only, since state and keys are in them."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)  # something else may have made it first
        for folder in (
            self.state,
            self.account,
            self.kubernetes,
            self.registry,
            self.logs,
            self.path / "config",
            self.path / "kube",
            self._notes,
        ):
            folder.mkdir(mode=0o700, exist_ok=True)

    def note_made(self, stack: str, urn: str, id: str) -> None:
        """Note what a provider has made, before the engine hears of it: it may be killed before it writes that down."""
        self._made.mkdir(mode=0o700, exist_ok=True)
        with (self._made / f"{stack}.jsonl").open("a") as file:
            file.write(json.dumps([urn, id]) + "\n")

    def made(self, stack: str) -> list[tuple[str, str]]:
        """URN and id of what was made for a stack since the last operation that was written down whole, oldest first."""
        try:
            lines = (self._made / f"{stack}.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        pairs = (json.loads(line) for line in lines if line.endswith("]"))  # a crash may have cut off the last
        return [(urn, id) for urn, id in pairs]

    def forget_made(self, stack: str) -> None:
        """Forget these notes: the stack's state has it all."""
        (self._made / f"{stack}.jsonl").unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove what account, clusters, registry and stacks hold; nothing may be running. Caches and passphrase stay."""
        for folder in (
            self.account,
            self.kubernetes,
            self.registry,
            self.state,
            self.path / "config",
            self.path / "kube",
            self._made,
        ):
            shutil.rmtree(folder, ignore_errors=True)
        self.prepare()

    def passphrase(self) -> str:
        """The passphrase that secrets in the sandbox's state are encrypted with, made up at the first call."""
        self.prepare()
        file = self.passphrase_file
        if not file.exists():
            # Written whole before it has its name: of two commands that begin at once, each reads the same one.
            handle, new = tempfile.mkstemp(prefix="passphrase-", dir=self.path)
            with os.fdopen(handle, "w") as opened:
                opened.write(secrets.token_urlsafe(32))
            with suppress(FileExistsError):
                os.link(new, file)
            Path(new).unlink()
        return file.read_text()

    @property
    def passphrase_file(self) -> Path:
        """The file that holds the passphrase; `PULUMI_CONFIG_PASSPHRASE_FILE` for a Pulumi CLI."""
        return self.path / "passphrase"

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold an exclusive lock between processes of this clone."""
        self.prepare()
        with (self.path / f"{name}.lock").open("w") as file:
            flock(file, LOCK_EX)
            try:
                yield
            finally:
                flock(file, LOCK_UN)

    @contextmanager
    def working(self, command: str) -> Iterator[None]:
        """Be among those `at_work`, for as long as this process lives at most: the lock on the note is what counts."""
        work = Work(command, os.getpid(), datetime.now().astimezone().strftime("%H:%M:%S"))
        with self.locked("daemon"):
            note = self._notes / f"{work.pid}.json"
            file = note.open("w")
            flock(file, LOCK_EX)
            file.write(json.dumps(asdict(work)))
            file.flush()
        try:
            yield
        finally:
            note.unlink(missing_ok=True)
            file.close()

    def at_work(self) -> list[Work]:
        """The commands of other processes that are at work. Call it with the lock "daemon" held."""
        found = []
        for note in sorted(self._notes.glob("*.json")):
            if note.stem == str(os.getpid()):
                continue
            # Who comes to an end meanwhile takes its note away, which needs no lock.
            with suppress(FileNotFoundError), note.open() as file:
                try:
                    flock(file, LOCK_EX | LOCK_NB)
                except BlockingIOError:
                    found.append(Work(**json.load(file)))
                else:
                    note.unlink(missing_ok=True)  # of a process that was killed
        return found
