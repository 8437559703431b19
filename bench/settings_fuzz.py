"""Measures how mutated stack files are refused: no traceback, no hang."""

from __future__ import annotations

import random
import time
from pathlib import Path

from bench.row import Row
from bench.stack_file_mutations import ROOT, STACKS, mutate, refusal

MUTATIONS = 2000
SECONDS = 2.0  # a file that takes longer counts as a hang


def measure(directory: Path) -> list[Row]:
    """Mutate the project's stack files."""
    chance = random.Random(20)  # noqa: S311 - reproducible, not secret
    refused, accepted, slowest, bugs = 0, 0, 0.0, list[str]()
    for number in range(MUTATIONS):
        stack = STACKS[number % len(STACKS)]
        text = mutate((ROOT / f"Pulumi.{stack}.yaml").read_text(), chance)
        started = time.monotonic()
        try:
            reason = refusal(text, directory, stack)
        except Exception as error:  # noqa: BLE001 - what is measured
            bugs.append(f"{type(error).__name__}: {error}")
            continue
        slowest = max(slowest, time.monotonic() - started)
        refused, accepted = refused + (reason is not None), accepted + (reason is None)
    return [
        Row(
            f"{MUTATIONS:,} mutated stack files",
            f"{refused:,} refused, {accepted:,} accepted, {len(bugs)} tracebacks "
            f"{'; '.join(bugs[:3])}".strip(),
            "",
            f"slowest {slowest:.2f} s",
            f"no traceback, none above {SECONDS:g} s",
            met=not bugs and slowest <= SECONDS,
        )
    ]
