"""Reads the Pulumi CLI's event log: the steps, counts and messages of an operation.

Source: sdk/go/common/apitype/events.go of pulumi/pulumi.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from sandbox.engine import Diagnostic, PropertyChange, Step
from sandbox.engine.request import Op
from sandbox.engine.state import property_paths, property_values
from sandbox.engine.state.resource import is_default_provider

CHANGES = ("create", "update", "replace", "delete", "same")

# The CLI's operations in the sandbox's summary; reads and refreshes change nothing.
_COUNTED = {
    "create": "create",
    "import": "create",
    "update": "update",
    "replace": "replace",
    "delete": "delete",
    "same": "same",
}
_OPS = frozenset(get_args(Op))
# Parts of a replacement, which has a step of its own.
_PARTS = {"create-replacement", "delete-replaced", "import-replacement", "discard-replaced"}
_COLOR = re.compile(r"<\{%[^%]*%\}>")

Event = Mapping[str, Any]


def read(log: Path) -> Iterator[Event]:
    """Return the events of a log, up to a line that a killed CLI or a full disk has cut."""
    if log.is_file():
        for line in log.read_text(errors="replace").splitlines():
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError:
                    return


def changes(events: Iterable[Event]) -> dict[str, int]:
    """Return the number of resources for each operation."""
    counts = dict.fromkeys(CHANGES, 0)
    for event in events:
        summary = event.get("summaryEvent") or {}
        for operation, count in (summary.get("resourceChanges") or {}).items():
            if operation in _COUNTED:
                counts[_COUNTED[operation]] += count
    return counts


def diagnostics(events: Iterable[Event]) -> list[Diagnostic]:
    """Return the errors and warnings."""
    messages = []
    for event in events:
        item = event.get("diagnosticEvent") or {}
        if item.get("severity") in ("error", "warning"):
            text = _COLOR.sub("", str(item.get("message", ""))).strip()
            messages.append(Diagnostic(item["severity"], str(item.get("urn") or ""), text))
    return messages


def steps(events: Iterable[Event], *, preview: bool) -> list[Step]:
    """Return the planned steps of a preview, else the executed ones; default providers have none.

    A step that failed has its resource's message as its error. The log's times are whole seconds.
    """
    events = list(events)
    started: dict[str, float] = {}
    errors = {item.urn: item.message for item in diagnostics(events) if item.severity == "error"}
    kinds = ("resourcePreEvent",) if preview else ("resOutputsEvent", "resOpFailedEvent")
    steps = []
    for event in events:
        before = (event.get("resourcePreEvent") or {}).get("metadata")
        if before:
            started.setdefault(before["urn"], float(event.get("timestamp") or 0))
        for kind in kinds:
            if metadata := (event.get(kind) or {}).get("metadata"):
                op = str(metadata["op"])
                if op in _OPS and op not in _PARTS and not is_default_provider(metadata["urn"]):
                    error = kind == "resOpFailedEvent"
                    failed = errors.get(metadata["urn"], "The operation failed.") if error else ""
                    step = _step(metadata, failed)
                    step.started = started.get(step.urn, 0.0)
                    if step.started:
                        step.seconds = max(0.0, float(event["timestamp"]) - step.started)
                    steps.append(step)
    return steps


def _step(metadata: Mapping[str, Any], error: str) -> Step:
    state = metadata.get("new") or metadata.get("old") or {}
    return Step(
        metadata["op"],
        metadata["urn"],
        id=str(state.get("id") or ""),
        parent=str(state.get("parent") or ""),
        custom=bool(state.get("custom")),
        changes=_property_changes(metadata),
        error=error,
    )


def _property_changes(metadata: Mapping[str, Any]) -> list[PropertyChange]:
    old, new = metadata.get("old"), metadata.get("new")
    if metadata["op"] not in ("update", "replace") or not old or not new:
        return []
    inputs = _values(old.get("inputs")), _values(new.get("inputs"))
    detailed = {
        path: (str(item["diffKind"]), bool(item.get("inputDiff")))
        for path, item in (metadata.get("detailedDiff") or {}).items()
    }
    if detailed:
        return property_paths.described(detailed, inputs[0], _values(old.get("outputs")), inputs[1])
    return property_paths.compare(*inputs)


def _values(properties: Any) -> property_values.Properties:
    """Decode properties; the log contains `[secret]` for a secret."""
    values: property_values.Properties = property_values.from_state(properties or {}, _Masked())
    return values


class _Masked:
    def decrypt(self, ciphertext: str) -> str:
        return property_values.dumps(ciphertext)
