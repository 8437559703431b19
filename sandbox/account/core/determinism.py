"""The account's time and chance: frozen per request, so that a replayed request happens when and as it first did."""

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
_bytes = random.Random()  # noqa: S311  # a source of its own: whoever asks it doesn't shift moto's identifiers
_system_urandom = os.urandom


class Clock:
    """Seconds since the epoch; real time unless a request (or its replay) has set a moment."""

    def __init__(self) -> None:
        self._frozen: float | None = None

    def time(self) -> float:
        """Return the present moment in seconds since the epoch."""
        return (
            self._frozen
            if self._frozen is not None
            else datetime.datetime.now(datetime.UTC).timestamp()
        )

    def now(self) -> datetime.datetime:
        """Return the present moment in UTC without a zone, as moto and its serializers expect it."""
        return datetime.datetime.fromtimestamp(self.time(), datetime.UTC).replace(tzinfo=None)

    def freeze(self, moment: float | None) -> None:
        """Hold time at a moment, and this thread's chance at its seed; or let both run again."""
        self._frozen = moment
        _chance.seeded = moment is not None


clock = Clock()


def seed(value: str) -> None:
    """Start the sources of identifiers anew, so that the same request makes the same identifiers."""
    mock_random.seed(value)
    _bytes.seed(value)


@contextmanager
def apart(value: str) -> Iterator[None]:
    """Chance from a seed of its own for a while; the request's own goes on afterwards where it was."""
    identifiers, bytes_ = mock_random.getstate(), _bytes.getstate()
    seed(value)
    try:
        yield
    finally:
        mock_random.setstate(identifiers)
        _bytes.setstate(bytes_)


@contextmanager
def unseeded() -> Iterator[None]:
    """Real chance for what happens outside of the account, and won't happen again at a replay."""
    before = getattr(_chance, "seeded", False)
    _chance.seeded = False
    try:
        yield
    finally:
        _chance.seeded = before


def random_hex(length: int) -> str:
    """Return an identifier's hex digits from the seeded source."""
    return f"{mock_random.getrandbits(length * 4):0{length}x}"


def random_uuid() -> str:
    """Return a UUID from the seeded source."""
    return str(mock_random.uuid4())


def _urandom(size: int) -> bytes:
    return _bytes.randbytes(size) if getattr(_chance, "seeded", False) else _system_urandom(size)


def install() -> None:
    """Give moto this clock, and seeded bytes while it executes a request. Has to run before its service modules are imported.

    moto's key material, upload ids and some UUIDs (RDS's managed secrets) come from `os.urandom`, not from its own source.
    Other threads, and every thread between requests, keep the system's bytes.
    """
    moto_time.utcnow = clock.now
    os.urandom = _urandom
