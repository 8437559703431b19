"""The chain of operations that determined the duration of a stack's operation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sandbox.runtime.timeline import TimedStep

_TOLERANCE = 0.05  # seconds by which recorded times may overlap
_DELETIONS = frozenset({"delete", "discard"})


def critical_path(
    steps: Sequence[TimedStep], dependencies: Mapping[str, frozenset[str]], now: float
) -> list[TimedStep]:
    """Return the steps of the critical path, first to last.

    It ends with the step that ended last. Before each step comes the one it waited for: of the
    resources that it needs (a deletion: that need it), the last to finish before its start.
    """
    by_urn: dict[str, list[TimedStep]] = {}
    for step in steps:
        by_urn.setdefault(step.urn, []).append(step)
    dependents: dict[str, frozenset[str]] = {}
    for urn, needs in dependencies.items():
        for need in needs:
            dependents[need] = dependents.get(need, frozenset()) | {urn}

    def end(step: TimedStep) -> float:
        return now if step.ended is None else step.ended

    path: list[TimedStep] = []
    current = max(steps, key=end, default=None)
    while current is not None and current not in path:
        path.append(current)
        start = current.started
        edges = dependents if current.op in _DELETIONS else dependencies
        earlier = [
            step
            for step in _preceding(current.urn, edges, by_urn)
            if step not in path and end(step) <= start + _TOLERANCE
        ]
        current = max(earlier, key=end, default=None)
    return path[::-1]


def _preceding(
    urn: str, edges: Mapping[str, frozenset[str]], steps: Mapping[str, Sequence[TimedStep]]
) -> Iterator[TimedStep]:
    """Yield the steps of the nearest resources along the edges that have any."""
    seen, pending = {urn}, list(edges.get(urn, ()))
    while pending:
        following = pending.pop()
        if following in seen:
            continue
        seen.add(following)
        if following in steps:
            yield from steps[following]
        else:
            pending += edges.get(following, ())
