"""The command group, its global options, and the message and exit code of every error."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import signal
import sys
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import get_completion_class

from sandbox.cli.cluster_choice import ClusterChoiceError
from sandbox.cli.codebuild import codebuild
from sandbox.cli.comparison import diff
from sandbox.cli.config import config
from sandbox.cli.connection import connection
from sandbox.cli.console import console
from sandbox.cli.machine import doctor, inventory, repair, reset, status, stop
from sandbox.cli.new import new
from sandbox.cli.notifications import notifications
from sandbox.cli.operations import destroy, preview, refresh, up
from sandbox.cli.output import DONE, FAILED, WRONG_USE
from sandbox.cli.pipeline import pipeline
from sandbox.cli.psql import psql
from sandbox.cli.release import release
from sandbox.cli.service import logs, open_, url
from sandbox.cli.stacks import env, export, history, import_, output
from sandbox.engine import EngineError, UsageError, WrongPassphraseError
from sandbox.runtime.background import DaemonError
from sandbox.runtime.cluster_backends import BackendSyntaxError
from sandbox.runtime.damage import DamagedFileError
from sandbox.runtime.home import Home
from sandbox.runtime.operations import NoEngineError
from sandbox.runtime.stack_files import OverrideError, StackFileError, UnknownStackError
from sandbox.runtime.stack_records import LostContentsError

_VARIABLE = "_SANDBOX_COMPLETE"


class _Groups(click.Group):
    """Lists the commands of `--help` in groups."""

    groups: dict[str, tuple[click.Command, ...]]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section for each group."""
        del ctx
        width = max(map(len, self.commands)) + 2
        for title, commands in self.groups.items():
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
    cls=_Groups,
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


commands.groups = {
    "Operations": (up, preview, refresh, destroy),
    "Releases": (release, pipeline, connection, codebuild, notifications),
    "Service": (url, open_, logs, psql),
    "Stacks": (new, config, diff, output, env, history, export, import_),
    "Account and machine": (
        console,
        status,
        inventory,
        doctor,
        stop,
        repair,
        reset,
        completion,
    ),
}
for _group in commands.groups.values():
    for _command in _group:
        commands.add_command(_command)


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
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BrokenPipeError):
            stream.flush()
    # After a second interrupt, threads may still wait for a provider.
    os._exit(code)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _explain(error: BaseException) -> tuple[int, str]:  # noqa: PLR0911 - one return per kind of error
    """Return the exit code and the message of an error."""
    match error:
        case click.exceptions.Abort():
            return FAILED, "canceled; nothing was changed"
        case click.ClickException():
            context = getattr(error, "ctx", None)
            if context:
                sys.stderr.write(f"{context.get_usage()}\n")
            return WRONG_USE, error.format_message()
        case UnknownStackError() | OverrideError() | UsageError() | BackendSyntaxError():
            return WRONG_USE, str(error)
        case WrongPassphraseError():
            return FAILED, (
                "the stack's secrets are encrypted with another passphrase than the one in "
                f"{Home.of_project().passphrase_file}. Restore that file from a copy; without one, "
                "erase account and stacks: `python -m sandbox reset`."
            )
        case StackFileError() | DaemonError() | NoEngineError() | EngineError():
            return FAILED, str(error)
        case LostContentsError() | DamagedFileError() | ClusterChoiceError():
            return FAILED, str(error)
        case KeyboardInterrupt():
            return FAILED, "interrupted; the state holds what was done, and the next run continues"
        case OSError():
            return FAILED, _explain_os_error(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}, line {frame.lineno}"
    version = metadata.version("platform")
    return FAILED, f"bug in the sandbox {version}: {type(error).__name__}: {error} ({place})"


def _explain_os_error(error: OSError) -> str:
    path = f" ({error.filename})" if error.filename else ""
    space = "Free space there and run this again; it continues."
    owner = "Change its owner (`ls -ld` shows it), or set SANDBOX_HOME to a directory of yours."
    file = "Move that file, or set SANDBOX_HOME to a directory."
    remedies = {
        errno.ENOSPC: space,
        errno.EDQUOT: space,
        errno.EACCES: owner,
        errno.EPERM: owner,
        errno.EROFS: "Set SANDBOX_HOME to a writable directory.",
        errno.ENOTDIR: file,
        errno.EEXIST: file,
        errno.EISDIR: "Remove that directory: a file is expected.",
    }
    remedy = remedies.get(error.errno or 0, "")
    return f"{error.strerror or error}{path}. {remedy}".strip()


def _report(message: str, document: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f"error: {message}\n")
        if "--json" in sys.argv[1:]:
            failure = {**document, "result": "failed", "error": message}
            if "diagnostics" in document:
                diagnostic = {"severity": "error", "urn": "", "message": message}
                failure["diagnostics"] = [*document["diagnostics"], diagnostic]
            sys.stdout.write(json.dumps(failure, indent=2) + "\n")
