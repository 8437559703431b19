"""What a command prints: words for people, or exactly one JSON document for programs."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

from rich.console import Console

DONE, FAILED, WRONG_USE, CHANGES_FOUND = 0, 1, 2, 7


class Output:
    """One command's output. With `as_json`, stdout is for the document alone and people's words go to stderr."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.people = Console(stderr=as_json, highlight=False, soft_wrap=True)
        self._errors = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str, style: str | None = None) -> None:
        """Print a line for people."""
        self.people.print(text, style=style, markup=False)

    def line(self, text: str) -> None:
        """Print a line of a list: cut where a terminal ends, whole where a program or a file reads it."""
        self.people.print(
            text,
            markup=False,
            soft_wrap=not self.people.is_terminal,
            no_wrap=True,
            overflow="ellipsis",
            crop=self.people.is_terminal,
        )

    def note(self, text: str) -> None:
        """Print something a person should know but needn't act on; never on stdout."""
        self._errors.print(f"note: {text}", style="dim", markup=False)

    def document(self, content: dict[str, Any]) -> None:
        """Print the command's one JSON document, when programs are listening."""
        if self.as_json:
            json.dump(content, sys.stdout, indent=2, default=str)
            sys.stdout.write("\n")

    def fail(self, message: str, code: int = FAILED, **facts: Any) -> NoReturn:
        """Say what went wrong and end with the exit code."""
        self._errors.print("error: ", style="bold red", end="")
        self._errors.print(message, markup=False)
        self.document({"result": "failed", "error": message, **facts})
        raise SystemExit(code)
