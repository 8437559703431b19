"""Draws an operation on a terminal: log above, running steps below, a preview's changes as a tree."""

from __future__ import annotations

import time
from typing import TextIO

from rich.console import Group
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from sandbox.engine.display.plain import (
    STYLES,
    TITLES,
    LastingConsole,
    PlainDisplay,
    describe_change,
    diagnostic_text,
    is_hidden,
    resource_label,
    summarize,
)
from sandbox.engine.request import Diagnostic, Display, Request, Result, Step

_MAX_RUNNING = 14  # running steps that fit below the log on a small terminal


def display_for(stream: TextIO, *, diff: bool = True, total: int = 0) -> Display:
    """Return a live display for a terminal, plain lines otherwise.

    `diff` adds the changed properties; `total` is the expected number of resources, 0 if unknown.
    """
    display = LiveDisplay if stream.isatty() else PlainDisplay
    return display(stream, diff=diff, total=total)


class LiveDisplay:
    """Logs completed steps and shows running ones with their time, four times a second."""

    def __init__(self, stream: TextIO, *, diff: bool = True, total: int = 0) -> None:
        self._console = LastingConsole(file=stream, highlight=False)
        self._diff, self._total = diff, total
        self._running: dict[str, tuple[Step, float]] = {}
        self._steps: dict[str, Step] = {}
        self._parents: dict[str, str] = {}
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
            self._running[step.urn] = (step, time.monotonic())

    def step_finished(self, step: Step) -> None:
        """Log a step's outcome."""
        self._running.pop(step.urn, None)
        if is_hidden(step):
            return
        if step.op != "discard" or step.urn not in self._steps:  # a replacement is listed once
            self._steps[step.urn] = step
        self._parents[step.urn] = step.parent
        if self._preview or (step.op == "same" and not step.error):
            return
        self._live.console.print(self._line(step), no_wrap=True, overflow="ellipsis")
        for change in step.changes if self._diff else ():
            self._live.console.print(Text("      ").append_text(describe_change(change)))

    def _line(self, step: Step, indent: int = 0) -> Text:
        """Format a step so that its name and status fit the width."""
        symbol, color, planned, _, completed = STYLES[step.op]
        status = Text(f"  {planned if self._preview else completed}", style=color)
        if step.error:
            symbol, color, status = "✗", "bold red", Text("  failed", style="bold red")
        elif not self._preview:
            status.append(f"  {step.seconds:.1f}s", style="dim")
        label = resource_label(step.urn, self._console.width - indent - 5 - len(status))
        return Text.assemble((f" {symbol:<3}", color), label, status)

    def _progress(self) -> Group:
        now = time.monotonic()
        running = list(self._running.values())
        lines = []
        for step, since in running[:_MAX_RUNNING]:
            symbol, color, _, verb, _ = STYLES[step.op]
            status = Text.assemble((f"  {verb}…", color), (f"  {now - since:.0f}s", "dim"))
            label = resource_label(step.urn, self._console.width - 5 - len(status))
            lines.append(Text.assemble((f" {symbol:<3}", color), label, status))
        if len(running) > _MAX_RUNNING:
            lines.append(Text(f"     and {len(running) - _MAX_RUNNING} more", style="dim"))
        steps = list(self._steps.values())
        same = sum(step.op == "same" for step in steps)
        total = f" of {self._total}" if self._total >= len(steps) and self._total else ""
        counts = f" {len(steps)}{total} done ({same} unchanged), {len(running)} running"
        lines.append(Text(f"{counts}, {now - self._start:.0f}s", style="dim"))
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)

    def message(self, diagnostic: Diagnostic) -> None:
        """Log a diagnostic."""
        self._live.console.print(diagnostic_text(diagnostic))

    def output(self, line: str) -> None:
        """Log a line of the program."""
        self._live.console.print(Text(f"    {line}"))

    def finished(self, result: Result) -> None:
        """Stop drawing; print a preview's tree, diagnostics, outputs and the summary."""
        self._live.stop()
        if self._preview:
            self._print_tree()
        summarize(self._console, result)

    def _print_tree(self) -> None:
        visible: set[str] = set()
        for changed, step in self._steps.items():
            urn = changed if step.op != "same" or step.error else ""
            while urn and urn not in visible:
                visible.add(urn)
                urn = self._parents.get(urn, "")
        branches: dict[str, Tree] = {}
        roots: list[Tree] = []

        def depth(urn: str) -> int:
            parent = self._parents.get(urn, "")
            return 1 + depth(parent) if parent in self._steps else 0

        def branch(urn: str) -> Tree:
            if urn in branches:
                return branches[urn]
            step, indent = self._steps[urn], 4 * depth(urn)
            changed = step.op != "same" or step.error
            label = self._line(step, indent) if changed else Text("    ") + resource_label(urn)
            parent = self._parents.get(urn, "")
            if parent in self._steps:
                branches[urn] = branch(parent).add(label)
            else:
                branches[urn] = Tree(label, guide_style="dim")
                roots.append(branches[urn])
            for change in step.changes if self._diff else ():
                branches[urn].add(describe_change(change))
            return branches[urn]

        for urn in self._steps:
            if urn in visible:
                branch(urn)
        for root in roots:
            self._console.print(root)
