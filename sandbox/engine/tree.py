"""The live tree on a terminal."""

from __future__ import annotations

from typing import TextIO

from sandbox.engine.display import PlainDisplay
from sandbox.engine.request import Display


def display_for(stream: TextIO, *, diff: bool = False) -> Display:
    """A live tree where the stream is a terminal, plain lines elsewhere."""
    return PlainDisplay(stream, diff=diff)
