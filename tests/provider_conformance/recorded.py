"""The recorded answers of Pulumi's provider."""

from __future__ import annotations

import json
from pathlib import Path

from tests.provider_conformance import build
from tests.provider_conformance.session import Observation

_FILE = Path(__file__).parent / "fixtures" / "answers.json"


def load() -> dict[str, list[Observation]]:
    """Return the recorded answers by the name of the case."""
    cases: dict[str, list[Observation]] = json.loads(_FILE.read_text())["cases"]
    return cases


def version() -> str:
    """Return the version of the provider that was recorded."""
    return str(json.loads(_FILE.read_text())["version"])


def record(answers: dict[str, list[Observation]]) -> None:
    """Store answers, one case a line."""
    lines = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(items, sort_keys=True, separators=(',', ':'))}"
        for name, items in answers.items()
    )
    _FILE.parent.mkdir(exist_ok=True)
    head = f'{{"version": {json.dumps(build.version())}, "cases": {{'
    _FILE.write_text(f"{head}\n{lines}\n}}}}\n")
