"""Measures service and sandbox against their bars: `python -m bench [MEASURE…]`.

Prints a table for each measure, and replaces the measure's section of docs/benchmarks.md.
"""

import argparse
import os
import platform
import re
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bench import (
    availability,
    container,
    damage,
    engine,
    engine_stacks,
    kills,
    pipelines,
    restarts,
    settings_fuzz,
    throughput,
)
from bench.processes import ROOT
from bench.progress import report
from bench.row import Row

DOCUMENT = ROOT / "docs" / "benchmarks.md"
MEASURES = {
    "throughput": throughput.measure,
    "restarts": restarts.measure,
    "container": container.measure,
    "settings": settings_fuzz.measure,
    "availability": availability.measure,
    "kills": kills.measure,
    "damage": damage.measure,
    "pipelines": pipelines.measure,
    "engine": engine.compare,
    "engine-growth": engine.scale,
    "engine-stacks": engine_stacks.measure,
}


def main() -> int:
    """Run the measures; the exit code is 1 if a bar is missed or a measure fails."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=", ".join(MEASURES))
    names = parser.parse_args().measures
    if unknown := set(names) - set(MEASURES):
        parser.error(f"unknown measures: {', '.join(sorted(unknown))}")
    complete = True
    for name in names or MEASURES:
        report(f"measuring {name}")
        conditions, rows, failure = _conditions(), list[Row](), ""
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
            try:
                rows = MEASURES[name](Path(directory))
            except RuntimeError as error:
                failure = f"Not measured: {error}."
        section = "\n".join([conditions, "", *(_table(rows) if rows else []), failure]).rstrip()
        sys.stdout.write(f"{section}\n\n")
        DOCUMENT.write_text(_with_section(DOCUMENT.read_text(), name, section))
        complete = complete and not failure and all(row.met for row in rows)
    return int(not complete)


def _with_section(document: str, name: str, section: str) -> str:
    """Return the document with the section of a measure, in the order of the measures."""
    title, *parts = document.split("\n## ")
    sections = dict(part.split("\n", 1) for part in parts)
    sections[name] = f"\n{section}\n"
    ordered = [f"\n## {key}\n{sections[key].rstrip()}\n" for key in MEASURES if key in sections]
    return "\n".join([title.rstrip(), *(part.strip("\n") + "\n" for part in ordered)])


def _conditions() -> str:
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {os.cpu_count()} cores "
        f"({model[1] if model else platform.machine()}), Linux {platform.release()}, "
        f"Python {platform.python_version()}; load average at the start "
        f"{os.getloadavg()[0]:.1f}."
    )


def _table(rows: list[Row]) -> list[str]:
    lines = ["| measure | result | reference | ratio | bar | met |", "|---|---|---|---|---|---|"]
    for row in rows:
        cells = (row.measure, row.result, row.reference, row.ratio, row.bar)
        lines.append(f"| {' | '.join(cells)} | {'yes' if row.met else '**no**'} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
