"""Records the answers of the real API server, and prints the emulation's differences."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from sandbox.runtime import kubernetes_build
from tests.kubernetes_conformance import differences, servers
from tests.kubernetes_conformance.cases import CASES
from tests.recorded_answers import report, say


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
                differences.RECORD.write(kubernetes_build.version(), servers.run_all(server, CASES))
                say(f"{len(CASES)} cases in {time.monotonic() - started:.1f} s")
        if arguments.document:
            differences.DOCUMENT.write_text(differences.document())
        started = time.monotonic()
        expected = differences.RECORD.load()
        with servers.emulated(Path(scratch) / "emulated") as server:
            answers = servers.run_all(server, CASES)
    say(f"emulated: {time.monotonic() - started:.1f} s")
    return report(expected, answers, differences.KNOWN, reference="real", only=arguments.only)


if __name__ == "__main__":
    sys.exit(main())
