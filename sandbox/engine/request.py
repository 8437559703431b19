"""What an operation is asked to do, what it reports while it runs, and what it did."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from sandbox.engine.loopback import reaching_loopback

Kind = Literal["preview", "up", "refresh", "destroy"]
Op = Literal["same", "create", "update", "replace", "delete", "read", "import", "refresh", "discard"]
CHANGES: tuple[Op, ...] = ("create", "update", "replace", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One operation on one stack.

    directory: folder of Pulumi.yaml (or one below it). backend: folder that holds `.pulumi`. providers: package to
    port on 127.0.0.1. targets: URNs, `*` and `**` as the CLI takes them. parallel: provider operations at a time.
    environment: the program's (None: this process's). configuration: `key` or `key.path` to text, for this run only. made: pairs of URN
    and id, oldest first, of what providers are known to have made: what an interrupted run left of it is cleared away.
    run_program: with destroy, run the program for the hooks that it holds.
    """

    kind: Kind
    directory: Path
    stack: str
    backend: Path
    passphrase: str
    config_file: Path | None = None
    providers: Mapping[str, int] = field(default_factory=dict)
    targets: Sequence[str] = ()
    target_dependents: bool = False
    expect_no_changes: bool = False
    parallel: int = 32
    environment: Mapping[str, str] | None = None
    configuration: Mapping[str, str] = field(default_factory=dict)
    made: Sequence[tuple[str, str]] = ()
    run_program: bool = False

    @property
    def needs_program(self) -> bool:
        """Tell whether the program is to be run."""
        return self.kind in ("up", "preview") or self.run_program

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the program and of what it starts."""
        variables = dict(os.environ if self.environment is None else self.environment)
        return variables | reaching_loopback(variables)


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """One property that differs. `kind` is add, delete or update; values are already masked where secret."""

    path: str
    kind: str
    old: Any = None
    new: Any = None
    replaces: bool = False


@dataclass(slots=True)
class Step:
    """One thing done (or, in a preview, to be done) to one resource. `seconds` is the time it took."""

    op: Op
    urn: str
    id: str = ""
    parent: str = ""
    custom: bool = True
    changes: list[PropertyChange] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """Something said to the user: severity is info, warning or error; `urn` may be empty."""

    severity: str
    urn: str
    message: str


@dataclass(slots=True)
class Result:
    """What an operation did. `result` is succeeded or failed; `changes` counts resources by operation."""

    result: Literal["succeeded", "failed"]
    stack: str
    kind: Kind
    changes: dict[str, int]
    seconds: float
    steps: list[Step] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    unexpected_changes: bool = False
    engine: str = "embedded"

    @property
    def changed(self) -> int:
        """How many resources are not the same."""
        return sum(self.changes.get(op, 0) for op in CHANGES)

    @property
    def slowest(self) -> list[Step]:
        """The five steps that took longest, longest first; a tenth of a second is not worth telling."""
        return sorted((step for step in self.steps if step.seconds > 0.1), key=lambda step: -step.seconds)[:5]

    @property
    def exit_code(self) -> int:
        """0 done, 1 failed, 7 changes where none were expected."""
        return 1 if self.result == "failed" else 7 if self.unexpected_changes else 0

    def document(self) -> dict[str, Any]:
        """The JSON document that `--json` prints; without any secret."""
        return {
            "result": self.result,
            "engine": self.engine,
            "stack": self.stack,
            "operation": self.kind,
            "changes": {op: self.changes.get(op, 0) for op in ("create", "update", "replace", "delete", "same")},
            "seconds": round(self.seconds, 3),
            "diagnostics": [
                {"severity": item.severity, "urn": item.urn, "message": item.message} for item in self.diagnostics
            ],
            "steps": [
                {
                    "op": step.op,
                    "urn": step.urn,
                    "id": step.id,
                    "seconds": round(step.seconds, 3),
                    **({"error": step.error} if step.error else {}),
                    "changes": [
                        {
                            "path": item.path,
                            "kind": item.kind,
                            "old": item.old,
                            "new": item.new,
                            "replaces": item.replaces,
                        }
                        for item in step.changes
                    ],
                }
                for step in self.steps
                if step.op != "same" or step.error
            ],
            "outputs": self.outputs,
        }


class Display(Protocol):
    """Where an operation's progress goes. Calls come from several threads, one at a time."""

    def started(self, request: Request) -> None:
        """An operation begins."""

    def step_started(self, step: Step) -> None:
        """A resource is being worked on."""

    def step_finished(self, step: Step) -> None:
        """A resource is done, or failed if `step.error` is set."""

    def message(self, diagnostic: Diagnostic) -> None:
        """The program, a provider or the engine has something to say."""

    def output(self, line: str) -> None:
        """The program printed a line."""

    def finished(self, result: Result) -> None:
        """The operation is over."""
