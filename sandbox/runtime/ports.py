"""Ports that addresses elsewhere name, so that they are to stay: found below those that the system gives to connections."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_OURS = range(20000, 32768)  # Linux takes 32768 and up for whoever connects somewhere


class PortTakenError(Exception):
    """A port that addresses already given out name is in use by somebody else; the text says which, and what to do."""

    def __init__(self, port: int, named_by: str) -> None:
        super().__init__(
            f"port {port} on loopback, which {named_by} of this sandbox name, is in use by another process. "
            f"End that one (`ss -ltnp | grep :{port}` shows it) and start again."
        )


def remembered(file: Path) -> int:
    """The port in the file, or one that is free now."""
    try:
        return int(file.read_text())
    except (FileNotFoundError, ValueError):
        return fresh()


def taken(take: Callable[[int], T]) -> T:
    """What `take` makes of a port that is free: of another one where some process was quicker, which is an OSError."""
    for _ in range(20):
        with suppress(OSError):
            return take(fresh())
    return take(0)


def fresh() -> int:
    """A port that is free now (0, the system's choice, where none can be found)."""
    for port in random.sample(_OURS, 100):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    return 0
