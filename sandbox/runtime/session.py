"""A stack that is ready to run, and what its state contains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.engine import stack_outputs
from sandbox.engine.state.backend import Backend
from sandbox.engine.state.resource import is_default_provider
from sandbox.runtime import stack_files
from sandbox.runtime.background import DaemonInfo, ensure_running
from sandbox.runtime.environment import clean_environment
from sandbox.runtime.home import Home, find_project
from sandbox.runtime.in_build import as_role, link_packages
from sandbox.runtime.settings_check import Check
from sandbox.runtime.waiting import announced


@dataclass(frozen=True, kw_only=True)
class Session:
    """A stack that is ready to run: background process, stack file and environment."""

    home: Home
    stack: str
    file: stack_files.StackFile
    running: DaemonInfo
    project: Path
    state: Path

    @classmethod
    def open(
        cls,
        home: Home,
        stack: str,
        overrides: Sequence[str] = (),
        time_scale: float = 0.0,
        *,
        check: bool = False,
    ) -> Session:
        """Prepare the stack file first, so that an invalid one is refused before a start.

        `check` validates the configuration by the program's rules as well.
        """
        project = find_project()
        link_packages(project)
        salt = _salt(home, project, stack)
        file = stack_files.prepare(home, project, stack, overrides, salt=salt)
        if check:
            rules = Check.of_project(home, project, stack_files.project_name(project))
            with announced("Validating the settings."):
                rules.run(stack, file.config, overrides, file.original)
        running = as_role(ensure_running(home, time_scale=time_scale), home)
        return cls(
            home=home, stack=stack, file=file, running=running, project=project, state=home.state
        )

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the program and its providers."""
        variables = clean_environment() | self.running.environment(self.home, self.file.region)
        return variables | {"PULUMI_BACKEND_URL": self.state.as_uri()}

    @property
    def project_name(self) -> str:
        """The Pulumi project's name."""
        return stack_files.project_name(self.project)

    def resource_count(self) -> int:
        """Return the number of resources in the stack's state, without default providers."""
        return sum(not is_default_provider(item["urn"]) for item in self.resources())

    def protected_resources(self) -> list[str]:
        """Return the URNs of the stack's protected resources."""
        return [item["urn"] for item in self.resources() if item.get("protect")]

    def outputs(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """Return the stack's outputs, by default with secrets masked."""
        return stack_outputs(
            self.home.state,
            self.project_name,
            self.stack,
            self.home.passphrase(),
            show_secrets=show_secrets,
        )

    def namespace(self) -> str | None:
        """Return the Kubernetes namespace that the stack created, if it created exactly one."""
        names = [
            item["outputs"]["metadata"]["name"]
            for item in self.resources()
            if item["type"] == "kubernetes:core/v1:Namespace" and item.get("outputs")
        ]
        return names[0] if len(names) == 1 else None

    def image_digests(self) -> list[str]:
        """Return the references, with digests, of the images that the stack built."""
        return [
            str(item["outputs"]["repoDigest"])
            for item in self.resources()
            if item["type"] == "docker:index/image:Image"
            and "@" in str(item["outputs"].get("repoDigest"))
        ]

    def interrupted(self) -> dict[str, str]:
        """Return URN and type of each operation that a killed run left unfinished."""
        pending = self._deployment().get("pending_operations") or []
        return {item["resource"]["urn"]: item["type"] for item in pending}

    def parents(self) -> dict[str, str]:
        """Return the parent's URN of each resource in the stack's state."""
        return {item["urn"]: item.get("parent", "") for item in self.resources()}

    def resources(self) -> list[dict[str, Any]]:
        """Return the resources in the stack's state."""
        return list(self._deployment().get("resources") or [])

    def _deployment(self) -> dict[str, Any]:
        backend = Backend(self.state)
        exists = backend.exists(self.project_name, self.stack)
        return backend.read(self.project_name, self.stack) if exists else {}


def _salt(home: Home, project: Path, stack: str) -> str | None:
    """Return the salt of the secrets in the stack's state, if there is a state."""
    backend, name = Backend(home.state), stack_files.project_name(project)
    deployment = backend.read(name, stack) if backend.exists(name, stack) else {}
    provider = deployment.get("secrets_providers") or {}
    return (provider.get("state") or {}).get("salt")
