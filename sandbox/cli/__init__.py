"""The command line: `python -m sandbox COMMAND …`."""

from __future__ import annotations

import json
import sys

import click

from sandbox.cli.machine import doctor, inventory, reset, status, stop
from sandbox.cli.operations import destroy, preview, refresh, up
from sandbox.cli.output import FAILED, WRONG_USE
from sandbox.cli.stacks import env, export, import_, output
from sandbox.daemon import DaemonError
from sandbox.engine import EngineError
from sandbox.operations import NoEngineError
from sandbox.stackfile import OverrideError, StackFileError, UnknownStackError


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


def main() -> None:
    """Run a command; every error is one message, and with `--json` one document too."""
    as_json = "--json" in sys.argv[1:]
    try:
        commands.main(standalone_mode=False, prog_name="python -m sandbox")
    except click.exceptions.Exit as ended:
        raise SystemExit(ended.exit_code) from None
    except click.exceptions.Abort:
        _end("stopped; nothing was touched", FAILED, as_json=as_json)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        usage = f"{context.get_usage()}\n" if context else ""
        sys.stderr.write(usage)
        _end(error.format_message(), WRONG_USE, as_json=as_json)
    except (UnknownStackError, OverrideError) as error:
        _end(str(error), WRONG_USE, as_json=as_json)
    except (StackFileError, DaemonError, NoEngineError, EngineError) as error:
        _end(str(error), FAILED, as_json=as_json)
    except KeyboardInterrupt:
        _end(
            "interrupted; what was done so far is in the stack's state, and the next run goes on from there",
            FAILED,
            as_json=as_json,
        )


def _end(message: str, code: int, *, as_json: bool) -> None:
    sys.stderr.write(f"error: {message}\n")
    if as_json:
        sys.stdout.write(json.dumps({"result": "failed", "error": message}, indent=2) + "\n")
    raise SystemExit(code)
