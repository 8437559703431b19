"""Events of executions, stages and actions whose state has changed.

Source: CodePipeline User Guide, "Monitoring CodePipeline events", with its example events.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.contracts.service_event import ServiceEvent
from sandbox.pipelines.records import ActionRun, Execution, StageRun

_STATES = {
    "Abandoned": "ABANDONED",
    "Cancelled": "CANCELED",
    "Failed": "FAILED",
    "Stopped": "STOPPED",
    "Stopping": "STOPPING",
    "Succeeded": "SUCCEEDED",
    "Superseded": "SUPERSEDED",
}


class StateChanges:
    """Compares each stored execution with its previous states."""

    def __init__(self) -> None:
        self._states: dict[str, dict[tuple[str, str], str]] = {}

    def remember(self, execution: Execution) -> None:
        """Take the states of an execution that was read, so that they are not sent again."""
        self._states[execution.id] = _states(execution)

    def of(self, execution: Execution) -> list[ServiceEvent]:
        """Return the events since the previous call."""
        before = self._states.get(execution.id, {})
        after = _states(execution)
        changed = {key: before.get(key) for key, value in after.items() if before.get(key) != value}
        if not changed:
            return []
        self._states[execution.id] = after
        return list(_events(execution, changed))


def _states(execution: Execution) -> dict[tuple[str, str], str]:
    states: dict[tuple[str, str], str] = {("pipeline", ""): execution.status}
    for stage in execution.stages:
        states["stage", stage.name] = stage.status
        for action in stage.actions:
            states["action", action.id] = action.status
    return states


def _events(
    execution: Execution, changed: dict[tuple[str, str], str | None]
) -> Iterator[ServiceEvent]:
    """Yield starts from the outside in, and ends from the inside out."""
    ended = execution.status not in {"InProgress", "Stopping"}
    own = ("pipeline", "") in changed
    if own and not ended:
        yield _pipeline_event(execution, changed["pipeline", ""])
    for stage in execution.stages:
        stage_changed = ("stage", stage.name) in changed
        if stage_changed and stage.status == "InProgress":
            yield _stage_event(execution, stage, changed["stage", stage.name])
        for action in stage.actions:
            if ("action", action.id) in changed:
                yield _action_event(execution, stage, action)
        if stage_changed and stage.status not in {"InProgress", "Skipped"}:
            yield _stage_event(execution, stage, changed["stage", stage.name])
    if own and ended:
        yield _pipeline_event(execution, changed["pipeline", ""])


def _event(execution: Execution, kind: str, detail: dict[str, Any]) -> ServiceEvent:
    return ServiceEvent(
        source="aws.codepipeline",
        detail_type=f"CodePipeline {kind} Execution State Change",
        region=execution.region,
        resources=(execution.pipeline_arn,),
        detail={
            "pipeline": execution.pipeline,
            "execution-id": execution.id,
            **detail,
            "version": float(execution.version),
        },
    )


def _state(status: str, before: str | None) -> str:
    if status == "InProgress":
        return "STARTED" if before is None else "RESUMED"
    return _STATES.get(status, status.upper())


def _pipeline_event(execution: Execution, before: str | None) -> ServiceEvent:
    kind, by = execution.trigger
    trigger = {"trigger-type": kind, "trigger-detail": by}
    detail = {"execution-trigger": trigger, "state": _state(execution.status, before)}
    return _event(execution, "Pipeline", detail)


def _stage_event(execution: Execution, stage: StageRun, before: str | None) -> ServiceEvent:
    detail = {"stage": stage.name, "state": _state(stage.status, before)}
    return _event(execution, "Stage", detail)


def _action_event(execution: Execution, stage: StageRun, action: ActionRun) -> ServiceEvent:
    declarations = execution.declaration(stage.name)["actions"]
    kind = next(item for item in declarations if item["name"] == action.name)["actionTypeId"]
    detail: dict[str, Any] = {
        "stage": stage.name,
        "action": action.name,
        "action-execution-id": action.id,
        "state": _state(action.status, None),
        "region": execution.region,
        "type": dict(kind),
    }
    result = {
        "external-execution-id": action.external_id,
        "external-execution-url": action.external_url,
        "external-execution-summary": action.error_message or action.summary,
        "error-code": action.error_code,
    }
    if action.status != "InProgress" and any(result.values()):
        detail["execution-result"] = {name: value for name, value in result.items() if value}
    return _event(execution, "Action", detail)
