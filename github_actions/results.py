"""The result of a preview: run it with the sandbox or Pulumi, and read either tool's JSON."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter

from sandbox.engine.state.property_paths import parse_path

Engine = Literal["sandbox", "pulumi"]
Op = Literal["create", "update", "replace", "delete", "same"]
COUNTED = get_args(Op)
# Steps of Pulumi that a person counts as one replacement.
_REPLACEMENT_PARTS = {"create-replacement": "", "delete-replaced": "", "replace": "replace"}
_KINDS = {"add": "add", "delete": "delete", "update": "update"}
_SECRET = "4dabf18193072939515e22adb298388d"  # noqa: S105 - marks a secret in Pulumi's JSON


@dataclass(frozen=True)
class Change:
    """One property change; secret values are masked."""

    path: str
    kind: str
    old: Any = None
    new: Any = None
    replaces: bool = False


@dataclass(frozen=True)
class Step:
    """One resource operation."""

    op: Op
    urn: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Preview:
    """The preview of one stack."""

    stack: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
    succeeded: bool
    counts: Mapping[str, int]
    steps: tuple[Step, ...] = ()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    where: Literal["AWS", "the sandbox", ""] = ""

    @property
    def changed(self) -> int:
        """Number of changed resources."""
        return sum(count for op, count in self.counts.items() if op != "same")

    def write(self, file: Path) -> None:
        """Write the preview for a later job."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


def read(file: Path) -> Preview:
    """Read a preview that an earlier job wrote. Raises ValueError if it is none.

    The job of a fork ran the fork's code: its result is validated before it is shown.
    """
    return TypeAdapter(Preview).validate_json(file.read_bytes())


def run(stack: str, engine: Engine, *, refresh: bool = False) -> Preview:
    """Preview a stack; a preview that fails is a result too."""
    options = ["--refresh"] if refresh else []
    if engine == "sandbox":
        command = ["sandbox", "preview", stack, "--json", *options]
    else:
        command = ["pulumi", "preview", "--stack", stack, "--json", "--non-interactive", *options]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        document = json.loads(ran.stdout)
    except ValueError:
        lines = (ran.stderr or ran.stdout).strip().splitlines()
        return Preview(stack, succeeded=False, counts={}, errors=("\n".join(lines[-40:]),))
    of_engine = of_sandbox if engine == "sandbox" else of_pulumi
    return of_engine(stack, document, failed=ran.returncode != 0)


def of_sandbox(stack: str, document: Mapping[str, Any], *, failed: bool = False) -> Preview:
    """Read the document of `sandbox preview --json`."""
    messages = _Messages()
    for item in document.get("diagnostics", ()):
        messages.add(item["severity"], item["urn"], item["message"])
    if "error" in document:
        messages.add("error", "", document["error"])
    steps = [
        Step(step["op"], step["urn"], tuple(Change(**change) for change in step["changes"]))
        for step in document.get("steps", ())
        if step["op"] in COUNTED
    ]
    return Preview(
        stack,
        succeeded=not failed and document["result"] == "succeeded",
        counts=dict(document.get("changes", {})),
        steps=tuple(steps),
        errors=tuple(messages.errors),
        warnings=tuple(messages.warnings),
        where="the sandbox",
    )


def of_pulumi(stack: str, document: Mapping[str, Any], *, failed: bool = False) -> Preview:
    """Read the document of `pulumi preview --json`."""
    messages = _Messages()
    for item in document.get("diagnostics", ()):
        messages.add(item.get("severity", ""), item.get("urn", ""), item.get("message", ""))
    steps = []
    for step in document.get("steps", ()):
        op = _REPLACEMENT_PARTS.get(step["op"], step["op"])
        if op in COUNTED and op != "same":
            steps.append(Step(op, step["urn"], tuple(_changes(step))))
    counts = dict.fromkeys(COUNTED, 0)
    for op, count in (document.get("changeSummary") or {}).items():
        name = {"import": "create"}.get(op, op)
        if name in counts:
            counts[name] += count
    return Preview(
        stack,
        succeeded=not failed and not messages.errors,
        counts=counts,
        steps=tuple(steps),
        errors=tuple(messages.errors),
        warnings=tuple(messages.warnings),
        where="AWS",
    )


@dataclass
class _Messages:
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, severity: str, urn: str, message: str) -> None:
        prefix = f"{urn.rpartition('::')[2]}: " if urn else ""
        text = f"{prefix}{message.strip()}"
        if severity == "error":
            self.errors.append(text)
        elif severity == "warning":
            self.warnings.append(text)


def _changes(step: Mapping[str, Any]) -> Iterator[Change]:
    old = (step.get("oldState") or {}).get("inputs") or {}
    new = (step.get("newState") or {}).get("inputs") or {}
    detailed = step.get("detailedDiff") or {
        key: {"kind": "update"} for key in step.get("diffReasons") or ()
    }
    replaces = step.get("replaceReasons") or ()
    for path, difference in sorted(detailed.items()):
        kind, _, replacement = str(difference.get("kind", "update")).partition("-")
        yield Change(
            path,
            _KINDS.get(kind, "update"),
            None if kind == "add" else _value(old, path),
            None if kind == "delete" else _value(new, path),
            bool(replacement) or path in replaces,
        )


def _value(inputs: Any, path: str) -> Any:
    for part in parse_path(path):
        if isinstance(inputs, Mapping):
            inputs = inputs.get(str(part))
        elif isinstance(inputs, list) and isinstance(part, int) and part < len(inputs):
            inputs = inputs[part]
        else:
            return None
        if isinstance(inputs, Mapping) and _SECRET in inputs:
            return "[secret]"
    return inputs
