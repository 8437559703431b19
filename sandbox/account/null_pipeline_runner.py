"""A pipeline runner that runs nothing: every execution stays in progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from sandbox.contracts.pipeline_runner import (
    ExecutionOrder,
    PipelineFacts,
    PipelineRefusalError,
)

WAITING = "Nothing runs executions: this account runs without the sandbox's background process."


class NullPipelineRunner:
    """For an account that runs alone."""

    def __init__(self) -> None:
        self._pipelines: dict[str, PipelineFacts] = {}
        self._executions: dict[str, dict[str, dict[str, Any]]] = {}

    def configure(self, pipeline: PipelineFacts) -> None:
        """Record the pipeline."""
        self._pipelines[pipeline.arn] = pipeline
        self._executions.setdefault(pipeline.arn, {})

    def delete(self, pipeline_arn: str) -> None:
        """Forget the pipeline and its executions."""
        self._pipelines.pop(pipeline_arn, None)
        self._executions.pop(pipeline_arn, None)

    def reconcile(self, pipelines: Sequence[PipelineFacts]) -> None:
        """Have exactly these pipelines."""
        for arn in set(self._pipelines) - {pipeline.arn for pipeline in pipelines}:
            self.delete(arn)
        for pipeline in pipelines:
            self.configure(pipeline)

    def start(self, order: ExecutionOrder) -> None:
        """Record the execution as in progress."""
        definition = self._pipelines[order.pipeline_arn].definition
        self._executions[order.pipeline_arn][order.id] = {
            "pipelineName": definition["name"],
            "pipelineVersion": definition["version"],
            "pipelineExecutionId": order.id,
            "status": "InProgress",
            "statusSummary": WAITING,
            "trigger": {"triggerType": order.trigger[0], "triggerDetail": order.trigger[1]},
            "executionMode": definition["executionMode"],
            "executionType": "STANDARD",
        }

    def stop(self, pipeline_arn: str, id: str, *, abandon: bool, reason: str) -> None:  # noqa: ARG002
        """Stop the execution, since none of its actions runs."""
        execution = self._find(pipeline_arn, id)
        if execution["status"] != "InProgress":
            raise PipelineRefusalError(
                "PipelineExecutionNotStoppableException", f"{id} is {execution['status']}"
            )
        execution.update(status="Stopped", statusSummary=reason)

    def execution(self, pipeline_arn: str, id: str) -> Mapping[str, Any]:
        """Return the execution."""
        return self._find(pipeline_arn, id)

    def executions(self, pipeline_arn: str, stage: str = "") -> Sequence[Mapping[str, Any]]:
        """Return all executions; none has succeeded in a stage."""
        items = [] if stage else list(self._executions.get(pipeline_arn, {}).values())
        hidden = {"pipelineName", "pipelineVersion"}
        return [
            {name: value for name, value in item.items() if name not in hidden}
            for item in reversed(items)
        ]

    def action_executions(self, pipeline_arn: str, id: str = "") -> Sequence[Mapping[str, Any]]:  # noqa: ARG002
        """Return nothing."""
        return []

    def rule_executions(self, pipeline_arn: str, id: str = "") -> Sequence[Mapping[str, Any]]:  # noqa: ARG002
        """Return nothing."""
        return []

    def stage_states(self, pipeline_arn: str) -> Mapping[str, Mapping[str, Any]]:
        """Return stages that no execution has entered."""
        return {
            stage["name"]: {
                "stageName": stage["name"],
                "actionStates": [{"actionName": action["name"]} for action in stage["actions"]],
            }
            for stage in self._pipelines[pipeline_arn].definition["stages"]
        }

    def put_approval(self, pipeline_arn: str, stage: str, action: str, **_: Any) -> None:
        """Refuse: no approval waits."""
        raise PipelineRefusalError(
            "InvalidApprovalTokenException",
            f"The action '{action}' in the stage '{stage}' of {pipeline_arn} does not wait",
        )

    def retry(self, pipeline_arn: str, stage: str, id: str, *, mode: str) -> None:  # noqa: ARG002
        """Refuse: no stage has failed."""
        self._refuse(pipeline_arn, id, "StageNotRetryableException", stage)

    def roll_back(self, pipeline_arn: str, stage: str, target: str, id: str) -> None:  # noqa: ARG002
        """Refuse: no execution has succeeded."""
        self._refuse(pipeline_arn, target, "UnableToRollbackStageException", stage)

    def override_condition(self, pipeline_arn: str, stage: str, id: str, condition: str) -> None:  # noqa: ARG002
        """Refuse: no condition has failed."""
        self._refuse(pipeline_arn, id, "ConditionNotOverridableException", stage)

    def _refuse(self, pipeline_arn: str, id: str, code: str, stage: str) -> NoReturn:
        self._find(pipeline_arn, id)
        raise PipelineRefusalError(code, f"The execution {id} has not run the stage '{stage}'")

    def _find(self, pipeline_arn: str, id: str) -> dict[str, Any]:
        execution = self._executions.get(pipeline_arn, {}).get(id)
        if execution is None:
            raise PipelineRefusalError(
                "PipelineExecutionNotFoundException",
                f"The pipeline execution ID '{id}' doesn't exist in {pipeline_arn}",
            )
        return execution
