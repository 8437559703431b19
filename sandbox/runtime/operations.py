"""One operation on one stack: prepares the run and executes it with either engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sandbox.engine import Diagnostic, Display, Request, Result, run
from sandbox.engine.request import Kind
from sandbox.engine.state.backend import Backend
from sandbox.engine.state.resource import is_default_provider
from sandbox.runtime import pulumi_cli, stack_files
from sandbox.runtime.background import DaemonInfo, ensure_running
from sandbox.runtime.environment import clean_environment
from sandbox.runtime.home import Home, find_project

EngineChoice = Literal["auto", "embedded", "pulumi"]


class NoEngineError(Exception):
    """The requested engine is not installed; the message names the remedy."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """A stack that is ready to run: background process, stack file and environment."""

    home: Home
    stack: str
    file: stack_files.StackFile
    running: DaemonInfo
    project: Path

    @classmethod
    def open(
        cls, home: Home, stack: str, overrides: Sequence[str] = (), time_scale: float = 0.0
    ) -> Session:
        """Prepare the stack file first, so that an invalid one is refused before a start."""
        project = find_project()
        salt = _salt(home, project, stack)
        file = stack_files.prepare(home, project, stack, overrides, salt=salt)
        running = ensure_running(home, time_scale=time_scale)
        return cls(home=home, stack=stack, file=file, running=running, project=project)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the program and its providers."""
        return clean_environment() | self.running.environment(self.home, self.file.region)

    @property
    def project_name(self) -> str:
        """The Pulumi project's name."""
        return stack_files.project_name(self.project)

    def resource_count(self) -> int:
        """Return the number of resources in the stack's state, without default providers."""
        return sum(not is_default_provider(item["urn"]) for item in self._resources())

    def protected_resources(self) -> list[str]:
        """Return the URNs of the stack's protected resources."""
        return [item["urn"] for item in self._resources() if item.get("protect")]

    def has_pending_operations(self) -> bool:
        """Whether an interrupted operation left resources in an unknown state."""
        return bool(self._deployment().get("pending_operations"))

    def _resources(self) -> list[dict[str, Any]]:
        return list(self._deployment().get("resources") or [])

    def _deployment(self) -> dict[str, Any]:
        backend = Backend(self.home.state)
        exists = backend.exists(self.project_name, self.stack)
        return backend.read(self.project_name, self.stack) if exists else {}


def _salt(home: Home, project: Path, stack: str) -> str | None:
    """Return the salt of the secrets in the stack's state, if there is a state."""
    backend, name = Backend(home.state), stack_files.project_name(project)
    deployment = backend.read(name, stack) if backend.exists(name, stack) else {}
    provider = deployment.get("secrets_providers") or {}
    return (provider.get("state") or {}).get("salt")


def choose_engine(choice: EngineChoice) -> pulumi_cli.PulumiCli | None:
    """Return the Pulumi CLI to use, or None for the embedded engine.

    `auto` uses the CLI only in a version that the conformance tests cover. Raises NoEngineError.
    """
    if choice == "embedded":
        return None
    cli = pulumi_cli.find()
    if choice == "pulumi" and cli is None:
        raise NoEngineError(
            "--engine pulumi needs `pulumi` and `pulumi-language-python` on PATH. "
            "Install the Pulumi CLI, or use --engine embedded."
        )
    return cli if cli and (choice == "pulumi" or cli.covered) else None


def engine_name(cli: pulumi_cli.PulumiCli | None) -> str:
    """Return the engine's name in results."""
    return f"pulumi {cli.version}" if cli else "embedded"


def operate(
    session: Session,
    kind: Kind,
    cli: pulumi_cli.PulumiCli | None,
    display: Display,
    *,
    targets: Sequence[str] = (),
    expect_no_changes: bool = False,
) -> Result:
    """Run one operation with the CLI, or with the embedded engine when `cli` is None.

    A destroy of a whole stack is refused while it holds protected resources: either engine would
    delete others before it reaches them.
    """
    if kind == "destroy" and not targets and (protected := session.protected_resources()):
        result = Result("failed", session.stack, kind, {}, 0, engine=engine_name(cli))
        result.diagnostics.append(Diagnostic("error", "", _protected(session, protected)))
        display.message(result.diagnostics[0])
        return result
    if cli is not None:
        return _run_cli(session, kind, cli, targets, expect_no_changes)
    result = run(
        Request(
            kind=kind,
            directory=session.project,
            stack=session.stack,
            backend=session.home.state,
            passphrase=session.home.passphrase(),
            config_file=session.file.path,
            providers=session.running.providers,
            targets=targets,
            expect_no_changes=expect_no_changes,
            environment=session.environment,
            created=session.home.created_resources(session.stack),
        ),
        display,
    )
    if kind != "preview" and not session.has_pending_operations():
        session.home.clear_created(session.stack)
    return result


def _protected(session: Session, protected: Sequence[str]) -> str:
    stack, project = session.stack, session.project_name
    return (
        f"nothing was deleted: stack {stack} has {len(protected)} protected resources. "
        f"To remove the protection: `python -m sandbox up {stack} -c lifecycle=ephemeral`, then "
        f"destroy. On AWS: `pulumi config set {project}:lifecycle ephemeral --stack {stack}`, "
        "`pulumi up`, then `pulumi destroy`."
    )


def _run_cli(
    session: Session,
    kind: Kind,
    cli: pulumi_cli.PulumiCli,
    targets: Sequence[str],
    expect_no_changes: bool,
) -> Result:
    backend = Backend(session.home.state)
    if kind in ("preview", "up") and not backend.exists(session.project_name, session.stack):
        backend.write(session.project_name, session.stack, "", [])
    ran = pulumi_cli.run(
        cli,
        kind,
        home=session.home,
        project=session.project,
        stack=session.stack,
        stack_file=session.file.path,
        environment=session.environment,
        targets=targets,
        expect_no_changes=expect_no_changes,
    )
    result = Result(
        "failed" if ran.exit_code not in (0, pulumi_cli.UNEXPECTED_CHANGES) else "succeeded",
        session.stack,
        kind,
        ran.changes,
        ran.seconds,
        unexpected_changes=ran.exit_code == pulumi_cli.UNEXPECTED_CHANGES,
        engine=engine_name(cli),
    )
    result.diagnostics += [Diagnostic("error", "", message) for message in ran.diagnostics]
    return result
