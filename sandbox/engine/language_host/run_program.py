"""Runs in the program's interpreter: connects the SDK to the engine and runs the program.

Uses only the standard library and the Pulumi SDK, because the program may have another virtual
environment. The engine is the embedded one or the Pulumi CLI (`server.py`). Exit codes: 0 success,
1 RunError, 32 any other exception; the engine gets the reason.
"""

# ruff: noqa: PTH100, PTH110, PTH112, PTH116, PTH118, PTH120, PLC0415, BLE001 - must start and
# report whatever the program breaks
import sys

sys.path.pop(0)  # this file's directory, whose modules must not shadow the program's

import argparse
import asyncio
import importlib.machinery
import json
import logging
import os
import runpy
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

FAILED, CRASHED = 1, 32


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lifeline", type=int, required=True)
    parser.add_argument("--no-debug", action="store_true")
    parser.add_argument("program")
    return parser.parse_args()


def _formatted_exception(error: BaseException, program: str) -> str:
    """Format an exception from the program's first frame on."""
    if isinstance(error, SystemExit):
        return (
            str(error.code)
            if isinstance(error.code, str)
            else f"The program called sys.exit({error.code})."
        )
    folder = program if os.path.isdir(program) else os.path.dirname(program)
    first = error.__traceback__
    while first is not None:
        file = first.tb_frame.f_code.co_filename
        if not file.startswith("<") and os.path.abspath(file).startswith(folder + os.sep):
            call = _failed_invoke(first)
            if call:
                return f"{error}\n    at {call}"
            return "".join(traceback.format_exception(type(error), error, first)).rstrip()
        first = first.tb_next
    return "".join(traceback.format_exception_only(error)).rstrip()  # without the SDK's own frames


def _failed_invoke(first: Any) -> str:
    """Return the program's line whose invoke failed, "" for any other exception."""
    frames = traceback.extract_tb(first)
    if not frames[-1].filename.endswith(os.path.join("pulumi", "runtime", "invoke.py")):
        return ""
    own = [frame for frame in frames if "site-packages" not in frame.filename]
    return f"{own[-1].filename}:{own[-1].lineno}"


def _keep_compiled_code_of_settled_sources() -> None:
    """Do not cache code of a source changed in this second: caches compare seconds and size."""
    loader: Any = importlib.machinery.SourceFileLoader
    write = loader.set_data

    def set_data(self: Any, path: str, data: Any, *, _mode: int = 0o666) -> None:
        if time.time() - os.stat(self.path).st_mtime > 2:
            write(self, path, data, _mode=_mode)

    loader.set_data = set_data


def _end_with_engine(lifeline: BinaryIO) -> None:
    """Wait until the engine closes its end of the pipe, also when it is killed."""
    lifeline.read(1)
    os._exit(CRASHED)


def _configure(descriptor: int) -> dict[str, Any]:
    """Configure the SDK, imported already, with the settings that the engine sends."""
    import pulumi.runtime

    lifeline = os.fdopen(descriptor, "rb")
    line = lifeline.readline()
    if not line:  # the engine has ended
        sys.exit(CRASHED)
    settings: dict[str, Any] = json.loads(line)
    threading.Thread(target=_end_with_engine, args=[lifeline], daemon=True).start()
    runtime: Any = pulumi.runtime
    os.environ["PULUMI_CONFIG"] = json.dumps(settings["config"])  # as Pulumi's language host does
    os.environ["PULUMI_CONFIG_SECRET_KEYS"] = json.dumps(settings["secret_keys"])
    runtime.set_all_config(settings["config"], settings["secret_keys"])
    runtime.configure(
        runtime.Settings(
            monitor=settings["monitor"],
            engine=settings["engine"],
            project=settings["project"],
            stack=settings["stack"],
            parallel=settings["parallel"],
            dry_run=settings["preview"],
            organization=settings["organization"],
            root_directory=settings["root"],
        )
    )
    return settings


def _main() -> int:
    arguments = _arguments()
    try:
        import pulumi
        import pulumi.runtime
    except ImportError as error:
        sys.stderr.write(
            f"The Pulumi SDK is not importable by {sys.executable}: {error}. Install the "
            "program's requirements.\n"
        )
        return CRASHED
    settings = _configure(arguments.lifeline)
    runtime: Any = pulumi.runtime
    if arguments.no_debug:  # each message is a request, and several report every resource
        vars(pulumi.log)["debug"] = lambda *_, **__: None
    program = arguments.program
    if os.path.isdir(program) and not os.path.exists(os.path.join(program, "__main__.py")):
        pulumi.log.error(f"There is no program: {program} has no __main__.py.")
        return FAILED
    _keep_compiled_code_of_settled_sources()
    sys.argv = [program]
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(max_workers=4 * max(1, settings["parallel"]))
    loop.set_default_executor(executor)
    # A failed resource leaves pending futures; its failure is reported, not theirs.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        loop.run_until_complete(
            runtime.run_in_stack(lambda: runpy.run_path(program, run_name="__main__") and None)
        )
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return FAILED
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and error.code in (0, None):
            return 0
        pulumi.log.error(_formatted_exception(error, program))
        return CRASHED
    finally:
        executor.shutdown(wait=True)
        loop.close()
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    sys.exit(_main())
