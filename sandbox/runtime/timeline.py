"""Start, duration and dependencies of the resource operations of a stack's last operation.

A file of JSON lines under the home, written while the operation runs, so that readers follow it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.engine import Diagnostic, Display, Request, Result, Step
from sandbox.engine.request import Kind
from sandbox.engine.state.resource import is_default_provider
from sandbox.runtime.home import Home

Resources = Callable[[], Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedStep:
    """One operation on one resource; `ended` is None while it runs."""

    urn: str
    op: str
    parent: str
    started: float
    ended: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The last operation on a stack; times are Unix times.

    result: running, succeeded, failed, or interrupted if its process died.
    dependencies: the URNs that each resource needs, before and after the operation.
    """

    kind: str
    engine: str
    started: float
    ended: float | None
    result: str
    steps: tuple[TimedStep, ...]
    dependencies: Mapping[str, frozenset[str]]


class TimelineRecorder:
    """Writes the timeline of one operation."""

    def __init__(
        self, home: Home, stack: str, kind: Kind, engine: str, resources: Resources
    ) -> None:
        """`resources` returns the resources in the stack's state."""
        self._path, self._resources = _path(home, stack), resources
        self._head = {"kind": kind, "engine": engine, "pid": os.getpid()}

    def begin(self) -> None:
        """Replace the previous timeline."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.write_text("")
        self._write({"started": time.time(), **self._head})
        self._write({"dependencies": _sorted(dependencies_of(self._resources()))})

    def step_started(self, step: Step) -> None:
        """Record the start of an operation on a resource."""
        if _is_recorded(step):
            self._write(_line(step))

    def step_finished(self, step: Step) -> None:
        """Record the end of an operation on a resource."""
        if _is_recorded(step):
            ended = (step.started + step.seconds) if step.started else time.time()
            self._write(_line(step) | {"ended": ended, "error": step.error})

    def end(self, result: str) -> None:
        """Record the end of the operation."""
        self._write({"dependencies": _sorted(dependencies_of(self._resources()))})
        self._write({"ended": time.time(), "result": result})

    def _write(self, content: Mapping[str, Any]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(content, separators=(",", ":")) + "\n")


class RecordingDisplay:
    """Forwards progress to a display and records the timeline."""

    def __init__(self, display: Display, recorder: TimelineRecorder) -> None:
        self._display, self._recorder = display, recorder

    def started(self, request: Request) -> None:
        """Begin the timeline."""
        self._recorder.begin()
        self._display.started(request)

    def step_started(self, step: Step) -> None:
        """Record the start of a step."""
        self._recorder.step_started(step)
        self._display.step_started(step)

    def step_finished(self, step: Step) -> None:
        """Record the end of a step."""
        self._recorder.step_finished(step)
        self._display.step_finished(step)

    def message(self, diagnostic: Diagnostic) -> None:
        """Forward a message."""
        self._display.message(diagnostic)

    def output(self, line: str) -> None:
        """Forward a line that the program printed."""
        self._display.output(line)

    def finished(self, result: Result) -> None:
        """End the timeline."""
        self._recorder.end(result.result)
        self._display.finished(result)


def read(home: Home, stack: str) -> Timeline | None:
    """Return the timeline of the stack's last operation, or None if there is none."""
    try:
        lines = _path(home, stack).read_text().splitlines()
    except FileNotFoundError:
        return None
    head: dict[str, Any] = {}
    end: dict[str, Any] = {}
    steps: dict[tuple[str, str], TimedStep] = {}
    needs: dict[str, frozenset[str]] = {}
    for line in lines:
        try:
            item = json.loads(line)
        except ValueError:
            continue  # not yet complete, or cut by a crash
        if "dependencies" in item:
            for urn, others in item["dependencies"].items():
                needs[urn] = needs.get(urn, frozenset()).union(others)
        elif "urn" in item:
            steps[item["urn"], item["op"]] = TimedStep(**item)
        elif "pid" in item:
            head = item
        else:
            end = item
    if not head:
        return None
    unfinished = "running" if _is_alive(int(head["pid"])) else "interrupted"
    return Timeline(
        kind=head["kind"],
        engine=head["engine"],
        started=head["started"],
        ended=end.get("ended"),
        result=end.get("result", unfinished),
        steps=tuple(steps.values()),
        dependencies=needs,
    )


def dependencies_of(resources: Sequence[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """Return what each resource needs.

    As in the engine, a dependency on a component includes its descendants that precede the
    dependent in the state.
    """
    needs: dict[str, frozenset[str]] = {}
    inside: dict[str, set[str]] = {}  # the descendants of each component so far
    parents: dict[str, str] = {}
    for item in resources:
        urn, explicit = item["urn"], item.get("dependencies") or ()
        descendants = [inside[other] for other in explicit if other in inside]
        needs[urn] = frozenset(_needs(item).union(*descendants) - {urn})
        ancestor = parents[urn] = str(item.get("parent") or "")
        while ancestor in inside:
            inside[ancestor].add(urn)
            ancestor = parents[ancestor]
        if not item.get("custom"):
            inside[urn] = set()
    return needs


def _path(home: Home, stack: str) -> Path:
    return home.timelines / f"{stack}.jsonl"


def _is_recorded(step: Step) -> bool:
    return step.custom and step.op != "same" and not is_default_provider(step.urn)


def _line(step: Step) -> dict[str, Any]:
    started = step.started or time.time() - step.seconds
    return {"urn": step.urn, "op": step.op, "parent": step.parent, "started": started}


def _sorted(needs: Mapping[str, frozenset[str]]) -> dict[str, list[str]]:
    return {urn: sorted(others) for urn, others in needs.items()}


def _needs(item: Mapping[str, Any]) -> set[str]:
    provider = str(item.get("provider") or "").rpartition("::")[0]  # its URN, without its ID
    return {*(item.get("dependencies") or ()), str(item.get("parent") or ""), provider} - {""}


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
