"""Stacks, resources, outputs, history and timelines, read from the sandbox's state."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sandbox.cli.endpoints import endpoints
from sandbox.cli.pipeline_session import find_pipeline
from sandbox.console.critical_path import critical_path
from sandbox.console.documents import (
    Bar,
    Operation,
    Overview,
    RefusedError,
    Resource,
    StackDocument,
    StackOutput,
    StackSummary,
    TimelineDocument,
)
from sandbox.engine import EngineError, stack_outputs
from sandbox.engine.state.backend import Backend
from sandbox.engine.state.property_values import from_state, masked
from sandbox.engine.state.resource import STACK_TYPE, is_default_provider, urn_name, urn_type
from sandbox.runtime import stack_files, timeline
from sandbox.runtime.background import read_info
from sandbox.runtime.home import Home
from sandbox.runtime.timeline import Timeline

_SECRET = "[secret]"  # noqa: S105 - how the engine masks secrets
_OPERATIONS_SHOWN = 50
_IN_PROGRESS = {
    "create": "creating",
    "import": "importing",
    "update": "updating",
    "replace": "replacing",
    "delete": "deleting",
    "discard": "deleting",
    "read": "reading",
    "refresh": "reading",
}


class Stacks:
    """The stacks of a project in a home."""

    def __init__(self, home: Home, directory: Path) -> None:
        self.home, self.directory = home, directory
        self.project = stack_files.project_name(directory)
        self._backend = Backend(home.state)
        self._lock = threading.Lock()
        self._decrypted: dict[tuple[str, str], tuple[str, Any]] = {}

    def overview(self) -> Overview:
        """Return all stacks: those with a state, and those with a stack file only."""
        existing = set(self._backend.stacks(self.project))
        running = read_info(self.home)
        return Overview(
            project=self.project,
            background=running is not None and running.is_alive,
            stacks=tuple(
                self._summary(name, exists=name in existing)
                for name in sorted(existing.union(stack_files.stack_names(self.directory)))
            ),
        )

    def existing(self) -> list[str]:
        """Return the names of the stacks that have a state."""
        return self._backend.stacks(self.project)

    def resources(self, name: str) -> list[dict[str, Any]]:
        """Return the resources in a stack's state. Raises RefusedError."""
        return list(self._deployment(name).get("resources") or [])

    def secret_output(self, name: str, key: str) -> Any:
        """Return an output's value, also of a secret; None without it. Decryption takes seconds."""
        outputs = _outputs(self._deployment(name))
        if key not in outputs:
            return None
        encrypted = json.dumps(outputs[key], sort_keys=True)
        with self._lock:
            cached = self._decrypted.get((name, key))
            if cached is None or cached[0] != encrypted:
                values = stack_outputs(
                    self.home.state, self.project, name, self.home.passphrase(), show_secrets=True
                )
                cached = self._decrypted[name, key] = (encrypted, values.get(key))
        return cached[1]

    def document(self, name: str) -> StackDocument:
        """Return a stack with its resources."""
        deployment, recorded = self._deployment(name), timeline.read(self.home, name)
        return StackDocument(
            name=name,
            running=_running(recorded),
            resources=tuple(_resources(deployment, recorded)),
            outputs=tuple(_stack_outputs(deployment, self.home)),
            history=tuple(self._history(name)),
        )

    def timeline(self, name: str) -> TimelineDocument | None:
        """Return the bars of the stack's last operation."""
        deployment, recorded = self._deployment(name), timeline.read(self.home, name)
        if recorded is None:
            return None
        dependencies = dict(recorded.dependencies)
        if recorded.ended is None:  # the file has those of before the operation only
            pending = [item["resource"] for item in deployment.get("pending_operations") or ()]
            current = [*(deployment.get("resources") or ()), *pending]
            dependencies |= timeline.dependencies_of(current)
        now = recorded.ended or (
            time.time()
            if recorded.result == "running"
            else max((step.ended or step.started for step in recorded.steps), default=0.0)
        )
        critical = critical_path(recorded.steps, dependencies, now)
        bars = tuple(
            Bar(
                urn=step.urn,
                op=step.op,
                type=urn_type(step.urn),
                name=urn_name(step.urn),
                start=round(step.started - recorded.started, 3),
                seconds=round((step.ended or now) - step.started, 3),
                running=step.ended is None and recorded.result == "running",
                critical=step in critical,
                error=step.error,
            )
            for step in sorted(recorded.steps, key=lambda step: (step.started, step.urn))
        )
        return TimelineDocument(
            kind=recorded.kind,
            engine=recorded.engine,
            result=recorded.result,
            started=recorded.started,
            seconds=round(max(0.0, now - recorded.started), 3),
            critical_seconds=round(sum(bar.seconds for bar in bars if bar.critical), 3),
            bars=bars,
        )

    def _require(self, name: str) -> None:
        if name in self.existing():
            return
        if name in stack_files.stack_names(self.directory):
            raise RefusedError(
                f"Stack {name} has never been up in this sandbox; `sandbox up {name}` creates it.",
                404,
            )
        raise RefusedError(f"There is no stack {name!r} in this project.", 404)

    def _deployment(self, name: str) -> dict[str, Any]:
        self._require(name)
        try:
            return self._backend.read(self.project, name)
        except EngineError as error:
            raise RefusedError(str(error), 500) from error

    def _summary(self, name: str, *, exists: bool) -> StackSummary:
        resources = self.resources(name) if exists else []
        history = self._history(name) if exists else []
        return StackSummary(
            name=name,
            exists=exists,
            resources=sum(not is_default_provider(item["urn"]) for item in resources),
            running=_running(timeline.read(self.home, name)),
            last=history[0] if history else None,
            pipeline=find_pipeline(resources) is not None,
        )

    def _history(self, name: str) -> list[Operation]:
        updates = self._backend.history(self.project, name)[:_OPERATIONS_SHOWN]
        return [
            Operation(
                kind="up" if update["kind"] == "update" else str(update["kind"]),
                result=str(update["result"]),
                started=float(update["startTime"]),
                ended=float(update["endTime"]),
                changes={
                    op: count
                    for op, count in (update.get("resourceChanges") or {}).items()
                    if op != "same" and count
                },
                message=str(update.get("message") or ""),
            )
            for update in updates
        ]


class _Masked:
    def decrypt(self, ciphertext: str) -> str:
        return json.dumps(ciphertext)


def _outputs(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs as the state has them, secrets encrypted."""
    for item in deployment.get("resources") or ():
        if item["type"] == STACK_TYPE:
            return dict(item.get("outputs") or {})
    return {}


def _stack_outputs(deployment: Mapping[str, Any], home: Home) -> Iterator[StackOutput]:
    outputs = masked(from_state(_outputs(deployment), _Masked()))
    local = {item.url: item.local_url for item in endpoints(home, outputs)}
    for key in sorted(outputs):
        value = outputs[key]
        secret = value == _SECRET
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        shown = "" if secret else text
        yield StackOutput(name=key, value=shown, secret=secret, local_url=local.get(shown, ""))


def _running(recorded: Timeline | None) -> str:
    return recorded.kind if recorded is not None and recorded.result == "running" else ""


def _resources(deployment: Mapping[str, Any], recorded: Timeline | None) -> Iterator[Resource]:
    """Yield the resources of the state, and those that are being created."""
    status: dict[str, str] = {}
    errors: dict[str, str] = {}
    for step in recorded.steps if recorded else ():
        if step.error:
            errors[step.urn] = step.error
        elif step.ended is None and recorded and recorded.result == "running":
            status[step.urn] = _IN_PROGRESS.get(step.op, step.op)
    items = {item["urn"]: item for item in deployment.get("resources") or ()}
    for pending in deployment.get("pending_operations") or ():
        item = pending["resource"]
        items.setdefault(item["urn"], item)
        interrupted = recorded is None or recorded.result != "running"
        if interrupted:
            status[item["urn"]] = "interrupted"
        else:
            status.setdefault(item["urn"], str(pending["type"]))
    for step in recorded.steps if recorded else ():
        if step.error and step.op in ("create", "import"):  # the state does not have it
            failed = {"urn": step.urn, "type": urn_type(step.urn), "parent": step.parent}
            items.setdefault(step.urn, failed)
    for urn, item in items.items():
        if is_default_provider(urn):
            continue
        state = "replaced, to be deleted" if item.get("delete") else "ready"
        yield Resource(
            urn=urn,
            parent=str(item.get("parent") or ""),
            type=str(item["type"]),
            name=urn_name(urn),
            id=str(item.get("id") or ""),
            status=status.get(urn, "failed" if urn in errors else state),
            error=errors.get(urn, ""),
            modified=str(item.get("modified") or ""),
        )
