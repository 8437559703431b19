"""The newest messages of all SNS topics, in a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_MAXIMUM = 1000


class MessageLog:
    """Messages, one JSON document a line in `path`; without a path, in memory only."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._messages: list[dict[str, Any]] = list(_read(path)) if path is not None else []
        if len(self._messages) > _MAXIMUM and path is not None:
            self._messages = self._messages[-_MAXIMUM:]
            path.write_text("".join(f"{json.dumps(item)}\n" for item in self._messages))

    def append(self, message: dict[str, Any]) -> None:
        """Add a message."""
        self._messages.append(message)
        del self._messages[:-_MAXIMUM]
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(f"{json.dumps(message)}\n")

    def messages(self) -> Sequence[dict[str, Any]]:
        """Return the messages, oldest first."""
        return list(self._messages)


def _read(path: Path) -> list[dict[str, Any]]:
    """Return the messages of a file; a process that was killed may leave half a line."""
    messages = []
    if path.exists():
        for line in path.read_text(errors="replace").splitlines():
            try:
                messages.append(json.loads(line))
            except ValueError:
                continue
    return messages
