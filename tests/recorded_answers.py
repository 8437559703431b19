"""Recorded answers of a reference to a corpus of cases, and what an emulation answers otherwise."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Answers = Mapping[str, Any]


@dataclass(frozen=True)
class Record:
    """A file with the reference's version and its answer to each case."""

    file: Path

    def load(self) -> dict[str, Any]:
        """Return the recorded answers by the name of the case."""
        cases: dict[str, Any] = json.loads(self.file.read_text())["cases"]
        return cases

    def version(self) -> str:
        """Return the version of the reference that was recorded."""
        return str(json.loads(self.file.read_text())["version"])

    def write(self, version: str, answers: Answers) -> None:
        """Store answers, one case a line."""
        lines = ",\n".join(
            f"{json.dumps(name)}: {json.dumps(items, sort_keys=True, separators=(',', ':'))}"
            for name, items in answers.items()
        )
        self.file.parent.mkdir(exist_ok=True)
        head = f'{{"version": {json.dumps(version)}, "cases": {{'
        self.file.write_text(f"{head}\n{lines}\n}}}}\n")


def report(
    expected: Answers, answers: Answers, known: Answers, *, reference: str, only: str = ""
) -> int:
    """Print the differences of cases with `only` in their names, and return the exit code.

    It is 1 if a difference is not in `known`, or if a case of `known` agrees.
    """
    differing = [name for name in answers if answers[name] != expected.get(name)]
    for name in differing:
        if only in name:
            say(f"== {name}{' (listed)' if name in known else ''}")
            for path, theirs, ours in compare(expected.get(name), answers[name]):
                say(f"  {path}\n    {reference:<8} {theirs}\n    emulated {ours}")
    unlisted = set(differing) - known.keys()
    stale = known.keys() - set(differing)
    say(f"{len(answers)} cases, {len(differing)} differ, {len(unlisted)} of them unlisted")
    if stale:
        say(f"listed, but equal: {', '.join(sorted(stale))}")
    return 1 if unlisted or stale else 0


def compare(expected: Any, answer: Any, path: str = "") -> list[tuple[str, str, str]]:
    """Return path and both values of each difference."""
    if isinstance(expected, dict) and isinstance(answer, dict):
        return [
            result
            for key in sorted(expected.keys() | answer.keys())
            for result in compare(expected.get(key), answer.get(key), f"{path}.{key}")
        ]
    if isinstance(expected, list) and isinstance(answer, list) and len(expected) == len(answer):
        return [
            result
            for index, pair in enumerate(zip(expected, answer, strict=True))
            for result in compare(*pair, f"{path}[{index}]")
        ]
    if expected == answer:
        return []
    return [(path, json.dumps(expected)[:1500], json.dumps(answer)[:1500])]


def differences_table(known: Mapping[str, str]) -> list[str]:
    """Return the lines of a Markdown table: a reason, and its cases."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in known.items():
        by_reason.setdefault(reason, []).append(name)
    return [
        "| difference and reason | cases |",
        "|---|---|",
        *(f"| {reason} | {', '.join(names)} |" for reason, names in by_reason.items()),
    ]


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
