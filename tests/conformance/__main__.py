"""Runs programs on both engines and prints the differences.

`python -m tests.conformance [--random COUNT] [--first SEED] [--document] [WORD…]`: all programs, or
those whose name contains a word; then random programs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.conformance.differences import DOCUMENT, KNOWN, document
from tests.conformance.engines import compare_one, laboratory
from tests.conformance.generator import random_scenario
from tests.conformance.programs import SCENARIOS


def compare(names: Sequence[str | int]) -> int:
    """Compare scenarios, by name or by seed; print differences and return their number."""
    different = 0
    with laboratory() as shared:
        for name in names:
            scenario = random_scenario(name) if isinstance(name, int) else SCENARIOS[name]
            result = compare_one(shared, scenario)
            if bool(result) == (name in KNOWN):
                continue
            different += 1
            title = f"random program {name}" if isinstance(name, int) else name
            programs = [stage.program or "" for stage in scenario.stages]
            shown = programs if isinstance(name, int) else []
            details = result or ["agrees; remove it from the listed differences"]
            sys.stdout.write("\n  ".join([f"=== {title}", *shown, *details]) + "\n")
            sys.stdout.flush()
    return different


def main() -> int:
    """Compare the chosen scenarios in two processes."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    parser.add_argument("--random", type=int, default=0, help="number of random programs")
    parser.add_argument("--first", type=int, default=0, help="seed of the first random program")
    parser.add_argument("--document", action="store_true", help="write the document and end")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    if options.document:
        DOCUMENT.write_text(document())
        return 0
    started = time.monotonic()
    words = options.words
    names: list[str | int] = [
        name for name in SCENARIOS if not words or any(word in name for word in words)
    ]
    names += range(options.first, options.first + options.random)
    with ProcessPoolExecutor(2) as pool:
        different = sum(pool.map(compare, [names[start::4] for start in range(4)]))
    seconds = time.monotonic() - started
    sys.stdout.write(f"{len(names) - different} of {len(names)} as expected ({seconds:.0f} s)\n")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
