"""Progress of long measures, on the standard error stream."""

import sys
import time

_STARTED = time.monotonic()


def report(message: str) -> None:
    """Print a message with the seconds since the start."""
    sys.stderr.write(f"bench, after {time.monotonic() - _STARTED:.0f} s: {message}\n")
    sys.stderr.flush()
