"""The message and exit code of every error."""

from __future__ import annotations

import errno
import sys
import traceback
from importlib import metadata
from pathlib import Path

import click

from sandbox.cli.cluster_choice import ClusterChoiceError
from sandbox.cli.output import FAILED, WRONG_USE
from sandbox.engine import EngineError, UsageError, WrongPassphraseError
from sandbox.runtime.background import DaemonError
from sandbox.runtime.cluster_backends import BackendSyntaxError
from sandbox.runtime.damage import DamagedFileError
from sandbox.runtime.home import Home
from sandbox.runtime.operations import NoEngineError
from sandbox.runtime.stack_files import OverrideError, StackFileError, UnknownStackError
from sandbox.runtime.stack_records import LostContentsError


def explain(error: BaseException) -> tuple[int, str]:  # noqa: PLR0911 - one return per kind of error
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
