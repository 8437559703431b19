"""The error of a file of the sandbox that is damaged or missing."""

from __future__ import annotations

from pathlib import Path


class DamagedFileError(Exception):
    """A file cannot be used; the message names file, reason and remedy."""

    def __init__(self, path: Path, reason: object, remedy: str = "") -> None:
        remedy = remedy or "Otherwise erase account and stacks: `python -m sandbox reset`."
        text = str(reason).rstrip(".")
        super().__init__(f"{path} is damaged: {text}. Restore it from a copy. {remedy}")


KEEP_READABLE = "Otherwise keep what is readable: `python -m sandbox repair`."
