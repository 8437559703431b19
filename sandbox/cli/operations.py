"""`up`, `preview`, `refresh`, `destroy`."""

from __future__ import annotations

import sys

import click

from sandbox.cli import options
from sandbox.cli.output import DONE, FAILED, Output
from sandbox.engine import display_for
from sandbox.runtime import background
from sandbox.runtime.home import Home
from sandbox.runtime.operations import EngineChoice, Kind, Session, blank, choose_engine, operate, protected_resources


def _operation(
    kind: Kind,
    stack: str,
    overrides: tuple[str, ...],
    engine: EngineChoice,
    targets: tuple[str, ...],
    time_scale: float,
    *,
    as_json: bool,
    expect_no_changes: bool,
    yes: bool,
) -> None:
    output = Output(as_json=as_json)
    facts = click.get_current_context().ensure_object(dict)
    facts.update(blank(kind, stack, None))  # what the document says, should no engine come to say it
    cli = choose_engine(engine)
    facts.update(blank(kind, stack, cli))
    if kind == "destroy" and not yes and not as_json and sys.stdin.isatty():
        click.confirm(f"Remove everything that stack {stack} holds in the sandbox?", abort=True, err=True)
    home = Home.of_project()
    with home.working(f"{kind} {stack}"):
        session = Session.open(home, stack, overrides, time_scale)
        for note in session.file.notes:
            output.note(note)
        outcome = operate(
            session,
            kind,
            cli,
            display_for(sys.stderr if as_json else sys.stdout),
            targets=targets,
            expect_no_changes=expect_no_changes,
        )
        if outcome.exit_code == FAILED and background.ended(session.running):
            cut_off = (
                f"the sandbox's background process ended while this {kind} was at work (its log: {home.daemon_log}). "
                f"What was done is in the state; run `{kind}` again, which starts the sandbox again: it goes on from there."
            )
            output.note(cut_off)
            outcome.document["hint"] = cut_off
    if kind == "destroy" and outcome.exit_code != DONE and (protected := protected_resources(session)):
        lift = (
            f"stack {stack} protects {len(protected)} resources. To lift that: `python -m sandbox up {stack} -c lifecycle=ephemeral`, "
            f"then destroy. On AWS: `pulumi config set {session.project_name}:lifecycle ephemeral --stack {stack}`, `pulumi up`, then `pulumi destroy`."
        )
        output.note(lift)
        outcome.document["hint"] = lift
    output.document(outcome.document)
    if outcome.exit_code != DONE:
        raise SystemExit(outcome.exit_code)


@click.command()
@options.operation
def up(stack: str, **rest: object) -> None:
    """Bring STACK up: create and change what its settings ask for."""
    _operation("up", stack, **rest)  # type: ignore[arg-type]  # click hands the options over by name


@click.command()
@options.operation
def preview(stack: str, **rest: object) -> None:
    """Show what `up` would change."""
    _operation("preview", stack, **rest)  # type: ignore[arg-type]


@click.command()
@options.operation
def refresh(stack: str, **rest: object) -> None:
    """Read what the account really holds into STACK's state."""
    _operation("refresh", stack, **rest)  # type: ignore[arg-type]


@click.command()
@options.operation
def destroy(stack: str, **rest: object) -> None:
    """Remove everything that STACK holds."""
    _operation("destroy", stack, **rest)  # type: ignore[arg-type]
