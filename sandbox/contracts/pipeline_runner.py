"""Protocol between the account and the runner of CodePipeline executions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


class PipelineRefusalError(Exception):
    """A request that CodePipeline refuses, with the code of AWS's error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, kw_only=True)
class PipelineFacts:
    """A pipeline: its current declaration, in botocore's shape, and its disabled transitions."""

    arn: str
    definition: Mapping[str, Any] = field(repr=False)
    disabled: frozenset[str] = frozenset()

    @property
    def region(self) -> str:
        """The region in the ARN."""
        return self.arn.split(":")[3]

    @property
    def name(self) -> str:
        """The name in the ARN."""
        return self.arn.split(":")[5]


@dataclass(frozen=True, kw_only=True)
class ExecutionOrder:
    """An execution to start.

    `trigger` is a TriggerType and its detail. `revisions` maps source actions to the commit, object
    version or object key to use instead of the newest; `branches` maps them to the pushed branch.
    """

    id: str
    pipeline_arn: str
    trigger: tuple[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)
    revisions: Mapping[str, str] = field(default_factory=dict)
    branches: Mapping[str, str] = field(default_factory=dict)


class PipelineRunner(Protocol):
    """Runs executions.

    Methods are thread-safe and return at once; none calls the account. Pipelines are named by ARN.
    Records are in the shapes of botocore, newest first. Methods that name an execution, stage or
    action raise PipelineRefusalError with AWS's code.
    """

    def configure(self, pipeline: PipelineFacts) -> None:
        """Add or update a pipeline; a new version cancels the executions of the previous one."""
        ...

    def delete(self, pipeline_arn: str) -> None:
        """Stop and delete a pipeline's executions; an unknown pipeline is ignored."""
        ...

    def reconcile(self, pipelines: Sequence[PipelineFacts]) -> None:
        """After a restart, have exactly these pipelines."""
        ...

    def start(self, order: ExecutionOrder) -> None:
        """Start an execution."""
        ...

    def stop(self, pipeline_arn: str, id: str, *, abandon: bool, reason: str) -> None:
        """Stop an execution after its running actions, or abandon them."""
        ...

    def execution(self, pipeline_arn: str, id: str) -> Mapping[str, Any]:
        """Return a PipelineExecution."""
        ...

    def executions(self, pipeline_arn: str, stage: str = "") -> Sequence[Mapping[str, Any]]:
        """Return PipelineExecutionSummaries, of those that succeeded in `stage` if it is given."""
        ...

    def action_executions(self, pipeline_arn: str, id: str = "") -> Sequence[Mapping[str, Any]]:
        """Return ActionExecutionDetails, of one execution if `id` is given."""
        ...

    def rule_executions(self, pipeline_arn: str, id: str = "") -> Sequence[Mapping[str, Any]]:
        """Return RuleExecutionDetails, of one execution if `id` is given."""
        ...

    def stage_states(self, pipeline_arn: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the part of each StageState that executions decide, by stage."""
        ...

    def put_approval(
        self,
        pipeline_arn: str,
        stage: str,
        action: str,
        *,
        token: str,
        approved: bool,
        summary: str,
        by: str,
    ) -> None:
        """Complete a waiting approval."""
        ...

    def retry(self, pipeline_arn: str, stage: str, id: str, *, mode: str) -> None:
        """Retry the failed stage of an execution; `mode` is FAILED_ACTIONS or ALL_ACTIONS."""
        ...

    def roll_back(self, pipeline_arn: str, stage: str, target: str, id: str) -> None:
        """Start the execution `id` that repeats a stage as the execution `target` ran it."""
        ...

    def override_condition(self, pipeline_arn: str, stage: str, id: str, condition: str) -> None:
        """Continue an execution that a condition failed; `condition` is a ConditionType."""
        ...
