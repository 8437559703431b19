"""Records the answers of the real API server, and prints the emulation's differences."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.kubernetes_conformance import differences, servers
from tests.kubernetes_conformance.cases import CASES
from tests.kubernetes_conformance.recorded import load, record


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kubernetes_conformance")
    parser.add_argument("--record", action="store_true", help="run and record the real API server")
    parser.add_argument("--document", action="store_true", help="write the document")
    parser.add_argument("--only", default="", help="print the differences of cases with this text")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.record:
            with servers.real(Path(scratch) / "real") as server:
                started = time.monotonic()
                record(servers.run_all(server, CASES))
                _say(f"{len(CASES)} cases in {time.monotonic() - started:.1f} s")
        if arguments.document:
            differences.DOCUMENT.write_text(differences.document())
        started = time.monotonic()
        expected = load()
        with servers.emulated(Path(scratch) / "emulated") as server:
            answers = servers.run_all(server, CASES)
    _say(f"emulated: {time.monotonic() - started:.1f} s")
    differing = [name for name in CASES if answers[name] != expected.get(name)]
    for name in differing:
        if arguments.only in name:
            listed = " (listed)" if name in differences.KNOWN else ""
            _say(f"== {name}{listed}")
            for path, real, emulated in compare(expected.get(name), answers[name]):
                _say(f"  {path}\n    real     {real}\n    emulated {emulated}")
    unlisted = set(differing) - differences.KNOWN.keys()
    stale = differences.KNOWN.keys() - set(differing)
    _say(f"{len(CASES)} cases, {len(differing)} differ, {len(unlisted)} of them unlisted")
    if stale:
        _say(f"listed, but equal: {', '.join(sorted(stale))}")
    return 1 if unlisted or stale else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def compare(real: Any, emulated: Any, path: str = "") -> list[tuple[str, str, str]]:
    """Return path and both values of each difference."""
    if isinstance(real, dict) and isinstance(emulated, dict):
        return [
            found
            for key in sorted(real.keys() | emulated.keys())
            for found in compare(real.get(key), emulated.get(key), f"{path}.{key}")
        ]
    if isinstance(real, list) and isinstance(emulated, list) and len(real) == len(emulated):
        return [
            found
            for index, pair in enumerate(zip(real, emulated, strict=True))
            for found in compare(*pair, f"{path}[{index}]")
        ]
    if real == emulated:
        return []
    return [(path, json.dumps(real)[:1500], json.dumps(emulated)[:1500])]


if __name__ == "__main__":
    sys.exit(main())
