"""Draws an operation on a terminal as a tree: what runs, what is done, then the outcome."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TextIO

from rich.console import Group
from rich.live import Live
from rich.text import Text

from sandbox.engine.display.plain import (
    STYLES,
    TITLES,
    LastingConsole,
    PlainDisplay,
    diagnostic_text,
    is_hidden,
    resource_label,
    summarize,
)
from sandbox.engine.display.property_diff import describe_change
from sandbox.engine.request import Diagnostic, Display, Request, Result, Step

_NOTES = 4  # lines of a resource's output below its row
_INDENT = 2
_WIDE = 50  # columns from which durations are shown: name and status come first
_MAX_DEPTH = 6  # deeper resources are indented no further


def display_for(
    stream: TextIO, *, diff: bool = True, total: int = 0, parents: Mapping[str, str] | None = None
) -> Display:
    """Return a live display for a terminal, plain lines otherwise.

    `diff` adds the changed properties; `total` is the expected number of resources, 0 if unknown.
    `parents` maps the URNs of the stack's state to their parents.
    """
    if stream.isatty():
        return LiveDisplay(stream, diff=diff, total=total, parents=parents)
    return PlainDisplay(stream, diff=diff, total=total)


@dataclass(frozen=True)
class _Node:
    """A row of the tree: a resource, its depth, and the rows below it."""

    urn: str
    depth: int
    children: list[_Node]

    def walk(self) -> Iterator[_Node]:
        yield self
        for child in self.children:
            yield from child.walk()


class LiveDisplay:
    """Draws a tree of the resources that change, four times a second."""

    def __init__(
        self,
        stream: TextIO,
        *,
        diff: bool = True,
        total: int = 0,
        parents: Mapping[str, str] | None = None,
    ) -> None:
        self._console = LastingConsole(file=stream, highlight=False)
        self._diff, self._total = diff, total
        self._running: dict[str, tuple[Step, float]] = {}
        self._steps: dict[str, Step] = {}
        self._parents: dict[str, str] = dict(parents or {})
        self._notes: dict[str, deque[str]] = {}
        self._preview = False
        self._start = time.monotonic()
        self._live = Live(
            console=self._console,
            get_renderable=self._progress,
            refresh_per_second=4,
            transient=True,
        )

    def started(self, request: Request) -> None:
        """Print the operation and start to draw."""
        self._preview, self._start = request.kind == "preview", time.monotonic()
        title = Text.assemble((TITLES[request.kind], "bold"), " (", (request.stack, "bold cyan"))
        self._console.print(title.append(")"))
        self._live.start()

    def step_started(self, step: Step) -> None:
        """Show a step as running."""
        if not is_hidden(step):
            self._parents[step.urn] = step.parent
            self._running[step.urn] = (step, time.monotonic())

    def step_finished(self, step: Step) -> None:
        """Show a step's outcome."""
        self._running.pop(step.urn, None)
        if is_hidden(step):
            return
        if step.op != "discard" or step.urn not in self._steps:  # a replacement is listed once
            self._steps[step.urn] = step
        self._parents[step.urn] = step.parent

    def message(self, diagnostic: Diagnostic) -> None:
        """Show an information about a resource in its row; log anything else."""
        if diagnostic.severity == "info" and diagnostic.urn:
            notes = self._notes.setdefault(diagnostic.urn, deque(maxlen=_NOTES))
            notes.extend(line for line in diagnostic.message.splitlines() if line.strip())
        else:
            self._live.console.print(diagnostic_text(diagnostic))

    def output(self, line: str) -> None:
        """Log a line of the program."""
        self._live.console.print(Text(f"    {line}"))

    def finished(self, result: Result) -> None:
        """Stop drawing; print the tree of changes, diagnostics, outputs and the summary."""
        self._live.stop()
        for root in self._tree():
            for node in root.walk():
                self._console.print(self._row(node), no_wrap=True, overflow="ellipsis")
                step = self._steps.get(node.urn)
                changes = step.changes if step is not None and self._diff else ()
                indent = " " * (4 + _INDENT * (node.depth + 1))
                for line in chain.from_iterable(map(describe_change, changes)):
                    self._console.print(Text(indent) + line, soft_wrap=True)
        summarize(self._console, result)

    def _tree(self) -> list[_Node]:
        """Return the resources that change or run, below their parents."""
        changed = [urn for urn, step in self._steps.items() if step.op != "same" or step.error]
        nodes: dict[str, _Node] = {}
        roots: list[_Node] = []

        def depth(urn: str) -> int:
            parent = self._parents.get(urn, "")
            return 1 + depth(parent) if parent else 0

        def node(urn: str) -> _Node:
            if urn not in nodes:
                nodes[urn] = _Node(urn, min(depth(urn), _MAX_DEPTH), [])
                parent = self._parents.get(urn, "")
                (node(parent).children if parent else roots).append(nodes[urn])
            return nodes[urn]

        for urn in [*changed, *self._running]:
            node(urn)
        return roots

    def _row(self, node: _Node, below: int = 0) -> Text:
        """Format a row so that its name, status and number of done rows below fit the width."""
        step = self._steps.get(node.urn)
        if running := self._running.get(node.urn):
            step, since = running
            symbol, color, planned, verb, _ = STYLES[step.op]
            status = Text(f"  {planned if self._preview else verb}…", style=color)
            status.append(f"  {time.monotonic() - since:.0f}s", style="dim")
        elif step is None or (step.op == "same" and not step.error):
            symbol, color, status = " ", "dim", Text()
        else:
            symbol, color, planned, _, completed = STYLES[step.op]
            status = Text(f"  {planned if self._preview else completed}", style=color)
            if step.error:
                symbol, color, status = "✗", "bold red", Text("  failed", style="bold red")
            elif not self._preview and self._console.width >= _WIDE:
                status.append(f"  {step.seconds:.1f}s", style="dim")
        if below:
            status.append(f"  {below} done", style="dim")
        indent = _INDENT * node.depth
        label = resource_label(node.urn, self._console.width - indent - 5 - len(status))
        return Text.assemble((f" {symbol:<3}", color), " " * indent, label, status)

    def _progress(self) -> Group:
        rows = max(5, self._console.height - 3)
        lines = self._lines(rows)
        if len(lines) > rows:
            hidden = len(lines) - rows + 1
            lines = [*lines[: rows - 1], Text(f"     and {hidden} more rows", style="dim")]
        done = len(self._steps)
        same = sum(step.op == "same" for step in list(self._steps.values()))
        total = f" of {self._total}" if self._total >= done and self._total else ""
        counts = f" {done}{total} done ({same} unchanged), {len(self._running)} running"
        lines.append(Text(f"{counts}, {time.monotonic() - self._start:.0f}s", style="dim"))
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)

    def _lines(self, rows: int) -> list[Text]:
        """Return the whole tree, or with branches that are done in one row each, to fit `rows`."""
        tree = self._tree()
        lines = list(chain.from_iterable(self._with_notes(node) for node in _walk(tree)))
        if len(lines) <= rows:
            return lines
        lines = []
        for root in tree:
            self._collapse(root, lines)
        return lines

    def _collapse(self, node: _Node, lines: list[Text]) -> None:
        below = list(node.walk())[1:]
        if below and not any(item.urn in self._running for item in below):
            lines.append(self._row(node, len(below)))
            return
        lines.extend(self._with_notes(node))
        idle = 0
        for child in node.children:
            if child.children or child.urn in self._running:
                self._collapse(child, lines)
            else:
                idle += 1
        if idle:
            lines.append(Text(f"     {' ' * _INDENT * (node.depth + 1)}{idle} done", style="dim"))

    def _with_notes(self, node: _Node) -> list[Text]:
        """Return the row and, while it runs, the last lines of the resource's output."""
        row = self._row(node)
        notes = list(self._notes.get(node.urn, ())) if node.urn in self._running else []
        if len(notes) == 1:
            return [row.append(f"  {notes[0]}", style="dim")]
        indent = " " * (6 + _INDENT * node.depth)
        return [row, *(Text(f"{indent}{note}", style="dim") for note in notes)]


def _walk(roots: list[_Node]) -> Iterator[_Node]:
    return chain.from_iterable(root.walk() for root in roots)
