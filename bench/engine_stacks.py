"""The program's own stacks in the sandbox with both engines; a preview beside the program alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from bench.processes import ROOT
from bench.progress import report
from bench.row import Row

_RATIO, _PREVIEW_RATIO = 0.8, 1.3
_ENGINES = ("embedded", "pulumi")
_PROGRAM_ALONE = "from tests.program.running import run_program; run_program('dev')"
# The operations, and whether they count: the first ones build the image and fill caches.
_OPERATIONS = (
    ("up", "dev", False),
    ("destroy", "dev", False),
    ("up", "dev", True),
    ("preview", "dev", True),
    ("up", "prod", True),
    ("destroy", "dev", True),
)


def measure(directory: Path) -> list[Row]:
    """Run the operations in a sandbox of each engine."""
    seconds: dict[tuple[str, str, str], float] = {}
    previews: list[float] = []
    for engine in _ENGINES:
        home = directory / engine
        try:
            for operation, stack, counts in _OPERATIONS:
                taken = _sandbox(home, engine, operation, stack)
                report(f"{operation} {stack} with {engine}: {taken:.1f} s")
                if counts:
                    seconds[engine, operation, stack] = taken
                if counts and operation == "preview" and engine == "embedded":
                    previews = [_seconds(home, *_command(engine, "preview", "dev"))]
        finally:
            _run(home, "-m", "sandbox", "stop", "--force")
    rows = []
    for operation, stack, counts in _OPERATIONS:
        if counts:
            ours, theirs = (seconds[engine, operation, stack] for engine in _ENGINES)
            title = f"{'no-op preview' if operation == 'preview' else operation}, {stack}"
            rows.append(_row(title, ours, theirs, _RATIO))
    _seconds(directory, "-c", _PROGRAM_ALONE)  # fills caches
    alone = _seconds(directory, "-c", _PROGRAM_ALONE)
    title = "no-op `make preview`, relative to the program alone (under the SDK's mocks)"
    return [*rows, _row(title, previews[0], alone, _PREVIEW_RATIO)]


def _row(title: str, ours: float, theirs: float, bar: float) -> Row:
    ratio = ours / theirs
    return Row(title, f"{ours:.1f} s", f"{theirs:.1f} s", f"{ratio:.2f}", f"≤ {bar}", ratio <= bar)


def _command(engine: str, operation: str, stack: str) -> list[str]:
    options = ["--expect-no-changes"] if operation == "preview" else ["--yes", "--skip-preview"]
    if operation == "destroy":
        options.remove("--skip-preview")
    return ["-m", "sandbox", operation, stack, "--engine", engine, *options]


def _sandbox(home: Path, engine: str, operation: str, stack: str) -> float:
    """Run an operation; return the seconds that the engine took."""
    output = _run(home, *_command(engine, operation, stack), "--json")
    return float(json.loads(output)["seconds"])


def _seconds(home: Path, *arguments: str) -> float:
    started = time.monotonic()
    _run(home, *arguments)
    return time.monotonic() - started


def _run(home: Path, *arguments: str) -> str:
    prefixes = ("AWS_", "PULUMI_")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(prefixes)}
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**inherited, "SANDBOX_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {(process.stdout + process.stderr)[-2000:]}")
    return process.stdout
