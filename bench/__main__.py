"""Measures service and sandbox against their bars: `python -m bench [MEASURE…]` prints a table.

Without arguments, every measure runs and docs/benchmarks.md is written.
"""

import argparse
import os
import platform
import re
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bench import container, damage, kills, pipelines, restarts, settings_fuzz, throughput
from bench.processes import ROOT
from bench.row import Row

DOCUMENT = ROOT / "docs" / "benchmarks.md"
MEASURES = {
    "throughput": throughput.measure,
    "restarts": restarts.measure,
    "container": container.measure,
    "settings": settings_fuzz.measure,
    "kills": kills.measure,
    "damage": damage.measure,
    "pipelines": pipelines.measure,
}


def main() -> int:
    """Run the measures; the exit code is 1 if a bar is missed or a measure fails."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=", ".join(MEASURES))
    names = parser.parse_args().measures
    if unknown := set(names) - set(MEASURES):
        parser.error(f"unknown measures: {', '.join(sorted(unknown))}")
    conditions, rows, failures = _conditions(), list[Row](), list[str]()
    for name in names or MEASURES:
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
            try:
                rows += MEASURES[name](Path(directory))
            except RuntimeError as error:
                failures.append(f"Not measured: {name} ({error}).")
    text = "\n".join([conditions, "", *_table(rows), "", *failures]).rstrip() + "\n"
    sys.stdout.write(text)
    if not names:
        DOCUMENT.write_text(f"# Benchmarks\n\n`make bench` writes this file.\n\n{text}")
    return int(bool(failures) or not all(row.met for row in rows))


def _conditions() -> str:
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {os.cpu_count()} cores "
        f"({model[1] if model else platform.machine()}), Linux {platform.release()}, "
        f"Python {platform.python_version()}; load average at the start "
        f"{os.getloadavg()[0]:.1f}. The load generator shares the cores with the service.\n"
        "The reference is the Hello World of the study: under `python app.py` for requests, "
        "in its own Dockerfile for the image."
    )


def _table(rows: list[Row]) -> list[str]:
    lines = ["| measure | service | reference | ratio | bar | met |", "|---|---|---|---|---|---|"]
    for row in rows:
        cells = (row.measure, row.result, row.reference, row.ratio, row.bar)
        lines.append(f"| {' | '.join(cells)} | {'yes' if row.met else '**no**'} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
