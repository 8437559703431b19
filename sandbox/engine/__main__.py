"""`python -m sandbox.engine`: run any Pulumi Python program without a Pulumi CLI."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, NoReturn, cast, get_args
from urllib.parse import urlparse

import click

from sandbox.engine import (
    Deviations,
    Diagnostic,
    EngineError,
    Request,
    Result,
    UsageError,
    display_for,
    export_stack,
    import_stack,
)
from sandbox.engine.errors import ConfigurationError
from sandbox.engine.language_host.project import load_project
from sandbox.engine.operation import run
from sandbox.engine.request import Kind


def _providers() -> dict[str, int]:
    ports = {}
    for item in filter(None, os.environ.get("PULUMI_DEBUG_PROVIDERS", "").split(",")):
        name, _, port = item.partition(":")
        if not name or not port.isdigit():
            raise UsageError(
                f"PULUMI_DEBUG_PROVIDERS has {item!r}; the format is name:port,name:port."
            )
        ports[name] = int(port)
    return ports


def _backend() -> Path | str:
    url = os.environ.get("PULUMI_BACKEND_URL", "")
    parsed = urlparse(url)
    if parsed.scheme == "s3":
        return url
    if parsed.scheme != "file":
        raise UsageError(
            "Set PULUMI_BACKEND_URL to where the state is: file:///path or "
            "s3://BUCKET?region=REGION. No other backend is supported."
        )
    return Path(parsed.netloc + parsed.path).expanduser()


def _passphrase() -> str | None:
    if "PULUMI_CONFIG_PASSPHRASE" in os.environ:
        return os.environ["PULUMI_CONFIG_PASSPHRASE"]
    if os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        try:
            return Path(os.environ["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text().strip()
        except OSError as error:
            raise UsageError(f"PULUMI_CONFIG_PASSPHRASE_FILE is unreadable: {error}.") from error
    return None


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("operation", type=click.Choice(["preview", "up", "refresh", "destroy"]))
@click.option(
    "--cwd",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="The program's directory.",
)
@click.option("--stack", "-s", required=True, help="The stack's name.")
@click.option(
    "--config-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Use instead of Pulumi.<stack>.yaml.",
)
@click.option(
    "--config",
    "-c",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set configuration for this run; dots address nested values.",
)
@click.option(
    "--target",
    "-t",
    multiple=True,
    metavar="URN",
    help="Operate on this resource only; * and ** match.",
)
@click.option("--target-dependents", is_flag=True, help="Also operate on the targets' dependents.")
@click.option(
    "--parallel",
    "-p",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Maximum number of concurrent operations.",
)
@click.option("--expect-no-changes", is_flag=True, help="Exit with 7 if anything changes.")
@click.option(
    "--run-program", is_flag=True, help="Run the program in a destroy, for its resource hooks."
)
@click.option(
    "--clear-pending-creates",
    is_flag=True,
    help="Remove the records of interrupted creations in a refresh.",
)
@click.option("--diff", is_flag=True, help="Show every changed property.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
def main(
    operation: Kind,
    cwd: Path,
    stack: str,
    config_file: Path | None,
    config: tuple[str, ...],
    target: tuple[str, ...],
    target_dependents: bool,
    parallel: int,
    expect_no_changes: bool,
    run_program: bool,
    clear_pending_creates: bool,
    diff: bool,
    as_json: bool,
) -> None:
    """Run OPERATION on a stack of the Pulumi program in --cwd.

    PULUMI_DEBUG_PROVIDERS=name:port,… lists the providers; PULUMI_BACKEND_URL=file://… or s3://…
    locates the state. `export` and `import` are further operations (`export --help`).
    Exit codes: 0 success, 1 failure, 2 wrong usage, 7 unexpected changes.
    """
    overrides = {}
    for item in config:
        key, sign, text = item.partition("=")
        if not sign:
            raise UsageError(f"-c {item}: the format is KEY=VALUE.")
        overrides[key] = text
    if run_program and operation != "destroy":
        raise UsageError(f"--run-program is an option of destroy, not of {operation}.")
    if clear_pending_creates and operation != "refresh":
        raise UsageError(f"--clear-pending-creates is an option of refresh, not of {operation}.")
    request = Request(
        kind=operation,
        directory=cwd,
        stack=stack,
        backend=_backend(),
        passphrase=_passphrase(),
        config_file=config_file,
        providers=_providers(),
        targets=target,
        target_dependents=target_dependents,
        expect_no_changes=expect_no_changes,
        parallel=parallel,
        configuration=overrides,
        run_program=run_program,
        deviations=Deviations(forget_creations=clear_pending_creates),
    )
    result = run(request, display_for(sys.stderr if as_json else sys.stdout, diff=diff))
    if as_json:
        click.echo(json.dumps(result.to_json(), default=str))
    sys.exit(result.exit_code)


_STATE_OPTIONS = (
    click.option("--cwd", type=click.Path(file_okay=False, path_type=Path), default=Path()),
    click.option("--stack", "-s", required=True, help="The stack's name."),
)


def _of_state(function: Callable[..., None]) -> click.Command:
    for option in _STATE_OPTIONS:
        function = option(function)
    name = function.__name__.removesuffix("_")
    return click.command(name, context_settings={"help_option_names": ["-h", "--help"]})(function)


@_of_state
def export(cwd: Path, stack: str) -> None:
    """Print the stack's state, as `pulumi stack export` does."""
    document = export_stack(_backend(), load_project(cwd).name, stack, _passphrase())
    click.echo(json.dumps(document, indent=4))


@click.option("--secrets-provider", help="Encrypt the secrets with this: awskms://….")
@click.option("--file", type=click.File(), default="-", help="The exported state.")
@_of_state
def import_(cwd: Path, stack: str, file: IO[str], secrets_provider: str | None) -> None:
    """Replace the stack's state by an exported one."""
    try:
        document = json.load(file)
    except ValueError as error:
        raise UsageError(f"{file.name} is not an exported stack: {error}.") from error
    import_stack(
        _backend(), load_project(cwd).name, stack, _passphrase(), document, secrets_provider
    )


STATE_COMMANDS = {"export": export, "import": import_}


def engine(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; with `--json`, every error is one document."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        command = STATE_COMMANDS.get(words[0], main) if words else main
        command(words[1:] if command is not main else words, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        _fail(words, 2, error.format_message())
    except EngineError as error:
        click.echo(f"error: {error}", err=True)
        wrong_usage = isinstance(error, UsageError) and not isinstance(error, ConfigurationError)
        _fail(words, 2 if wrong_usage else 1, str(error))
    except (KeyboardInterrupt, click.Abort):
        click.echo("error: Interrupted.", err=True)
        _fail(words, 1, "Interrupted; the state lists what was in progress.")
    except Exception as error:  # noqa: BLE001 - every error ends in a message, such as a full disk
        message = f"{type(error).__name__}: {error}"
        click.echo(f"error: {message}", err=True)
        _fail(words, 1, message)


def _fail(arguments: Sequence[str], code: int, message: str) -> NoReturn:
    if "--json" in arguments:
        operations = [item for item in arguments if item in get_args(Kind)]
        operation = cast(Kind, operations[0] if operations else "")
        failed = Result("failed", _stack_of(arguments), operation, {}, 0)
        failed.diagnostics.append(Diagnostic("error", "", message))
        click.echo(json.dumps(failed.to_json()))
    sys.exit(code)


def _stack_of(arguments: Sequence[str]) -> str:
    for item, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if item in ("--stack", "-s"):
            return following
        if item.startswith("--stack="):
            return item.partition("=")[2]
    return ""


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # Both request an orderly end, also if the shell started this with interrupts ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        engine()
    except SystemExit as ending:
        sys.stdout.flush()
        sys.stderr.flush()
        # After a second interrupt, threads may still wait for a provider.
        os._exit(int(ending.code or 0))
