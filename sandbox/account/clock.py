"""The account's time and chance: frozen per request, so that a replayed request happens when and as it first did."""

from __future__ import annotations

import datetime
import os
import types
from typing import Any

import moto.core.utils as moto_time
from moto.moto_api._internal import mock_random


class Clock:
    """Seconds since the epoch; real time unless a request (or its replay) has set a moment."""

    def __init__(self) -> None:
        self._frozen: float | None = None

    def time(self) -> float:
        """Return the present moment in seconds since the epoch."""
        return self._frozen if self._frozen is not None else datetime.datetime.now(datetime.UTC).timestamp()

    def now(self) -> datetime.datetime:
        """Return the present moment in UTC without a zone, as moto and its serializers expect it."""
        return datetime.datetime.fromtimestamp(self.time(), datetime.UTC).replace(tzinfo=None)

    def freeze(self, moment: float | None) -> None:
        """Hold time at a moment, or let it run again."""
        self._frozen = moment


clock = Clock()


def seed(value: str) -> None:
    """Start moto's source of identifiers anew, so that the same request makes the same identifiers."""
    mock_random.seed(value)


def random_hex(length: int) -> str:
    """Return an identifier's hex digits from the seeded source."""
    return f"{mock_random.getrandbits(length * 4):0{length}x}"


def random_uuid() -> str:
    """Return a UUID from the seeded source."""
    return str(mock_random.uuid4())


def install() -> None:
    """Give moto this clock and seeded key material. Has to run before moto's service modules are imported."""
    moto_time.utcnow = clock.now

    import moto.kms.utils  # noqa: PLC0415  # imported here since it must see the clock set above

    seeded = types.SimpleNamespace(**{name: getattr(os, name) for name in ("environ", "path")})
    seeded.urandom = mock_random.randbytes
    kms: Any = moto.kms.utils
    kms.os = seeded
