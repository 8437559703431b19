"""`python -m sandbox`: the sandbox's command line."""

# `signal` imports enum and others first, several milliseconds in which Ctrl-C prints a traceback.
import _signal as signal  # type: ignore[import-not-found]
import os
import sys


def _cancel(*_: object) -> None:
    """End at once: nothing has been done before the command line's own handlers are installed."""
    sys.stderr.write("\nerror: canceled; nothing was changed\n")
    sys.stderr.flush()
    os._exit(1)


for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(_number, _cancel)


def _open_closed_streams() -> None:
    """Open the null device for closed streams, whose numbers the next files would take."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(number, "r" if number == 0 else "w"))  # noqa: PTH123, SIM115


def main() -> None:
    """Isolate the interpreter before anything large is imported, then run the command line."""
    _open_closed_streams()
    from sandbox.runtime import interpreter  # noqa: PLC0415 - after the handlers

    interpreter.isolate()
    from sandbox.cli import main as command_line  # noqa: PLC0415 - only after isolation

    command_line()


if __name__ == "__main__":
    main()
