"""`up`, `preview`, `refresh`, `destroy`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import IO, Any

import click

from sandbox.cli import options
from sandbox.cli.output import DONE, FAILED, Output
from sandbox.engine import Diagnostic, Result, display_for
from sandbox.engine.display.plain import PlainDisplay
from sandbox.engine.request import Kind
from sandbox.runtime.home import Home
from sandbox.runtime.operations import EngineChoice, Session, choose_engine, engine_name, operate


def _operation(
    kind: Kind,
    stack: str,
    overrides: tuple[str, ...],
    config_from: IO[str] | None,
    engine: EngineChoice,
    targets: tuple[str, ...],
    time_scale: float,
    *,
    as_json: bool,
    diff: bool,
    expect_no_changes: bool,
    yes: bool,
    skip_preview: bool = False,
) -> None:
    output = Output(as_json=as_json)
    interactive = sys.stdin.isatty() and not as_json
    if kind == "destroy" and not yes and not interactive:
        raise click.UsageError(
            f"destroy removes everything that stack {stack} holds; pass --yes to confirm "
            "where there is no terminal to ask on."
        )
    failure = click.get_current_context().ensure_object(dict)  # the document of an early error
    failure.update(Result("failed", stack, kind, {}, 0).to_json())
    cli = choose_engine(engine)
    failure["engine"] = engine_name(cli)
    home = Home.of_project()
    overrides += tuple(_lines(config_from))
    with home.active(f"{kind} {stack}"):
        session = Session.open(home, stack, overrides, time_scale)
        for note in session.file.notes:
            output.note(note)
        stream = sys.stderr if as_json else sys.stdout

        def run(operation: Kind, total: int = 0) -> Result:
            display = display_for(stream, diff=diff, total=total)
            return operate(
                session,
                operation,
                cli,
                display,
                targets=targets,
                expect_no_changes=expect_no_changes and operation == kind,
            )

        total = session.resource_count() if kind == "destroy" else 0
        if kind == "destroy" and not yes and not session.protected_resources():
            click.confirm(
                f"Delete all {total} resources of stack {stack} in the sandbox?",
                abort=True,
                err=True,
            )
        if kind == "up" and interactive and not yes and not skip_preview:
            total = _confirm_preview(run("preview"), stack)
        result = run(kind, total)
        if result.exit_code == FAILED and not session.running.is_alive:
            message = (
                f"the sandbox's background process ended during this {kind} (its log: "
                f"{home.daemon_log}). The state holds what was done; run `{kind}` again to "
                "continue."
            )
            output.note(message)
            result.diagnostics.append(Diagnostic("error", "", message))
    output.document(result.to_json())
    if result.exit_code != DONE:
        raise SystemExit(result.exit_code)


def _confirm_preview(preview: Result, stack: str) -> int:
    """Ask whether to perform the previewed update; return its number of resources."""
    if preview.exit_code != DONE:
        raise SystemExit(preview.exit_code)
    while preview.changed:
        question = f"Perform this update of stack {stack}?"
        answer = click.prompt(question, type=click.Choice(["yes", "no", "details"]), default="no")
        if answer == "yes":
            break
        if answer == "no":
            raise click.Abort
        details = PlainDisplay(sys.stdout)
        for step in preview.steps:
            details.step_finished(step)
    return sum(preview.changes.values())


def _lines(file: IO[str] | None) -> Iterator[str]:
    for line in file or ():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line.rstrip("\n")


@click.command()
@options.operation
@click.option("--skip-preview", is_flag=True, help="Ask for no confirmation after a preview.")
def up(stack: str, **arguments: Any) -> None:
    """Create and update the resources of STACK."""
    _operation("up", stack, **arguments)


@click.command()
@options.operation
def preview(stack: str, **arguments: Any) -> None:
    """Show the changes that `up` would make."""
    _operation("preview", stack, **arguments)


@click.command()
@options.operation
def refresh(stack: str, **arguments: Any) -> None:
    """Update STACK's state from the account."""
    _operation("refresh", stack, **arguments)


@click.command()
@options.operation
def destroy(stack: str, **arguments: Any) -> None:
    """Delete all resources of STACK."""
    _operation("destroy", stack, **arguments)
