"""A build runner whose builds end as a test says."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.contracts.batch_record import new_batch
from sandbox.contracts.build_record import new_build
from sandbox.contracts.build_runner import BatchOrder, BuildOrder, PipelineBuild
from sandbox.pipelines.records import now

FAILED_PHASES = [
    {"phaseType": "PRE_BUILD", "phaseStatus": "SUCCEEDED"},
    {
        "phaseType": "BUILD",
        "phaseStatus": "FAILED",
        "contexts": [
            {
                "statusCode": "COMMAND_EXECUTION_ERROR",
                "message": "Error while executing command: false. Reason: exit status 1",
            }
        ],
    },
]


@dataclass
class Script:
    """How the builds of a project end: `outcomes` one after the other, the last one repeatedly.

    `hold` keeps builds in progress until it is set.
    """

    outcomes: list[str] = field(default_factory=lambda: ["SUCCEEDED"])
    exported: Mapping[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None


class ScriptedBuilds:
    """Implements BuildRunner; the lists have each build in order."""

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.orders: list[PipelineBuild] = []
        self.projects: list[Mapping[str, Any]] = []
        self.variables: list[dict[str, str]] = []
        self.times: list[tuple[str, float]] = []
        self._builds: dict[str, tuple[BuildOrder, Script, str]] = {}
        self._batches: dict[str, dict[str, Any]] = {}

    def script(self, project: str, *outcomes: str, **more: Any) -> Script:
        script = Script(list(outcomes) or ["SUCCEEDED"], **more)
        self.scripts[project] = script
        return script

    def started(self, project: str) -> list[str]:
        return [id for id in self._builds if id.startswith(f"{project}:")]

    def start(self, order: BuildOrder) -> None:
        project = str(order.project["name"])
        assert order.pipeline is not None
        variables = order.project["environment"]["environmentVariables"]
        self.orders.append(order.pipeline)
        self.projects.append(order.project)
        self.variables.append({item["name"]: item["value"] for item in variables})
        self.times.append((project, time.monotonic()))
        script = self.scripts.setdefault(project, Script())
        outcome = script.outcomes.pop(0) if len(script.outcomes) > 1 else script.outcomes[0]
        self._builds[order.id] = (order, script, outcome)

    def stop(self, id: str) -> None:
        raise AssertionError(id)

    def build(self, id: str) -> Mapping[str, Any] | None:
        if id not in self._builds:
            return None
        order, script, outcome = self._builds[id]
        shown = dict(new_build(order, now()))
        if script.hold is not None and not script.hold.is_set():
            return shown
        shown |= {"buildStatus": outcome, "buildComplete": True, "currentPhase": "COMPLETED"}
        if outcome == "SUCCEEDED":
            shown["exportedEnvironmentVariables"] = [
                {"name": name, "value": value} for name, value in script.exported.items()
            ]
        else:
            shown["phases"] = FAILED_PHASES
        return shown

    def builds(self, project: str | None = None) -> Sequence[str]:
        return [id for id in reversed(self._builds) if project in {None, id.partition(":")[0]}]

    def delete(self, id: str) -> None:
        self._builds.pop(id, None)

    def start_batch(self, order: BatchOrder) -> None:
        self._batches[order.id] = new_batch(order, now())

    def stop_batch(self, id: str) -> None:
        raise AssertionError(id)

    def batch(self, id: str) -> Mapping[str, Any] | None:
        if id not in self._batches:
            return None
        script = self.scripts.setdefault(id.partition(":")[0], Script())
        return self._batches[id] | {"buildBatchStatus": script.outcomes[0], "complete": True}

    def delete_batch(self, id: str) -> None:
        self._batches.pop(id, None)
