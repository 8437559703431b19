"""Formats an operation's progress and prints it line by line; `tree` draws it on a terminal."""

from __future__ import annotations

from itertools import chain
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from sandbox.engine.display.property_diff import describe_change, formatted
from sandbox.engine.request import Diagnostic, Op, Request, Result, Step
from sandbox.engine.state.property_paths import displayed
from sandbox.engine.state.resource import is_default_provider, urn_name, urn_type

STYLES: dict[Op, tuple[str, str, str, str, str]] = {
    # symbol, color, planned, in progress, completed
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
TITLES = {
    "preview": "Previewing update",
    "up": "Updating",
    "refresh": "Refreshing",
    "destroy": "Destroying",
}
_REPEATED = ("error", "warning")  # severities that the summary repeats
_SLOW = 5.0  # seconds after which the summary lists the slowest steps


class LastingConsole(Console):
    """A console whose reader may close the pipe (`up | head`); the operation continues."""

    def on_broken_pipe(self) -> None:
        """Stop printing; rich would raise SystemExit in the thread that prints."""
        self.quiet = True


def is_hidden(step: Step) -> bool:
    """Whether a step is not shown: a default provider's, unless it failed."""
    return is_default_provider(step.urn) and not step.error


def resource_label(urn: str, width: int | None = None) -> Text:
    """Format a resource as type and name; within `width`, the type is shortened first."""
    if "::" not in urn:
        return Text("")
    kind, name = _short_type(urn_type(urn)), urn_name(urn)
    if width is not None and len(kind) + 1 + len(name) > width:
        room = width - len(name) - 1
        kind = f"…{kind[len(kind) - room + 1 :]}" if room > 1 else ""
        name = name if len(name) <= width else f"{name[: max(1, width - 1)]}…"
    return Text.assemble((f"{kind} " if kind else "", "dim"), (name, "bold"))


def _short_type(token: str) -> str:
    """Return `aws:ec2:Vpc` for `aws:ec2/vpc:Vpc`, as the Pulumi CLI does."""
    module, _, name = token.rpartition(":")
    head, _, repeated = module.rpartition("/")
    return f"{head}:{name}" if head and repeated.lower() == name.lower() else token


class PlainDisplay:
    """Prints one line per event, for logs and pipes; `diff` adds the changed properties."""

    def __init__(
        self, stream: TextIO, *, diff: bool = True, total: int = 0, preview: bool = False
    ) -> None:
        self.console = LastingConsole(file=stream, soft_wrap=True, highlight=False)
        self._diff, self._total, self._completed = diff, total, 0
        self._preview, self._after_title = preview, False
        self._scrolled = False  # whether lines follow the first diagnostic
        self._has_diagnostics = False

    def started(self, request: Request) -> None:
        """Print the operation and the stack."""
        self._preview = request.kind == "preview"
        self.console.print(f"[bold]{TITLES[request.kind]}[/] ([bold]{escape(request.stack)}[/])")
        self._after_title = True
        if request.needs_program:
            self.console.print("    Starting the program.")

    def _print(self, line: Text) -> None:
        if self._after_title:
            self.console.print()
        self._after_title = False
        self._scrolled = self._scrolled or self._has_diagnostics
        self.console.print(line)

    def step_started(self, step: Step) -> None:
        """Print that an operation on a custom resource starts."""
        shown = step.custom and step.op not in ("same", "refresh") and not is_hidden(step)
        if shown and not self._preview:
            self._line(step, STYLES[step.op][3])

    def step_finished(self, step: Step) -> None:
        """Print the outcome of a resource operation."""
        if is_hidden(step):
            return
        self._completed += 1
        if step.op == "same" and not step.error:
            return
        if step.error:
            self._line(step, "failed", "red")
            return
        _, _, planned, _, completed = STYLES[step.op]
        count = f", {self._completed} of {self._total}" if self._completed <= self._total else ""
        self._line(step, planned if self._preview else f"{completed} ({step.seconds:.1f}s{count})")
        if self._diff:
            for line in chain.from_iterable(map(describe_change, step.changes)):
                self._print(Text("       ") + line)

    def _line(self, step: Step, status: str, color: str = "") -> None:
        symbol, own, *_ = STYLES[step.op]
        style = color or own
        label = resource_label(step.urn)
        self._print(Text.assemble((f" {symbol:>2} ", style), label, " ", (status, style)))

    def message(self, diagnostic: Diagnostic) -> None:
        """Print a diagnostic at once."""
        self.console.print(diagnostic_text(diagnostic))
        self._has_diagnostics = self._has_diagnostics or diagnostic.severity in _REPEATED

    def output(self, line: str) -> None:
        """Print a line of the program."""
        self._print(Text(f"    {line}"))

    def finished(self, result: Result) -> None:
        """Print the summary, with the diagnostics if other lines followed them."""
        summarize(self.console, result, with_diagnostics=self._scrolled)


def diagnostic_text(diagnostic: Diagnostic) -> Text:
    """Format a diagnostic: severity, resource, message."""
    color = {"error": "red", "warning": "yellow"}.get(diagnostic.severity, "")
    severity = f"    {diagnostic.severity}: " if color else "    "
    head = Text(severity, style=f"bold {color}" if color else "")
    if diagnostic.urn:
        head.append_text(resource_label(diagnostic.urn)).append(": ")
    return head.append(diagnostic.message.replace("\n", "\n      "))


def summarize(console: Console, result: Result, *, with_diagnostics: bool = True) -> None:
    """Print diagnostics, outputs, resource counts, slowest steps and duration, as `pulumi` does."""
    preview = result.kind == "preview"
    counts = []
    for op in ("create", "update", "replace", "delete"):
        symbol, color, planned, _, completed = STYLES[op]
        if count := result.changes.get(op, 0):
            words = f"{count} to {planned}" if preview else f"{count} {completed}"
            counts.append(Text(f"    {symbol} {words}", style=color))
    if result.changes.get("same"):
        counts.append(Text(f"    {result.changes['same']} unchanged"))
    width = max(map(len, result.outputs), default=0)
    sections = {
        "Diagnostics:": [
            diagnostic_text(item)
            for item in result.diagnostics
            if with_diagnostics and item.severity in _REPEATED
        ],
        "Outputs:": [
            Text(f"    {key:<{width}} : {formatted(displayed(value))}")
            for key, value in sorted(result.outputs.items())
        ],
        "Resources:": counts if result.steps or result.result == "succeeded" else [],
    }
    if not preview and result.seconds >= _SLOW:
        sections["Slowest steps:"] = [
            Text(f"    {step.seconds:5.1f}s ").append_text(resource_label(step.urn))
            for step in result.slowest
        ]
    for title, lines in sections.items():
        if lines:
            console.print(f"\n[bold blue]{title}[/]")
            for line in lines:
                console.print(line, soft_wrap=True)  # a long value stays one line to copy
    if result.result == "failed":
        errors = [item for item in result.diagnostics if item.severity == "error"]
        failed = len({item.urn for item in errors if item.urn})
        words = f"\nFailed: {failed} resource(s)." if failed else "\nFailed."
        console.print(Text(words, style="bold red"))
        if result.kind == "up" and result.changed:
            console.print(
                "The state holds what succeeded. Fix the cause and run `up` again to continue."
            )
    if result.unexpected_changes:
        console.print(Text("\nChanges were found, and none were expected.", style="bold red"))
    console.print(f"\n[bold blue]Duration:[/] {_duration(result.seconds)}")


def _duration(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds < 60 else f"{int(seconds // 60)}m{int(seconds % 60)}s"
