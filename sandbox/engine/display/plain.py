"""Showing an operation to people: plain lines here, a live tree in `tree`."""

from __future__ import annotations

import json
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from sandbox.engine.request import Diagnostic, Op, PropertyChange, Request, Result, Step
from sandbox.engine.state.property_paths import Label, shown
from sandbox.engine.state.resource import is_provider, urn_name, urn_type

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
_WORDS = ("[secret]", "output<computed>")  # stand for values, so they aren't quoted
_CHANGE = {"add": ("+", "green"), "delete": ("-", "red"), "update": ("~", "yellow")}
TITLES = {"preview": "Previewing update", "up": "Updating", "refresh": "Refreshing", "destroy": "Destroying"}
_WIDTH = 240  # of a line in a log; longer values are cut to fit
_SLOW = 5.0  # seconds after which an operation tells where its time went


class LastingConsole(Console):
    """A console whose reader may leave (`up | head`): the operation goes on to its end, unseen."""

    def on_broken_pipe(self) -> None:
        """Stop printing; rich would end the process, or rather the thread that happened to print."""
        self.quiet = True


def describe_change(change: PropertyChange, width: int = _WIDTH) -> Text:
    """One property's change on one line: sign, path, old value, new value; values are cut to keep to the width."""
    symbol, colour = _CHANGE.get(change.kind, _CHANGE["update"])
    line = Text(f"{symbol} {change.path}: ", style=colour)
    room = max(24, width - len(line) - (14 if change.replaces else 0))
    if change.kind == "update":
        half = room // 2 - 2
        line.append(_short(change.old, half), style="red")
        line.append(" => ", style="dim")
        line.append(_short(change.new, half), style="green")
    else:
        line.append(_short(change.old if change.kind == "delete" else change.new, room), style=colour)
    if change.replaces:
        line.append("  (replaces)", style="magenta")
    return line


def _short(value: object, width: int) -> str:
    text = _text(value)
    return text if len(text) <= width else text[: width - 1] + "…"


def _text(value: object) -> str:
    return (
        str(value)
        if value in _WORDS or isinstance(value, Label)
        else json.dumps(value, ensure_ascii=False, default=str)
    )


def is_hidden(step: Step) -> bool:
    """Tell whether a step is of no interest: a default provider's, unless it failed."""
    return not step.error and is_provider(urn_type(step.urn)) and urn_name(step.urn).startswith("default")


def name_of(urn: str) -> Text:
    """A resource as people call it: type, then name."""
    return Text.assemble((_short_type(urn_type(urn)), "dim"), " ", (urn_name(urn), "bold")) if "::" in urn else Text("")


def _short_type(token: str) -> str:
    """`aws:ec2:Vpc` for `aws:ec2/vpc:Vpc`, as the CLI shows it: the name isn't pushed out of a narrow terminal."""
    module, _, name = token.rpartition(":")
    head, _, repeated = module.rpartition("/")
    return f"{head}:{name}" if head and repeated.lower() == name.lower() else token


class PlainDisplay:
    """One line per event, for logs and pipes. With `diff` every property change is shown."""

    def __init__(self, stream: TextIO, *, diff: bool = True) -> None:
        self.console = LastingConsole(file=stream, soft_wrap=True, highlight=False)
        self._diff = diff
        self._preview = self._quiet = False

    def started(self, request: Request) -> None:
        """Say what begins."""
        self._preview = request.kind == "preview"
        self.console.print(f"[bold]{TITLES[request.kind]}[/] ([bold]{escape(request.stack)}[/])")
        self._quiet = True

    def _print(self, line: Text) -> None:
        if self._quiet:  # the first line stands apart from the title
            self.console.print()
        self._quiet = False
        self.console.print(line)

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
                self._print(Text("       ") + describe_change(change))

    def _line(self, step: Step, words: str, colour: str = "") -> None:
        symbol, own, *_ = STYLES[step.op]
        style = colour or own
        self._print(Text.assemble((f" {symbol:>2} ", style), name_of(step.urn), " ", (words, style)))

    def message(self, diagnostic: Diagnostic) -> None:
        """Show a diagnostic at once."""
        self._print(diagnostic_text(diagnostic))

    def output(self, line: str) -> None:
        """Pass on what the program printed."""
        self._print(Text(f"    {line}"))

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
    """Outputs, resource counts, slowest steps and duration, as `pulumi` ends; what there is none of is left out."""
    preview = result.kind == "preview"
    counts = []
    for op in ("create", "update", "replace", "delete"):
        symbol, colour, todo, _, done = STYLES[op]
        if count := result.changes.get(op, 0):
            counts.append(Text(f"    {symbol} {count} {f'to {todo}' if preview else done}", style=colour))
    if result.changes.get("same"):
        counts.append(Text(f"    {result.changes['same']} unchanged"))
    width = max(map(len, result.outputs), default=0)
    outputs = [Text(f"    {key:<{width}} : {_text(shown(value))}") for key, value in sorted(result.outputs.items())]
    slowest = [Text(f"    {step.seconds:5.1f}s ").append_text(name_of(step.urn)) for step in result.slowest]
    sections = {"Outputs:": outputs, "Resources:": counts}
    if not preview and result.seconds >= _SLOW:
        sections["Slowest steps:"] = slowest
    for title, lines in sections.items():
        if lines:
            console.print(f"\n[bold blue]{title}[/]")
            for line in lines:
                console.print(line, soft_wrap=True)  # a long value stays one line to copy
    if result.result == "failed":
        failed = {item.urn for item in result.diagnostics if item.severity == "error" and item.urn}
        console.print(Text(f"\nFailed: {len(failed)} resource(s)." if failed else "\nFailed.", style="bold red"))
        if result.kind == "up" and result.changed:
            console.print("What succeeded is in the state; mend the cause and run `up` again: it goes on from there.")
    if result.unexpected_changes:
        console.print(Text("\nThere are changes, and none were expected.", style="bold red"))
    console.print(f"\n[bold blue]Duration:[/] {_duration(result.seconds)}")


def _duration(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds < 60 else f"{int(seconds // 60)}m{int(seconds % 60)}s"
