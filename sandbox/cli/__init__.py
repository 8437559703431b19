"""The command line: `python -m sandbox COMMAND …`."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

import click

from sandbox.cli.machine import doctor, inventory, reset, status, stop
from sandbox.cli.operations import destroy, preview, refresh, up
from sandbox.cli.output import DONE, FAILED, WRONG_USE
from sandbox.cli.stacks import env, export, import_, output
from sandbox.engine import EngineError, UsageError, WrongPassphraseError
from sandbox.runtime.background import DaemonError
from sandbox.runtime.home import Home
from sandbox.runtime.operations import NoEngineError
from sandbox.runtime.stack_files import OverrideError, StackFileError, UnknownStackError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def commands() -> None:
    """Bring this project's stacks up on this machine: an AWS account, Kubernetes and a registry, without a cloud.

    \b
    A first walk:
      python -m sandbox up dev         bring dev up
      python -m sandbox preview dev    no changes
      python -m sandbox output dev     its outputs
      eval "$(python -m sandbox env dev)"; kubectl get pods -A
      python -m sandbox destroy dev    and the account is empty again

    Exit codes: 0 done, 1 failed, 2 wrong use, 7 changes found where none were expected.
    """


for command in (up, preview, refresh, destroy, output, export, import_, env, inventory, status, doctor, stop, reset):
    commands.add_command(command)


def main() -> NoReturn:
    """Run a command; every error is one message, and with `--json` one document too."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no such letter gets a question mark
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    facts: dict[str, Any] = {}
    code = DONE
    try:
        commands.main(standalone_mode=False, prog_name="python -m sandbox", obj=facts)
    except SystemExit as ended:
        code = int(ended.code or DONE)
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    except BrokenPipeError:
        pass  # whoever read the output has what they wanted
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last frame before the user
        code, message = _explained(error)
        _tell(message, facts)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BrokenPipeError):
            stream.flush()
    # A second interrupt leaves threads that wait for a provider; nobody waits for them.
    os._exit(code)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _explained(error: BaseException) -> tuple[int, str]:  # noqa: PLR0911  # one return per kind of error
    """The exit code that an error means, and what a person should read."""
    match error:
        case click.exceptions.Abort():
            return FAILED, "stopped; nothing was touched"
        case click.ClickException():
            context = getattr(error, "ctx", None)
            if context:
                sys.stderr.write(f"{context.get_usage()}\n")
            return WRONG_USE, error.format_message()
        case UnknownStackError() | OverrideError() | UsageError():
            return WRONG_USE, str(error)
        case WrongPassphraseError():
            file = Home.of_project().passphrase_file
            return FAILED, (
                f"the stack's secrets were sealed with another passphrase than the one in {file}. Put that file back as it "
                "was, if you have a copy; otherwise forget account and stacks together: `python -m sandbox reset`."
            )
        case StackFileError() | DaemonError() | NoEngineError() | EngineError():
            return FAILED, str(error)
        case KeyboardInterrupt():
            return (
                FAILED,
                "interrupted; what was done so far is in the stack's state, and the next run goes on from there",
            )
        case OSError():
            return FAILED, _of_the_machine(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}, line {where.lineno}"
    return FAILED, f"the sandbox itself failed, which it shouldn't: {type(error).__name__}: {error} ({place})"


def _of_the_machine(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    ways_out = {
        errno.ENOSPC: "Make room there, and run this again: it goes on from where it was.",
        errno.EDQUOT: "Make room there, and run this again: it goes on from where it was.",
        errno.EACCES: "Make it yours (`ls -ld` shows whose it is), or let SANDBOX_HOME name a folder that is.",
        errno.EPERM: "Make it yours (`ls -ld` shows whose it is), or let SANDBOX_HOME name a folder that is.",
        errno.EROFS: "Let SANDBOX_HOME name a folder that can be written.",
        errno.ENOTDIR: "Move that file away, or let SANDBOX_HOME name a folder.",
        errno.EEXIST: "Move that file away, or let SANDBOX_HOME name a folder.",
    }
    way_out = ways_out.get(error.errno or 0, "")
    return f"{error.strerror or error}{where}. {way_out}".strip()


def _tell(message: str, facts: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f"error: {message}\n")
        if "--json" in sys.argv[1:]:
            sys.stdout.write(json.dumps({"result": "failed", **facts, "error": message}, indent=2) + "\n")
