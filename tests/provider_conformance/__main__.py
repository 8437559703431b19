"""Records the answers of Pulumi's provider, and prints the sandbox provider's differences."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.provider_conformance import build, differences, providers
from tests.recorded_answers import report, say


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
                differences.RECORD.write(build.version(), providers.run_all(client, demo, "pulumi"))
                say(f"Pulumi's: {time.monotonic() - started:.1f} s")
        expected = differences.RECORD.load()
        started = time.monotonic()
        with providers.sandbox_provider(demo) as client:
            answers = providers.run_all(client, demo, "sandbox")
        say(f"the sandbox's: {time.monotonic() - started:.1f} s")
    if arguments.document:
        differences.DOCUMENT.write_text(differences.document())
    return report(expected, answers, differences.KNOWN, reference="Pulumi", only=arguments.only)


if __name__ == "__main__":
    sys.exit(main())
