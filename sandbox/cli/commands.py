"""The command group and its global options; prints each error as one message."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import get_completion_class

from sandbox.cli.output import DONE

_VARIABLE = "_SANDBOX_COMPLETE"
_GROUPS = {
    "Operations": {
        "up": "operations",
        "preview": "operations",
        "refresh": "operations",
        "destroy": "operations",
    },
    "Releases": {
        "release": "release",
        "pipeline": "pipeline",
        "connection": "connection",
        "codebuild": "codebuild",
        "notifications": "notifications",
    },
    "Service": {"url": "service", "open": "service", "logs": "service", "psql": "psql"},
    "Stacks": {
        "new": "new",
        "config": "config",
        "diff": "comparison",
        "output": "stacks",
        "env": "stacks",
        "history": "stacks",
        "export": "stacks",
        "import": "stacks",
    },
    "Account and machine": {
        "console": "console",
        "status": "machine",
        "inventory": "machine",
        "doctor": "machine",
        "stop": "machine",
        "repair": "machine",
        "reset": "machine",
        "completion": "commands",
    },
}
"""The commands of each section of `--help`, and their modules."""


class _Commands(click.Group):
    """Imports the module of a command when it is used: together they take half a second."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of `--help`."""
        del ctx
        return [name for group in _GROUPS.values() for name in group]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name, or None."""
        del ctx
        modules = {name: module for group in _GROUPS.values() for name, module in group.items()}
        if cmd_name not in modules:
            return None
        module = import_module(f"sandbox.cli.{modules[cmd_name]}")
        reserved = {"open": "open_", "import": "import_"}
        command: click.Command = getattr(module, reserved.get(cmd_name, cmd_name))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section for each group."""
        width = max(map(len, self.list_commands(ctx))) + 2
        for title, names in _GROUPS.items():
            commands = [command for name in names if (command := self.get_command(ctx, name))]
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (f"{command.name:<{width}}", command.get_short_help_str(90))
                        for command in commands
                    ]
                )


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL: source <(sandbox completion bash)."""
    script = get_completion_class(shell)
    assert script is not None  # noqa: S101 - one of click's own shells
    click.echo(script(commands, {}, "sandbox", _VARIABLE).source())


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "-C",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Use the Pulumi project in DIR instead of the current directory.",
)
@click.version_option(package_name="platform", prog_name="sandbox")
def commands(directory: Path | None) -> None:
    """Run this project's stacks on this machine: AWS account, Kubernetes and registry.

    \b
      sandbox up dev         create and update dev
      sandbox preview dev    show what would change
      sandbox output dev     show its outputs
      sandbox release dev    test, build and deploy HEAD
      eval "$(sandbox env dev)"; kubectl get pods -A
      sandbox destroy dev    delete dev

    Exit codes: 0 success, 1 failure, 2 wrong usage, 7 unexpected changes.
    """
    if directory is not None:
        os.chdir(directory)


def main() -> NoReturn:
    """Run a command; print each error as one message and, with `--json`, as one document."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # the terminal may lack a character
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    document: dict[str, Any] = {}
    code = DONE
    try:
        commands.main(
            standalone_mode=False, prog_name="sandbox", obj=document, complete_var=_VARIABLE
        )
    except SystemExit as ended:
        code = int(ended.code or DONE)
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    except BrokenPipeError:
        pass  # the reader has closed the pipe
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last frame before the user
        code, message = _explain(error)
        _report(message, document)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    except OSError as error:  # the output is incomplete, on a full disk for example
        code, message = _explain(error)
        sys.stderr.write(f"error: {message}\n")
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    # After a second interrupt, threads may still wait for a provider.
    os._exit(code)


def _explain(error: BaseException) -> tuple[int, str]:
    from sandbox.cli.failures import explain  # noqa: PLC0415 - only failures need it

    return explain(error)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _report(message: str, document: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"error: {message}\n")
        if "--json" in sys.argv[1:]:
            failure = {**document, "result": "failed", "error": message}
            if "diagnostics" in document:
                diagnostic = {"severity": "error", "urn": "", "message": message}
                failure["diagnostics"] = [*document["diagnostics"], diagnostic]
            sys.stdout.write(json.dumps(failure, indent=2) + "\n")
