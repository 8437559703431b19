"""Announces a wait that lasts longer than a second."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 1.0  # longest wait without a message


@contextmanager
def announced(text: str, seconds: float = SECONDS) -> Iterator[threading.Timer]:
    """Print `text` on stderr if the block lasts longer than `seconds`, unless it cancels that."""
    timer = threading.Timer(seconds, _print, [text])
    timer.daemon = True
    timer.start()
    try:
        yield timer
    finally:
        timer.cancel()


def _print(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
