"""Showing an operation to people: plain lines here, a live tree in `tree`."""

from __future__ import annotations

import json
import time
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from sandbox.engine.request import Diagnostic, Op, PropertyChange, Request, Result, Step
from sandbox.engine.state import is_provider, urn_name, urn_type

STYLES: dict[Op, tuple[str, str, str, str, str]] = {
    # symbol, colour, to be done, being done, done
    "same": (" ", "dim", "same", "same", "unchanged"),
    "create": ("+", "green", "create", "creating", "created"),
    "update": ("~", "yellow", "update", "updating", "updated"),
    "replace": ("+-", "magenta", "replace", "replacing", "replaced"),
    "delete": ("-", "red", "delete", "deleting", "deleted"),
    "read": (">", "cyan", "read", "reading", "read"),
    "import": ("=", "blue", "import", "importing", "imported"),
    "refresh": ("~", "yellow", "refresh", "refreshing", "refreshed"),
    "discard": ("-", "red", "delete original", "deleting original", "deleted original"),
}
_CHANGE = {"add": ("+", "green"), "delete": ("-", "red"), "update": ("~", "yellow")}
TITLES = {"preview": "Previewing update", "up": "Updating", "refresh": "Refreshing", "destroy": "Destroying"}
_WIDTH = 120  # longest value that is shown on a line of its own


def describe_change(change: PropertyChange) -> Text:
    """One property's change on one line: sign, path, old value, new value."""
    symbol, colour = _CHANGE.get(change.kind, _CHANGE["update"])
    line = Text(f"{symbol} {change.path}: ", style=colour)
    if change.kind == "update":
        line.append(_short(change.old), style="red")
        line.append(" => ", style="dim")
        line.append(_short(change.new), style="green")
    else:
        line.append(_short(change.old if change.kind == "delete" else change.new), style=colour)
    if change.replaces:
        line.append("  (replaces)", style="magenta")
    return line


def _short(value: object) -> str:
    if value in ("[secret]", "output<computed>"):
        return str(value)
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def is_hidden(step: Step) -> bool:
    """Tell whether a step is of no interest: a default provider's, unless it failed."""
    return not step.error and is_provider(urn_type(step.urn)) and urn_name(step.urn).startswith("default")


def name_of(urn: str) -> Text:
    """A resource as people call it: type, then name."""
    return Text.assemble((urn_type(urn), "dim"), " ", (urn_name(urn), "bold")) if "::" in urn else Text("")


class PlainDisplay:
    """One line per event, for logs and pipes. With `diff` every property change is shown."""

    def __init__(self, stream: TextIO, *, diff: bool = True) -> None:
        self.console = Console(file=stream, soft_wrap=True, highlight=False)
        self._diff = diff
        self._preview = False
        self._began = time.monotonic()

    def started(self, request: Request) -> None:
        """Say what begins."""
        self._preview, self._began = request.kind == "preview", time.monotonic()
        self.console.print(f"[bold]{TITLES[request.kind]}[/] ([bold]{escape(request.stack)}[/])\n")

    def step_started(self, step: Step) -> None:
        """Say what is being worked on."""
        if not self._preview and step.custom and step.op not in ("same", "refresh") and not is_hidden(step):
            self._line(step, STYLES[step.op][3])

    def step_finished(self, step: Step) -> None:
        """Say what was done."""
        if is_hidden(step) or (step.op == "same" and not step.error):
            return
        if step.error:
            self._line(step, "failed", "red")
            return
        done = STYLES[step.op][2 if self._preview else 4]
        self._line(step, done if self._preview else f"{done} ({step.seconds:.1f}s)")
        if self._diff:
            for change in step.changes:
                self.console.print(Text("       ") + describe_change(change))

    def _line(self, step: Step, words: str, colour: str = "") -> None:
        symbol, own, *_ = STYLES[step.op]
        self.console.print(
            Text.assemble(f" {symbol:>2} ", name_of(step.urn), " ", words, style=None or "") if not (colour or own)
            else Text.assemble((f" {symbol:>2} ", colour or own), name_of(step.urn), " ", (words, colour or own))
        )  # fmt: skip

    def message(self, diagnostic: Diagnostic) -> None:
        """Show a diagnostic at once."""
        self.console.print(diagnostic_text(diagnostic))

    def output(self, line: str) -> None:
        """Pass on what the program printed."""
        self.console.print(Text(f"    {line}"))

    def finished(self, result: Result) -> None:
        """Show diagnostics that matter, outputs and the summary."""
        summarize(self.console, result)


def diagnostic_text(diagnostic: Diagnostic) -> Text:
    """A diagnostic as it is shown: severity, resource, what is wrong."""
    colour = {"error": "red", "warning": "yellow"}.get(diagnostic.severity, "")
    head = Text(f"    {diagnostic.severity}: " if colour else "    ", style=f"bold {colour}" if colour else "")
    if diagnostic.urn:
        head.append_text(name_of(diagnostic.urn))
        head.append(": ")
    return head.append(diagnostic.message.replace("\n", "\n      "))


def summarize(console: Console, result: Result) -> None:
    """Outputs, resource counts and duration, as `pulumi` ends."""
    if result.outputs:
        console.print("\n[bold blue]Outputs:[/]")
        width = max(map(len, result.outputs))
        for key, value in sorted(result.outputs.items()):
            shown = (
                value
                if value in ("[secret]", "output<computed>")
                else json.dumps(value, ensure_ascii=False, default=str)
            )
            console.print(Text(f"    {key:<{width}} : ") + Text(str(shown)))
    console.print("\n[bold blue]Resources:[/]")
    preview = result.kind == "preview"
    for op in ("create", "update", "replace", "delete"):
        count = result.changes.get(op, 0)
        if count:
            symbol, colour, todo, _, done = STYLES[op]
            console.print(Text(f"    {symbol} {count} {f'to {todo}' if preview else done}", style=colour))
    if result.changes.get("same"):
        console.print(f"    {result.changes['same']} unchanged")
    failed = [step for step in result.steps if step.error]
    if result.result == "failed":
        console.print(Text(f"\nFailed: {len(failed)} resource(s)." if failed else "\nFailed.", style="bold red"))
        if not preview and result.kind == "up":
            console.print("What succeeded is in the state; mend the cause and run `up` again: it goes on from there.")
    if result.unexpected_changes:
        console.print(Text("\nThere are changes, and none were expected.", style="bold red"))
    console.print(f"\n[bold blue]Duration:[/] {_duration(result.seconds)}")


def _duration(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds < 60 else f"{int(seconds // 60)}m{int(seconds % 60)}s"
