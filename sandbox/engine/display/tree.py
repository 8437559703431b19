"""On a terminal: what is being worked on right now, below what is done; a preview ends in a tree of what would change."""

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
    name_of,
    summarize,
)
from sandbox.engine.request import Diagnostic, Display, Request, Result, Step

_SHOWN = 14  # steps under way that fit below the log without scrolling a small terminal
_PROPERTIES = 8  # changed properties listed under a resource unless --diff asks for all


def display_for(stream: TextIO, *, diff: bool = False) -> Display:
    """A live display where the stream is a terminal, plain lines elsewhere."""
    return LiveDisplay(stream, diff=diff) if stream.isatty() else PlainDisplay(stream, diff=diff)


class LiveDisplay:
    """Finished steps scroll up, running ones stay below with their time; redrawn four times a second."""

    def __init__(self, stream: TextIO, *, diff: bool = False) -> None:
        self._console = LastingConsole(file=stream, highlight=False)
        self._diff = diff
        self._running: dict[str, tuple[Step, float]] = {}
        self._steps: dict[str, Step] = {}
        self._parents: dict[str, str] = {}
        self._preview = False
        self._began = time.monotonic()
        self._live = Live(console=self._console, get_renderable=self._below, refresh_per_second=4, transient=True)

    def started(self, request: Request) -> None:
        """Say what begins, and begin to draw."""
        self._preview, self._began = request.kind == "preview", time.monotonic()
        self._console.print(Text.assemble((TITLES[request.kind], "bold"), " (", (request.stack, "bold cyan"), ")"))
        self._live.start()

    def step_started(self, step: Step) -> None:
        """Put a resource among those being worked on."""
        if is_hidden(step):
            return
        self._running[step.urn] = (step, time.monotonic())

    def step_finished(self, step: Step) -> None:
        """Take a resource from there; log what was done."""
        self._running.pop(step.urn, None)
        if is_hidden(step):
            return
        if step.op != "discard" or step.urn not in self._steps:  # the end of a replacement isn't news
            self._steps[step.urn] = step
        self._parents[step.urn] = step.parent
        if self._preview or (step.op == "same" and not step.error):
            return
        self._log(self._line(step))
        for change in step.changes if self._diff else ():
            self._log(Text("      ").append_text(describe_change(change, self._console.width - 6)))

    def _log(self, line: Text) -> None:
        self._live.console.print(line, no_wrap=True, overflow="ellipsis")

    def _line(self, step: Step) -> Text:
        symbol, colour, todo, _, done = STYLES[step.op]
        if step.error:
            return Text.assemble((" ✗  ", "bold red"), name_of(step.urn), ("  failed", "bold red"))
        words = todo if self._preview else done
        line = Text.assemble((f" {symbol:<3}", colour), name_of(step.urn), (f"  {words}", colour))
        return line if self._preview else line.append(f"  {step.seconds:.1f}s", style="dim")

    def _below(self) -> Group:
        now = time.monotonic()
        running = list(self._running.values())
        lines = [
            Text.assemble(
                (f" {STYLES[step.op][0]:<3}", STYLES[step.op][1]), name_of(step.urn),
                (f"  {STYLES[step.op][3]}…", STYLES[step.op][1]), (f"  {now - since:.0f}s", "dim"),
            )
            for step, since in running[:_SHOWN]
        ]  # fmt: skip
        if len(running) > _SHOWN:
            lines.append(Text(f"     and {len(running) - _SHOWN} more", style="dim"))
        same = sum(step.op == "same" for step in list(self._steps.values()))
        counted = (
            f"{len(self._steps) - same} done, {same} unchanged, {len(running)} under way, {now - self._began:.0f}s"
        )
        lines.append(Text(f" {counted}", style="dim"))
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)

    def message(self, diagnostic: Diagnostic) -> None:
        """Log a diagnostic."""
        self._live.console.print(diagnostic_text(diagnostic))

    def output(self, line: str) -> None:
        """Pass on what the program printed."""
        self._live.console.print(Text(f"    {line}"))

    def finished(self, result: Result) -> None:
        """Stop drawing; show the tree of a preview, the errors once more, outputs and summary."""
        self._live.stop()
        if self._preview:
            self._print_tree()
        errors = [item for item in result.diagnostics if item.severity == "error"]
        if errors and not self._preview:
            self._console.print("\n[bold red]Diagnostics:[/]")
            for item in errors:
                self._console.print(diagnostic_text(item))
        summarize(self._console, result)

    def _print_tree(self) -> None:
        wanted = [urn for urn, step in self._steps.items() if step.op != "same" or step.error]
        shown: set[str] = set()
        for wanted_urn in wanted:
            urn = wanted_urn
            while urn and urn not in shown:
                shown.add(urn)
                urn = self._parents.get(urn, "")
        branches: dict[str, Tree] = {}
        roots: list[Tree] = []

        def depth(urn: str) -> int:
            parent = self._parents.get(urn, "")
            return 1 + depth(parent) if parent in self._steps else 0

        def branch(urn: str) -> Tree:
            if urn not in branches:
                step = self._steps.get(urn)
                label = self._line(step) if step is not None and step.op != "same" else Text("    ") + name_of(urn)
                parent = self._parents.get(urn, "")
                if parent in self._steps:
                    branches[urn] = branch(parent).add(label)
                else:
                    branches[urn] = Tree(label, guide_style="dim")
                    roots.append(branches[urn])
                changes = step.changes if step is not None else []
                for change in changes if self._diff else changes[:_PROPERTIES]:
                    branches[urn].add(describe_change(change, self._console.width - 4 * (depth(urn) + 1)))
                if not self._diff and len(changes) > _PROPERTIES:
                    branches[urn].add(Text(f"and {len(changes) - _PROPERTIES} more (--diff shows them)", style="dim"))
            return branches[urn]

        for urn in self._steps:
            if urn in shown:
                branch(urn)
        for root in roots:
            self._console.print(root, no_wrap=True, overflow="ellipsis")
