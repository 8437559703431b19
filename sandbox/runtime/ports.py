"""Ports that stay the same, because stored addresses contain them; below the ephemeral range."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_RANGE = range(20000, 32768)  # Linux assigns ephemeral ports from 32768


class PortTakenError(Exception):
    """A stored port is in use by another process; the message names it and the remedy."""

    def __init__(self, port: int, addresses: str) -> None:
        super().__init__(
            f"port {port} on loopback, which {addresses} of this sandbox use, is taken by "
            f"another process. Stop that process (`ss -ltnp | grep :{port}` shows it) and "
            "start again."
        )


def read_port(file: Path) -> int:
    """Return the port stored in the file, or a free one."""
    try:
        return int(file.read_text())
    except (FileNotFoundError, ValueError):
        return free_port()


def bind_free_port(bind: Callable[[int], T]) -> T:
    """Return `bind(port)` for a free port; retry with another when `bind` raises OSError."""
    for _ in range(20):
        with suppress(OSError):
            return bind(free_port())
    return bind(0)


def free_port() -> int:
    """Return a port that is free now, or 0 (the system's choice) when none was found."""
    for port in random.sample(_RANGE, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    return 0
