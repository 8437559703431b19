"""One operation on one stack in the sandbox: prepares the run, chooses the engine, and reports the same either way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sandbox.engine import Display, Request, run
from sandbox.engine.state.backend import Backend
from sandbox.runtime import pulumi_cli, stack_files
from sandbox.runtime.background import Running, ensure_running
from sandbox.runtime.environment import clean_environment
from sandbox.runtime.home import PROJECT_DIRECTORY, Home

Kind = Literal["preview", "up", "refresh", "destroy"]
EngineChoice = Literal["auto", "embedded", "pulumi"]


class NoEngineError(Exception):
    """The engine that was asked for isn't there; the text says what to do."""


@dataclass(frozen=True)
class Outcome:
    """What an operation did: the command's exit code, and what `--json` prints, alike for both engines."""

    exit_code: int
    document: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Session:
    """A stack made ready to run: the background process, the run's stack file, and the environment of both."""

    home: Home
    stack: str
    file: stack_files.StackFile
    running: Running
    project: Path = PROJECT_DIRECTORY

    @classmethod
    def open(cls, home: Home, stack: str, overrides: Sequence[str] = (), time_scale: float = 0.0) -> Session:
        """Prepare the stack's file first, so that a wrong one is refused before anything starts."""
        file = stack_files.prepare(home, PROJECT_DIRECTORY, stack, overrides, salt=_salt(home, stack))
        return cls(home=home, stack=stack, file=file, running=ensure_running(home, time_scale=time_scale))

    @property
    def environment(self) -> dict[str, str]:
        """The variables for a program and its providers in the sandbox."""
        return clean_environment() | self.running.environment(self.home, self.file.region)

    @property
    def project_name(self) -> str:
        """The Pulumi project's name."""
        return stack_files.project_name(self.project)


def _salt(home: Home, stack: str) -> str | None:
    """What the stack's state is encrypted with, once it has a state."""
    backend, project = Backend(home.state), stack_files.project_name(PROJECT_DIRECTORY)
    provider = backend.read(project, stack).get("secrets_providers") if backend.exists(project, stack) else None
    return ((provider or {}).get("state") or {}).get("salt")


def choose_engine(choice: EngineChoice) -> pulumi_cli.PulumiCli | None:
    """The Pulumi CLI to use, or None for the embedded engine.

    `auto` takes a CLI only in a version that the conformance tests have covered. Raises NoEngineError.
    """
    if choice == "embedded":
        return None
    cli = pulumi_cli.find()
    if choice == "pulumi" and cli is None:
        raise NoEngineError(
            "--engine pulumi needs `pulumi` and `pulumi-language-python` on PATH, and they aren't there. Install the Pulumi CLI, or use --engine embedded."
        )
    return cli if cli and (choice == "pulumi" or cli.covered) else None


def protected_resources(session: Session) -> list[str]:
    """URNs of what the stack's state holds and mustn't be deleted."""
    deployment = Backend(session.home.state).read(session.project_name, session.stack)
    return [item["urn"] for item in deployment.get("resources") or [] if item.get("protect")]


def _interrupted(session: Session) -> bool:
    return bool(Backend(session.home.state).read(session.project_name, session.stack).get("pending_operations"))


def operate(
    session: Session,
    kind: Kind,
    cli: pulumi_cli.PulumiCli | None,
    display: Display,
    *,
    targets: Sequence[str] = (),
    expect_no_changes: bool = False,
) -> Outcome:
    """Run one operation with the CLI, or with the embedded engine when `cli` is None."""
    if cli is not None and kind == "destroy" and not targets and (kept := protected_resources(session)):
        # The CLI deletes what it may before it meets the first protected resource; half an environment helps nobody.
        refused = f"nothing was deleted: stack {session.stack} holds {len(kept)} protected resources"
        return Outcome(1, _document(cli, session, kind, dict.fromkeys(pulumi_cli.CHANGES, 0), 1, [refused]))
    if cli is not None:
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
        return Outcome(
            ran.exit_code, _document(cli, session, kind, ran.changes, ran.exit_code, ran.diagnostics, ran.seconds)
        )
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
            made=session.home.made(session.stack),
        ),
        display,
    )
    if kind != "preview" and not _interrupted(session):
        session.home.forget_made(session.stack)
    # Changes where none were expected are a failure of the command, with either engine.
    failed = {"result": "failed"} if result.exit_code else {}
    return Outcome(result.exit_code, {**result.document(), **failed})


def blank(kind: Kind, stack: str, cli: pulumi_cli.PulumiCli | None) -> dict[str, Any]:
    """What `--json` prints of an operation that failed before it did anything, but for the reason."""
    return {
        "result": "failed",
        "engine": f"pulumi {cli.version}" if cli else "embedded",
        "stack": stack,
        "operation": kind,
        "changes": dict.fromkeys(pulumi_cli.CHANGES, 0),
        "seconds": 0.0,
        "diagnostics": [],
    }


def _document(
    cli: pulumi_cli.PulumiCli,
    session: Session,
    kind: Kind,
    changes: dict[str, int],
    exit_code: int,
    messages: Sequence[str],
    seconds: float = 0.0,
) -> dict[str, Any]:
    return {
        **blank(kind, session.stack, cli),
        "result": "failed" if exit_code else "succeeded",
        "changes": changes,
        "seconds": round(seconds, 3),
        "diagnostics": [{"severity": "error", "message": message} for message in messages],
    }
