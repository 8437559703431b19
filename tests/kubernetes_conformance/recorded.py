"""The recorded answers of the real API server."""

from __future__ import annotations

import json
from pathlib import Path

from sandbox.runtime import kubernetes_build
from tests.kubernetes_conformance.answers import Answer

_FILE = Path(__file__).parent / "fixtures" / "answers.json"


def load() -> dict[str, list[Answer]]:
    """Return the recorded answers by the name of the case."""
    cases: dict[str, list[Answer]] = json.loads(_FILE.read_text())["cases"]
    return cases


def version() -> str:
    """Return the version of the API server that was recorded."""
    return str(json.loads(_FILE.read_text())["version"])


def record(answers: dict[str, list[Answer]]) -> None:
    """Store answers, one case a line."""
    lines = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(items, sort_keys=True, separators=(',', ':'))}"
        for name, items in answers.items()
    )
    _FILE.parent.mkdir(exist_ok=True)
    head = f'{{"version": {json.dumps(kubernetes_build.version())}, "cases": {{'
    _FILE.write_text(f"{head}\n{lines}\n}}}}\n")
