"""The embedded engine relative to the Pulumi CLI, and its growth with the number of resources."""

from __future__ import annotations

from pathlib import Path

from bench.engine_runs import GeneratedProject, Run, echo_provider
from bench.progress import report
from bench.row import Row
from sandbox.runtime import pulumi_cli

_COUNTS = (138, 1000, 5000)
_GROWTH = (100, 1000, 5000)
_OPERATIONS = ("up", "preview", "destroy")
# Of the smallest programs, which take little longer than an empty one; the least value counts.
_REPETITIONS = 3
_RATIO = 0.8
_GROWTH_LIMIT = 1.2
# The CLI is stopped when it has taken so many times as long; the bar is met by far.
_PATIENCE = 5


def compare(directory: Path) -> list[Row]:
    """Run generated programs with both engines, on the same provider."""
    cli = pulumi_cli.find()
    if cli is None:
        raise RuntimeError("there is no Pulumi CLI; `make pulumi` builds one")
    rows = []
    with echo_provider() as port:
        for count in _COUNTS:
            ours = GeneratedProject(directory / f"embedded-{count}", port)
            theirs = GeneratedProject(directory / f"cli-{count}", port, cli.path)
            ours.write(count)
            theirs.write(count)
            for operation in _OPERATIONS:
                rows.append(_compare_one(ours, theirs, operation, count))
                if operation == "up":
                    theirs.take_over(ours)  # it may have been stopped
    return rows


def _compare_one(
    ours: GeneratedProject, theirs: GeneratedProject, operation: str, count: int
) -> Row:
    title = f"{'no-op preview' if operation == 'preview' else operation}, {count:,} resources"
    if operation == "destroy":
        theirs.take_over(ours)
    left = ours.run(operation)
    report(f"{title}: embedded {left.seconds:.1f} s")
    right = theirs.run(operation, max(60, _PATIENCE * left.seconds))
    report(f"{title}: CLI {_limited(right)}{right.seconds:.1f} s")
    ratio = left.seconds / right.seconds
    bound = "" if right.complete else "< "
    return Row(
        title,
        f"{left.seconds:.1f} s, {left.memory:.0f} MB",
        f"{_limited(right)}{right.seconds:.1f} s, {right.memory:.0f} MB",
        f"{bound}{ratio:.2f}",
        f"≤ {_RATIO}",
        ratio <= _RATIO,
    )


def _limited(run: Run) -> str:
    return "" if run.complete else "> "


def scale(directory: Path) -> list[Row]:
    """Measure time and memory per resource of the engine's process, beyond those of no resource."""
    runs: dict[tuple[int, str], list[Run]] = {}
    with echo_provider() as port:
        for count in (0, *_GROWTH):
            project = GeneratedProject(directory / f"embedded-{count}", port)
            project.write(count)
            for operation in _OPERATIONS * (_REPETITIONS if count <= _GROWTH[0] else 1):
                run = project.run(operation)
                runs.setdefault((count, operation), []).append(run)
                report(
                    f"{operation}, {count:,} resources: {run.seconds:.1f} s, "
                    f"{run.processor:.1f} s of the processor, {run.memory:.0f} MB"
                )
    processor = {key: min(run.processor for run in several) for key, several in runs.items()}
    memory = {key: min(run.memory for run in several) for key, several in runs.items()}
    rows = []
    for operation in _OPERATIONS:
        times, sizes = [], []
        for count in _GROWTH:
            key, none = (count, operation), (0, operation)
            times.append((processor[key] - processor[none]) / count * 1000)
            sizes.append((memory[key] - memory[none]) / count * 1024)
        rows.append(_growth(f"{operation}: processor time per resource", times, "ms"))
        rows.append(_growth(f"{operation}: memory per resource", sizes, "kB"))
    return rows


def _growth(title: str, values: list[float], unit: str) -> Row:
    ratio = values[-1] / values[0]
    smallest, *_, largest = _GROWTH
    return Row(
        f"{title}, {largest:,} resources, relative to {smallest}",
        f"{values[-1]:.1f} {unit}",
        f"{values[0]:.1f} {unit}",
        f"{ratio:.2f}",
        f"≤ {_GROWTH_LIMIT}",
        ratio <= _GROWTH_LIMIT,
    )
