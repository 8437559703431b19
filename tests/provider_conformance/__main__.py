"""Records the answers of Pulumi's provider, and prints the sandbox provider's differences."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.kubernetes_conformance.__main__ import compare
from tests.provider_conformance import build, differences, providers, recorded
from tests.provider_conformance.cases import CASES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.provider_conformance")
    parser.add_argument("--record", action="store_true", help="run and record Pulumi's provider")
    parser.add_argument("--document", action="store_true", help="write the document")
    parser.add_argument("--only", default="", help="print the differences of cases with this text")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, providers.cluster(Path(scratch)) as demo:
        if arguments.record:
            with providers.pulumi_provider(demo, build.build()) as client:
                started = time.monotonic()
                recorded.record(providers.run_all(client, demo, "pulumi"))
                _say(f"Pulumi's: {time.monotonic() - started:.1f} s")
        expected = recorded.load()
        started = time.monotonic()
        with providers.sandbox_provider(demo) as client:
            answers = providers.run_all(client, demo, "sandbox")
        _say(f"the sandbox's: {time.monotonic() - started:.1f} s")
    if arguments.document:
        differences.DOCUMENT.write_text(differences.document())
    differing = [name for name in CASES if answers[name] != expected.get(name)]
    for name in differing:
        if arguments.only in name:
            listed = " (listed)" if name in differences.KNOWN else ""
            _say(f"== {name}{listed}")
            for path, real, emulated in compare(expected.get(name), answers[name]):
                _say(f"  {path}\n    Pulumi  {real}\n    sandbox {emulated}")
    unlisted = set(differing) - differences.KNOWN.keys()
    stale = differences.KNOWN.keys() - set(differing)
    _say(f"{len(CASES)} cases, {len(differing)} differ, {len(unlisted)} of them unlisted")
    if stale:
        _say(f"listed, but equal: {', '.join(sorted(stale))}")
    return 1 if unlisted or stale else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
