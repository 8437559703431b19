"""Records of executions, as they are stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

ExecutionStatus = Literal[
    "Cancelled", "InProgress", "Stopped", "Stopping", "Succeeded", "Superseded", "Failed"
]
StageStatus = Literal["Cancelled", "InProgress", "Failed", "Stopped", "Succeeded", "Skipped"]
ActionStatus = Literal["InProgress", "Abandoned", "Succeeded", "Failed"]
Condition = Literal["beforeEntry", "onSuccess", "onFailure"]
LIVE = frozenset({"InProgress", "Stopping"})


def now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


class _Record(BaseModel):
    model_config = ConfigDict(validate_assignment=True, extra="forbid")


class StoredArtifact(_Record):
    """The object of an artifact's archive."""

    bucket: str
    key: str


class Revision(_Record):
    """The revision that a source action has fetched."""

    id: str
    summary: str = ""
    url: str = ""


class ActionRun(_Record):
    """One execution of an action."""

    id: str
    name: str
    status: ActionStatus = "InProgress"
    started: datetime = Field(default_factory=now)
    updated: datetime = Field(default_factory=now)
    configuration: dict[str, str] = Field(default_factory=dict)
    inputs: dict[str, StoredArtifact] = Field(default_factory=dict)
    outputs: dict[str, StoredArtifact] = Field(default_factory=dict)
    variables: dict[str, str] = Field(default_factory=dict)
    summary: str = ""
    token: str = ""
    external_id: str = ""
    external_url: str = ""
    log_stream: str = ""
    error_code: str = ""
    error_message: str = ""
    updated_by: str = ""


class RuleRun(_Record):
    """One execution of a rule."""

    id: str
    name: str
    condition: Condition
    status: ActionStatus = "InProgress"
    started: datetime = Field(default_factory=now)
    updated: datetime = Field(default_factory=now)
    configuration: dict[str, str] = Field(default_factory=dict)
    external_id: str = ""
    message: str = ""


class StageRun(_Record):
    """One execution's way through a stage.

    `completed` names the actions that the current attempt need not run; its own start at
    `attempt_start` in `actions`. `conditions` has the status of each condition that was evaluated.
    """

    name: str
    status: StageStatus = "InProgress"
    ended: datetime | None = None
    actions: list[ActionRun] = Field(default_factory=list)
    rules: list[RuleRun] = Field(default_factory=list)
    completed: list[str] = Field(default_factory=list)
    attempt_start: int = 0
    conditions: dict[Condition, str] = Field(default_factory=dict)
    automatic_retries: int = 0
    manual_retries: int = 0
    retry_trigger: str = ""

    def latest(self, action: str) -> ActionRun | None:
        """Return the latest run of an action."""
        return next((run for run in reversed(self.actions) if run.name == action), None)

    def start_attempt(self, trigger: str, *, all_actions: bool) -> None:
        """Prepare a retry of the failed actions, or of all."""
        self.retry_trigger, self.attempt_start = trigger, len(self.actions)
        if all_actions:
            self.completed = []

    def has_failed(self, action: str) -> bool:
        """Whether an action has failed in the current attempt."""
        runs = [run for run in self.actions[self.attempt_start :] if run.name == action]
        return bool(runs) and runs[-1].status == "Failed"


class Execution(_Record):
    """An execution of a pipeline.

    `number` orders the executions of a pipeline. `stage` is where it is, `inside` whether it has
    entered it. `definition` is the version of the pipeline that it runs.
    """

    id: str
    number: int
    pipeline_arn: str
    definition: dict[str, Any]
    trigger: tuple[str, str]
    status: ExecutionStatus = "InProgress"
    summary: str = ""
    variables: dict[str, str] = Field(default_factory=dict)
    requested_revisions: dict[str, str] = Field(default_factory=dict)
    requested_branches: dict[str, str] = Field(default_factory=dict)
    rollback_target: str = ""
    started: datetime = Field(default_factory=now)
    updated: datetime = Field(default_factory=now)
    stage: str = ""
    inside: bool = False
    stages: list[StageRun] = Field(default_factory=list)
    revisions: dict[str, Revision] = Field(default_factory=dict)
    artifacts: dict[str, StoredArtifact] = Field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = Field(default_factory=dict)
    stop_reason: str = ""

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.status in LIVE

    @property
    def region(self) -> str:
        """The pipeline's region."""
        return self.pipeline_arn.split(":")[3]

    @property
    def pipeline(self) -> str:
        """The pipeline's name."""
        return self.pipeline_arn.split(":")[5]

    @property
    def mode(self) -> str:
        """SUPERSEDED, QUEUED or PARALLEL."""
        return str(self.definition["executionMode"])

    @property
    def version(self) -> int:
        """The version of the pipeline."""
        return int(self.definition["version"])

    @property
    def is_rollback(self) -> bool:
        """Whether it repeats a stage of another execution."""
        return bool(self.rollback_target)

    def declarations(self) -> list[dict[str, Any]]:
        """Return the declarations of the stages that it runs."""
        stages: list[dict[str, Any]] = self.definition["stages"]
        if self.is_rollback:
            return [stage for stage in stages if stage["name"] == self.stage]
        return stages

    def declaration(self, stage: str) -> dict[str, Any]:
        """Return the declaration of a stage."""
        return next(item for item in self.definition["stages"] if item["name"] == stage)

    def run_of(self, stage: str) -> StageRun | None:
        """Return its way through a stage, if it has entered it."""
        return next((run for run in self.stages if run.name == stage), None)

    def action_runs(self) -> Iterator[tuple[StageRun, ActionRun]]:
        """Yield the runs of all actions in order."""
        for stage in self.stages:
            for action in stage.actions:
                yield stage, action

    def succeeded_in(self, stage: str) -> bool:
        """Whether it has run a stage with success."""
        run = self.run_of(stage)
        return run is not None and run.status == "Succeeded"

    def ended_in(self, stage: str) -> datetime:
        """Return when it left a stage."""
        run = self.run_of(stage)
        return (run.ended if run else None) or self.started

    def abandon(self) -> None:
        """Abandon what runs."""
        for stage in self.stages:
            runs: list[ActionRun | RuleRun] = [*stage.actions, *stage.rules]
            for run in runs:
                if run.status == "InProgress":
                    run.status, run.updated = "Abandoned", now()
            if stage.status == "InProgress":
                stage.status, stage.ended = "Stopped", now()
