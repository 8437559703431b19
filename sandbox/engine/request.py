"""Request, progress and result of an operation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from sandbox.engine.loopback import loopback_exemptions

Kind = Literal["preview", "up", "refresh", "destroy"]
Op = Literal[
    "same", "create", "update", "replace", "delete", "read", "import", "refresh", "discard"
]
CHANGES: tuple[Op, ...] = ("create", "update", "replace", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviations:
    """Deliberate differences from the Pulumi CLI; without them, the engine behaves as the CLI.

    refuse_protected: delete nothing if one of the resources to delete is protected, instead of what
        does not depend on it.
    keep_secrets: a refresh keeps secret what is secret in the state, also within lists and maps,
        even if the provider returns it in plain text.
    forget_creations: remove the record of an interrupted creation when the next run creates the
        resource, refreshes or destroys.
    fail_interrupted_deletions: an interrupt during deletions fails the operation.
    """

    refuse_protected: bool = False
    keep_secrets: bool = False
    forget_creations: bool = False
    fail_interrupted_deletions: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One operation on one stack.

    directory: the directory of Pulumi.yaml, or one below it.
    backend: the directory that holds `.pulumi`, or the URL `s3://BUCKET?region=REGION`.
    passphrase: of the secrets; not needed with `secretsprovider: awskms://…`.
    providers: package name to port on 127.0.0.1.
    targets: URNs; `*` and `**` match as in the CLI.
    parallel: maximum number of concurrent provider operations.
    environment: the program's environment; None for this process's.
    configuration: `key` or `key.path` to text, for this run only.
    created: URN and ID, oldest first, of resources that providers report as created; those that an
        interrupted run left out of the state are deleted.
    run_program: run the program in a destroy, for its resource hooks.
    deviations: deliberate differences from the CLI.
    only_interrupted: a refresh reads only the resources of operations that a killed run left
        unfinished, and keeps the records of those that it cannot read.
    """

    kind: Kind
    directory: Path
    stack: str
    backend: Path | str
    passphrase: str | None
    config_file: Path | None = None
    providers: Mapping[str, int] = field(default_factory=dict)
    targets: Sequence[str] = ()
    target_dependents: bool = False
    expect_no_changes: bool = False
    parallel: int = 32
    environment: Mapping[str, str] | None = None
    configuration: Mapping[str, str] = field(default_factory=dict)
    created: Sequence[tuple[str, str]] = ()
    run_program: bool = False
    deviations: Deviations = field(default_factory=Deviations)
    only_interrupted: bool = False

    @property
    def needs_program(self) -> bool:
        """Whether the operation runs the program."""
        return self.kind in ("up", "preview") or self.run_program

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the program and its child processes."""
        variables = dict(os.environ if self.environment is None else self.environment)
        return variables | loopback_exemptions(variables)


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """One property difference. `kind` is add, delete or update; secret values are masked."""

    path: str
    kind: str
    old: Any = None
    new: Any = None
    replaces: bool = False


@dataclass(slots=True)
class Step:
    """One operation on one resource, or its plan in a preview; `seconds` is its duration.

    deleted_first: a replacement whose deletion succeeded; it counts even if its creation failed.
    started: the Unix time of its start; 0 if it was not reported.
    """

    op: Op
    urn: str
    id: str = ""
    parent: str = ""
    custom: bool = True
    changes: list[PropertyChange] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""
    deleted_first: bool = False
    started: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the step as JSON; secrets are masked."""
        return {
            "op": self.op,
            "urn": self.urn,
            "id": self.id,
            "seconds": round(self.seconds, 3),
            **({"error": self.error} if self.error else {}),
            "changes": [asdict(change) for change in self.changes],
        }


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A message; `severity` is info, warning or error; `urn` may be empty."""

    severity: str
    urn: str
    message: str


@dataclass(slots=True)
class Result:
    """Result of an operation; `changes` counts resources by operation."""

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
        """Number of changed resources."""
        return sum(self.changes.get(op, 0) for op in CHANGES)

    @property
    def slowest(self) -> list[Step]:
        """The five slowest steps of more than 0.1 s, slowest first."""
        return sorted(
            (step for step in self.steps if step.seconds > 0.1), key=lambda step: -step.seconds
        )[:5]

    @property
    def exit_code(self) -> int:
        """0 for success, 1 for failure, 7 for changes where none were expected."""
        return 1 if self.result == "failed" else 7 if self.unexpected_changes else 0

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of `--json`; secrets are masked."""
        counts = ("create", "update", "replace", "delete", "same")
        return {
            "result": "failed" if self.exit_code else "succeeded",
            "engine": self.engine,
            "stack": self.stack,
            "operation": self.kind,
            "changes": {op: self.changes.get(op, 0) for op in counts},
            "seconds": round(self.seconds, 3),
            "diagnostics": [asdict(diagnostic) for diagnostic in self.diagnostics],
            "steps": [step.to_json() for step in self.steps if step.op != "same" or step.error],
            "outputs": self.outputs,
        }


class Display(Protocol):
    """Receives progress. Calls come from several threads, one at a time."""

    def started(self, request: Request) -> None:
        """Called when the operation starts."""

    def step_started(self, step: Step) -> None:
        """Called when a resource operation starts."""

    def step_finished(self, step: Step) -> None:
        """Called when a resource operation ends; `step.error` is set when it failed."""

    def message(self, diagnostic: Diagnostic) -> None:
        """Called for each message of the program, a provider or the engine."""

    def output(self, line: str) -> None:
        """Called for each line that the program prints."""

    def finished(self, result: Result) -> None:
        """Called when the operation has ended."""
