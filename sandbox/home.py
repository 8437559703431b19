"""Where the sandbox keeps its files: one folder, `.sandbox/` beside the program, so that two clones never meet."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_UN, flock
from pathlib import Path

PROJECT_DIRECTORY = Path(__file__).resolve().parent.parent


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
    def announcement(self) -> Path:
        """Where the running background process says which ports it has."""
        return self.path / "daemon.json"

    def stack_file(self, stack: str) -> Path:
        """The stack file of one run: the project's, with the run's overrides and the sandbox's own keys."""
        return self.path / "config" / f"Pulumi.{stack}.yaml"

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
        ):
            folder.mkdir(mode=0o700, exist_ok=True)

    def forget(self) -> None:
        """Remove what account, clusters, registry and stacks hold; nothing may be running. Caches and passphrase stay."""
        for folder in (
            self.account,
            self.kubernetes,
            self.registry,
            self.state,
            self.path / "config",
            self.path / "kube",
        ):
            shutil.rmtree(folder, ignore_errors=True)
        self.prepare()

    def passphrase(self) -> str:
        """The passphrase that secrets in the sandbox's state are encrypted with, made up at the first call."""
        self.prepare()
        file = self.passphrase_file
        try:
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
                new.write(secrets.token_urlsafe(32))
        except FileExistsError:
            pass
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
