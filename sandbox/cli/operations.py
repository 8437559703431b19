"""`up`, `preview`, `refresh`, `destroy`."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Any

import click

from sandbox.cli import options
from sandbox.cli.cluster_choice import ClusterChoice
from sandbox.cli.output import DONE, FAILED, Output
from sandbox.engine import Diagnostic, Display, PlainDisplay, Result, display_for
from sandbox.engine.request import Kind
from sandbox.runtime.background import find
from sandbox.runtime.home import Home, Unemulated, find_project
from sandbox.runtime.operations import (
    EngineChoice,
    Options,
    choose_engine,
    engine_name,
    operate,
)
from sandbox.runtime.session import Session
from sandbox.runtime.stack_files import project_name
from sandbox.runtime.waiting import announced


def _operation(
    kind: Kind,
    stack: str,
    overrides: tuple[str, ...],
    config_from: IO[str] | None,
    engine: EngineChoice,
    time_scale: float,
    *,
    as_json: bool,
    diff: bool,
    yes: bool,
    kubernetes: str | None = None,
    unemulated: Unemulated | None = None,
    skip_preview: bool = False,
    abandon_objects: bool = False,
    **chosen: Any,
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
    chosen_options = Options(**chosen)
    cluster = ClusterChoice(home, project_name(find_project()), stack, kubernetes)
    cluster.check(kind, abandon=abandon_objects)
    with home.active(f"{kind} {stack}"):
        runs_program = kind in ("up", "preview")
        session = Session.open(home, stack, overrides, time_scale, check=runs_program)
        if unemulated:
            home.choose_unemulated(session.project_name, stack, unemulated)
        for note in session.file.notes:
            output.note(note)
        stream = sys.stderr if as_json else sys.stdout

        def run(operation: Kind, total: int = 0, *, quiet: bool = False) -> Result:
            options = chosen_options
            if operation != kind:  # a preview before the operation
                options = replace(options, expect_no_changes=False, message="")
            parents = session.parents()

            def display() -> Display:
                if quiet:
                    return PlainDisplay(io.StringIO())
                return display_for(stream, diff=diff, total=total, parents=parents)

            return operate(session, operation, cli, display, options)

        total = session.resource_count()
        if kind == "destroy" and not yes and not session.protected_resources():
            click.confirm(
                f"Delete all {total} resources of stack {stack} in the sandbox?",
                abort=True,
                err=True,
            )
        if kind == "up" and interactive and not yes and not skip_preview:
            total = _confirm_preview(run("preview"), stack)
        elif kind == "up" and not (
            cli or as_json or skip_preview or total or chosen_options.targets
        ):  # the display of the CLI has no total
            with announced("Counting the resources of the first update."):
                total = sum(run("preview", quiet=True).changes.values())
        cluster.begin(kind, abandon=abandon_objects)
        result = run(kind, total)
        if result.exit_code == FAILED and find(home) is None:
            _report_ended(session, result, output)
        notes = cluster.end(result, whole=chosen_options.is_whole)
        if kind == "destroy" and result.exit_code == DONE and chosen_options.is_whole:
            home.choose_unemulated(session.project_name, stack, "refuse")
    if kind == "up" and result.exit_code == DONE:
        # Imported here: a preview needs no client of the cluster.
        from sandbox.cli.releases import report_service  # noqa: PLC0415

        report_service(session, output)
    for note in notes:
        output.note(note)
    output.document(result.to_json())
    if result.exit_code != DONE:
        raise SystemExit(result.exit_code)


def _report_ended(session: Session, result: Result, output: Output) -> None:
    """Report that the background process ended during an operation."""
    message = (
        f"the sandbox's background process ended during this {result.kind} (its log: "
        f"{session.home.daemon_log}). The state holds what was done; run `{result.kind}` again to "
        "continue."
    )
    output.note(message)
    result.diagnostics.append(Diagnostic("error", "", message))


def _confirm_preview(preview: Result, stack: str) -> int:
    """Ask whether to perform the previewed update; return its number of resources."""
    if preview.exit_code != DONE:
        raise SystemExit(preview.exit_code)
    while preview.changed:
        question = f"Perform this update of stack {stack}?"
        choice = click.prompt(question, type=click.Choice(["yes", "no", "details"]), default="no")
        if choice == "yes":
            break
        if choice == "no":
            raise click.Abort
        details = PlainDisplay(sys.stdout, preview=True)
        for step in preview.steps:
            details.step_finished(step)
    return sum(preview.changes.values())


def _lines(file: IO[str] | None) -> Iterator[str]:
    for line in file or ():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line.rstrip("\n")


@click.command()
@options.operation
@options.refresh
@options.message
@click.option("--skip-preview", is_flag=True, help="Neither preview nor ask.")
def up(stack: str, **arguments: Any) -> None:
    """Create and update the resources of STACK."""
    _operation("up", stack, **arguments)


@click.command()
@options.operation
@options.refresh
def preview(stack: str, **arguments: Any) -> None:
    """Show the changes that `up` would make."""
    _operation("preview", stack, **arguments)


@click.command()
@options.operation
@options.message
def refresh(stack: str, **arguments: Any) -> None:
    """Update STACK's state from the account."""
    _operation("refresh", stack, **arguments)


@click.command()
@options.operation
@options.message
@click.option(
    "--abandon-objects",
    is_flag=True,
    help="Leave the objects in the cluster of --kubernetes, which no longer exists.",
)
def destroy(stack: str, **arguments: Any) -> None:
    """Delete all resources of STACK."""
    _operation("destroy", stack, **arguments)
