"""Runs the stack with the Pulumi CLI or with the sandbox's engine, as child processes."""

from __future__ import annotations

import json
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml

_ENCRYPTION_KEYS = {"encryptionsalt", "encryptedkey", "secretsprovider"}


class EngineFailedError(Exception):
    """A command failed; the message says which."""


class Engine(ABC):
    """One engine, with one location of the state."""

    name = ""

    def __init__(self, directory: Path, variables: Mapping[str, str]) -> None:
        self.directory, self.variables = directory, dict(variables)
        self.stack_file = Path()

    def at(self, backend: str, stack_file: Path, *, passphrase: str | None) -> Self:
        """Use this state and stack file; `passphrase` None for a key in KMS."""
        variables = dict(self.variables) | {"PULUMI_BACKEND_URL": backend}
        if passphrase is not None:
            variables["PULUMI_CONFIG_PASSPHRASE"] = passphrase
        other = self._copy(variables)
        other.stack_file = stack_file.absolute()
        return other

    @abstractmethod
    def _copy(self, variables: Mapping[str, str]) -> Self:
        """Return this engine with other variables."""

    @abstractmethod
    def init(self, stack: str, secrets_provider: str) -> None:
        """Create the stack if it does not exist."""

    @abstractmethod
    def up(self, stack: str, *, expect_no_changes: bool = False) -> None:
        """Update the stack."""

    @abstractmethod
    def export(self, stack: str) -> str:
        """Return the state."""

    @abstractmethod
    def import_(self, stack: str, file: Path, secrets_provider: str) -> None:
        """Create the stack from a state, with its secrets encrypted by another provider."""

    @abstractmethod
    def outputs(self, stack: str) -> dict[str, Any]:
        """Return the stack's outputs."""

    def _run(self, command: Sequence[str], *, capture: bool = False) -> str:
        ran = subprocess.run(
            command,
            cwd=self.directory,
            env=self.variables,
            stdout=subprocess.PIPE if capture else None,
            text=True,
            check=False,
        )
        if ran.returncode != 0:
            raise EngineFailedError(
                f"`{' '.join(Path(word).name for word in command[:3])}` failed with exit code "
                f"{ran.returncode}; its message is above. Run this again to continue."
            )
        return ran.stdout or ""


class PulumiCli(Engine):
    """The Pulumi CLI."""

    def __init__(self, directory: Path, variables: Mapping[str, str], path: str) -> None:
        super().__init__(directory, variables)
        self.path = path
        self.name = "the Pulumi CLI"

    def _copy(self, variables: Mapping[str, str]) -> Self:
        return type(self)(self.directory, variables, self.path)

    def _pulumi(self, *arguments: str, capture: bool = False) -> str:
        self.variables["PULUMI_OPTION_CONFIG_FILE"] = str(self.stack_file)
        command = [self.path, *arguments]
        if not (sys.stdin.isatty() and arguments[0] == "up"):
            command.append("--non-interactive")
        return self._run(command, capture=capture)

    def init(self, stack: str, secrets_provider: str) -> None:
        """Create the stack if it does not exist."""
        stacks = json.loads(self._pulumi("stack", "ls", "--json", capture=True))
        if stack in {item["name"].rpartition("/")[2] for item in stacks}:
            return
        # `stack init` writes the provider of secrets to the project's stack file only.
        file = self.directory / f"Pulumi.{stack}.yaml"
        before = file.read_text()
        try:
            self._pulumi("stack", "init", stack, "--secrets-provider", secrets_provider)
            written = yaml.safe_load(file.read_text())
        finally:
            if self.stack_file != file:
                file.write_text(before)
        content = yaml.safe_load(self.stack_file.read_text())
        content |= {key: written[key] for key in _ENCRYPTION_KEYS & written.keys()}
        if self.stack_file != file:
            self.stack_file.write_text(yaml.safe_dump(content, sort_keys=False))

    def up(self, stack: str, *, expect_no_changes: bool = False) -> None:
        """Update the stack; on a terminal the CLI shows a preview and asks."""
        arguments = ["up", "--stack", stack]
        arguments += ["--expect-no-changes"] if expect_no_changes else []
        asks = sys.stdin.isatty() and not expect_no_changes
        self._pulumi(*arguments, *([] if asks else ["--yes", "--skip-preview"]))

    def export(self, stack: str) -> str:
        """Return the state."""
        return self._pulumi("stack", "export", "--stack", stack, "--show-secrets", capture=True)

    def import_(self, stack: str, file: Path, secrets_provider: str) -> None:
        """Create the stack, then replace its state."""
        self.init(stack, secrets_provider)
        # The CLI would keep the provider that the state names, instead of the stack's.
        document = json.loads(file.read_text())
        document["deployment"].pop("secrets_providers", None)
        file.write_text(json.dumps(document))
        self._pulumi("stack", "import", "--stack", stack, "--file", str(file))

    def outputs(self, stack: str) -> dict[str, Any]:
        """Return the stack's outputs."""
        text = self._pulumi("stack", "output", "--json", "--stack", stack, capture=True)
        return dict(json.loads(text))


class EmbeddedEngine(Engine):
    """The engine of the sandbox."""

    name = "the embedded engine"

    def _copy(self, variables: Mapping[str, str]) -> Self:
        return type(self)(self.directory, variables)

    def _engine(self, operation: str, stack: str, *arguments: str, capture: bool = False) -> str:
        command = [sys.executable, "-m", "sandbox.engine", operation, "--stack", stack, *arguments]
        return self._run(command, capture=capture)

    def init(self, stack: str, secrets_provider: str) -> None:
        """Do nothing: `up` creates the stack."""

    def up(self, stack: str, *, expect_no_changes: bool = False) -> None:
        """Update the stack."""
        arguments = ["--expect-no-changes"] if expect_no_changes else []
        self._engine("up", stack, "--config-file", str(self.stack_file), *arguments)

    def export(self, stack: str) -> str:
        """Return the state."""
        return self._engine("export", stack, capture=True)

    def import_(self, stack: str, file: Path, secrets_provider: str) -> None:
        """Replace the state."""
        self._engine("import", stack, "--file", str(file), "--secrets-provider", secrets_provider)

    def outputs(self, stack: str) -> dict[str, Any]:
        """Return the stack's outputs."""
        resources = json.loads(self.export(stack))["deployment"]["resources"]
        outputs = [item["outputs"] for item in resources if item["type"] == "pulumi:pulumi:Stack"]
        return dict(outputs[0])
