"""Frozen clock and seeded randomness, so that a replayed request has its original result."""

from __future__ import annotations

import datetime
import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import moto.core.utils as moto_time
from moto.moto_api._internal import mock_random

_chance = threading.local()
_bytes = random.Random()  # noqa: S311  # its own source, so that it does not shift moto's identifiers
_system_urandom = os.urandom


class Clock:
    """Seconds since the epoch; real time unless a request has frozen it."""

    def __init__(self) -> None:
        self._frozen: float | None = None

    def time(self) -> float:
        """Return the current time in seconds since the epoch."""
        return (
            self._frozen
            if self._frozen is not None
            else datetime.datetime.now(datetime.UTC).timestamp()
        )

    def now(self) -> datetime.datetime:
        """Return the current time in UTC without a zone, as moto expects it."""
        return datetime.datetime.fromtimestamp(self.time(), datetime.UTC).replace(tzinfo=None)

    def freeze(self, moment: float | None) -> None:
        """Freeze time, and with it this thread's randomness; None releases both."""
        self._frozen = moment
        _chance.seeded = moment is not None


clock = Clock()


def seed(value: str) -> None:
    """Seed the sources of identifiers, so that a request creates the same ones again."""
    mock_random.seed(value)
    _bytes.seed(value)


@contextmanager
def apart(value: str) -> Iterator[None]:
    """Use another seed in this block; the request's source continues unchanged afterwards."""
    identifiers, bytes_ = mock_random.getstate(), _bytes.getstate()
    seed(value)
    try:
        yield
    finally:
        mock_random.setstate(identifiers)
        _bytes.setstate(bytes_)


@contextmanager
def unseeded() -> Iterator[None]:
    """Use real randomness for calls outside the account, which a replay does not repeat."""
    before = getattr(_chance, "seeded", False)
    _chance.seeded = False
    try:
        yield
    finally:
        _chance.seeded = before


def random_hex(length: int) -> str:
    """Return hex digits of an identifier."""
    return f"{mock_random.getrandbits(length * 4):0{length}x}"


def random_uuid() -> str:
    """Return a UUID."""
    return str(mock_random.uuid4())


def _urandom(size: int) -> bytes:
    return _bytes.randbytes(size) if getattr(_chance, "seeded", False) else _system_urandom(size)


def install() -> None:
    """Give moto this clock and seeded bytes; call before its service modules are imported.

    moto takes key material, upload IDs and some UUIDs (RDS's managed secrets) from `os.urandom`.
    Threads outside requests keep the system's randomness.
    """
    moto_time.utcnow = clock.now
    os.urandom = _urandom
