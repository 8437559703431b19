"""Output of a command: text for people, or one JSON document."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

from rich.console import Console

DONE, FAILED, WRONG_USE, CHANGES_FOUND = 0, 1, 2, 7


class Output:
    """One command's output. With `as_json`, stdout carries the document and stderr the text."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.text = Console(stderr=as_json, highlight=False, soft_wrap=True)
        self._errors = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str, style: str | None = None) -> None:
        """Print a line of text."""
        self.text.print(text, style=style, markup=False)

    def line(self, text: str) -> None:
        """Print a line of a list, cut at the width of a terminal and whole elsewhere."""
        self.text.print(
            text,
            markup=False,
            soft_wrap=not self.text.is_terminal,
            no_wrap=True,
            overflow="ellipsis" if self.text.is_terminal else "ignore",
            crop=self.text.is_terminal,
        )

    def note(self, text: str) -> None:
        """Print a note on stderr."""
        self._errors.print(f"note: {text}", style="dim", markup=False)

    def document(self, content: dict[str, Any]) -> None:
        """Print the command's JSON document if `--json` was given."""
        if self.as_json:
            json.dump(content, sys.stdout, indent=2, default=str)
            sys.stdout.write("\n")

    def fail(self, message: str, code: int = FAILED, **fields: Any) -> NoReturn:
        """Print an error and exit with the code."""
        self._errors.print("error: ", style="bold red", end="")
        self._errors.print(message, markup=False)
        self.document({"result": "failed", "error": message, **fields})
        raise SystemExit(code)
