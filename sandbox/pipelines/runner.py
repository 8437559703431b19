"""The runner of pipeline executions: implements PipelineRunner."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.contracts.pipeline_runner import (
    ExecutionOrder,
    PipelineFacts,
    PipelineRefusalError,
)
from sandbox.pipelines import descriptions
from sandbox.pipelines.action_execution import Services
from sandbox.pipelines.execution import CANCELED, ExecutionRun
from sandbox.pipelines.pipeline import InterruptedRunError, Pipeline
from sandbox.pipelines.records import Condition, Execution, StageRun, now
from sandbox.pipelines.store import ExecutionStore

_JOIN_SECONDS = 5.0
_CONDITIONS: dict[str, Condition] = {"BEFORE_ENTRY": "beforeEntry", "ON_SUCCESS": "onSuccess"}


class CodePipelineRunner:
    """Runs executions in threads; their records are in `directory`.

    Executions run between `resume` and `close`: `resume` continues those of a previous process.
    """

    def __init__(self, directory: Path, services: Services) -> None:
        self._store = ExecutionStore(directory)
        self._services = services
        self._lock = threading.RLock()
        self._pipelines: dict[str, Pipeline] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._running = False

    def resume(self) -> None:
        """Continue the executions that have not ended; the account must answer."""
        with self._lock:
            self._running = True
            pipelines = list(self._pipelines.values())
        for pipeline in pipelines:
            for execution in pipeline.live():
                _recover(pipeline, execution)
                self._run(pipeline, execution)

    def close(self) -> None:
        """Interrupt all executions; their records remain as they are."""
        with self._lock:
            self._running = False
            pipelines, threads = list(self._pipelines.values()), list(self._threads.values())
        for pipeline in pipelines:
            pipeline.close()
        for thread in threads:
            thread.join(_JOIN_SECONDS)

    def facts(self) -> list[PipelineFacts]:
        """Return all pipelines."""
        with self._lock:
            return [pipeline.facts for pipeline in self._pipelines.values()]

    def configure(self, pipeline: PipelineFacts) -> None:
        """Add or update a pipeline; a new version cancels the executions that wait."""
        with self._lock:
            existing = self._pipelines.get(pipeline.arn)
            if existing is None:
                self._pipelines[pipeline.arn] = Pipeline(pipeline, self._store, self._services.emit)
                return
        with existing.changed:
            existing.facts = pipeline
            for execution in existing.live():
                if execution.version != pipeline.definition["version"] and not execution.inside:
                    execution.status, execution.summary = "Cancelled", CANCELED
                    existing.store(execution)
            existing.changed.notify_all()

    def delete(self, pipeline_arn: str) -> None:
        """Stop and delete a pipeline's executions; an unknown pipeline is ignored."""
        with self._lock:
            pipeline = self._pipelines.pop(pipeline_arn, None)
        if pipeline is not None:
            pipeline.close()
            with pipeline.changed:
                self._store.delete(pipeline_arn)

    def reconcile(self, pipelines: Sequence[PipelineFacts]) -> None:
        """After a restart, have exactly these pipelines."""
        arns = {pipeline.arn for pipeline in pipelines}
        for arn in [arn for arn in self._pipelines if arn not in arns]:
            self.delete(arn)
        self._store.keep(arns)
        for pipeline in pipelines:
            self.configure(pipeline)

    def start(self, order: ExecutionOrder) -> None:
        """Start an execution; an ID that is known is ignored."""
        pipeline = self._pipeline(order.pipeline_arn)
        with pipeline.changed:
            if order.id in pipeline.executions:
                return
            execution = Execution(
                id=order.id,
                number=pipeline.next_number(),
                pipeline_arn=order.pipeline_arn,
                definition=dict(pipeline.facts.definition),
                trigger=order.trigger,
                variables=dict(order.variables),
                requested_revisions=dict(order.revisions),
                requested_branches=dict(order.branches),
                stage=pipeline.facts.definition["stages"][0]["name"],
            )
            pipeline.add(execution)
        self._run(pipeline, execution)

    def stop(self, pipeline_arn: str, id: str, *, abandon: bool, reason: str) -> None:
        """Stop an execution after its running actions, or abandon them."""
        pipeline, execution = self._find(pipeline_arn, id)
        with pipeline.changed:
            if not execution.live:
                raise PipelineRefusalError(
                    "PipelineExecutionNotStoppableException",
                    f"The pipeline execution {id} cannot be stopped: its status is "
                    f"{execution.status}",
                )
            if execution.status == "Stopping" and not abandon:
                raise PipelineRefusalError(
                    "DuplicatedStopRequestException",
                    f"The pipeline execution {id} is already stopping",
                )
            execution.stop_reason = reason
            execution.summary = reason
            execution.status = "Stopped" if abandon else "Stopping"
            if abandon:
                execution.inside = False
                execution.abandon()
            pipeline.store(execution)

    def execution(self, pipeline_arn: str, id: str) -> Mapping[str, Any]:
        """Return a PipelineExecution."""
        pipeline, execution = self._find(pipeline_arn, id)
        with pipeline.changed:
            return descriptions.execution(execution)

    def executions(self, pipeline_arn: str, stage: str = "") -> Sequence[Mapping[str, Any]]:
        """Return PipelineExecutionSummaries, of those that succeeded in `stage` if it is given."""
        pipeline = self._pipeline(pipeline_arn)
        with pipeline.changed:
            return [
                descriptions.execution_summary(execution)
                for execution in _newest_first(pipeline)
                if not stage or execution.succeeded_in(stage)
            ]

    def action_executions(self, pipeline_arn: str, id: str = "") -> Sequence[Mapping[str, Any]]:
        """Return ActionExecutionDetails, of one execution if `id` is given."""
        pipeline = self._find(pipeline_arn, id)[0] if id else self._pipeline(pipeline_arn)
        with pipeline.changed:
            return [
                descriptions.action_execution(execution, stage, run)
                for execution in _newest_first(pipeline)
                if id in {"", execution.id}
                for stage, run in reversed(list(execution.action_runs()))
            ]

    def rule_executions(self, pipeline_arn: str, id: str = "") -> Sequence[Mapping[str, Any]]:
        """Return RuleExecutionDetails, of one execution if `id` is given."""
        pipeline = self._find(pipeline_arn, id)[0] if id else self._pipeline(pipeline_arn)
        with pipeline.changed:
            return [
                descriptions.rule_execution(execution, stage, run)
                for execution in _newest_first(pipeline)
                if id in {"", execution.id}
                for stage in reversed(execution.stages)
                for run in reversed(stage.rules)
            ]

    def stage_states(self, pipeline_arn: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the part of each StageState that executions decide, by stage."""
        pipeline = self._pipeline(pipeline_arn)
        with pipeline.changed:
            return {
                stage["name"]: descriptions.stage_state(
                    stage, _newest_first(pipeline), pipeline.waiting(stage["name"])
                )
                for stage in pipeline.facts.definition["stages"]
            }

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
        pipeline = self._pipeline(pipeline_arn)
        with pipeline.changed:
            for execution in _newest_first(pipeline):
                run = (execution.run_of(stage) or StageRun(name=stage)).latest(action)
                if run is None or not token or run.token != token:
                    continue
                if run.status != "InProgress" or not execution.live:
                    break
                run.token, run.updated_by = "", by
                if approved:
                    run.summary = summary
                else:
                    run.error_message = summary or "The approval was rejected"
                pipeline.store(execution)
                return
        raise PipelineRefusalError(
            "InvalidApprovalTokenException",
            f"The approval token of the action '{action}' in the stage '{stage}' is not valid; "
            "GetPipelineState returns the token of a waiting approval",
        )

    def retry(self, pipeline_arn: str, stage: str, id: str, *, mode: str) -> None:
        """Retry the failed stage of an execution."""
        pipeline, execution = self._find(pipeline_arn, id)
        with pipeline.changed:
            run = execution.run_of(stage)
            if execution.live or run is None or run.status not in {"Failed", "Stopped"}:
                raise PipelineRefusalError(
                    "StageNotRetryableException",
                    f"The stage '{stage}' of the pipeline execution {id} has not failed",
                )
            self._check_latest(pipeline, execution, stage)
            run.status, run.ended = "InProgress", None
            run.manual_retries += 1
            run.conditions.pop("onSuccess", None)
            run.start_attempt("ManualStageRetry", all_actions=mode == "ALL_ACTIONS")
            self._restart(pipeline, execution, stage)

    def roll_back(self, pipeline_arn: str, stage: str, target: str, id: str) -> None:
        """Start the execution `id` that repeats a stage as the execution `target` ran it."""
        pipeline, execution = self._find(pipeline_arn, target)
        with pipeline.changed:
            if execution.version != pipeline.facts.definition["version"]:
                raise PipelineRefusalError(
                    "PipelineExecutionOutdatedException",
                    f"The pipeline execution {target} ran version {execution.version} of the "
                    f"pipeline, whose version is {pipeline.facts.definition['version']}",
                )
            if execution.is_rollback or not execution.succeeded_in(stage):
                raise PipelineRefusalError(
                    "UnableToRollbackStageException",
                    f"The pipeline execution {target} has not succeeded in the stage '{stage}'",
                )
        self._start_rollback(pipeline, execution, stage, ("ManualRollback", ""), id)

    def override_condition(self, pipeline_arn: str, stage: str, id: str, condition: str) -> None:
        """Continue an execution that a condition failed."""
        pipeline, execution = self._find(pipeline_arn, id)
        with pipeline.changed:
            run, kind = execution.run_of(stage), _CONDITIONS[condition]
            if (
                execution.live
                or run is None
                or run.status != "Failed"
                or run.conditions.get(kind) != "Failed"
            ):
                raise PipelineRefusalError(
                    "ConditionNotOverridableException",
                    f"The condition {condition} of the stage '{stage}' has not failed the "
                    f"pipeline execution {id}",
                )
            self._check_latest(pipeline, execution, stage)
            run.status, run.ended = "InProgress", None
            run.conditions[kind] = "Overridden"
            self._restart(pipeline, execution, stage)

    def _restart(self, pipeline: Pipeline, execution: Execution, stage: str) -> None:
        execution.status, execution.summary = "InProgress", ""
        execution.stage, execution.inside = stage, False
        pipeline.store(execution)
        self._run(pipeline, execution)

    def _check_latest(self, pipeline: Pipeline, execution: Execution, stage: str) -> None:
        newer = [
            item.id
            for item in pipeline.executions.values()
            if item.number > execution.number and item.run_of(stage) is not None
        ]
        if newer and execution.mode != "PARALLEL":
            raise PipelineRefusalError(
                "NotLatestPipelineExecutionException",
                f"The pipeline execution {execution.id} is not the latest in the stage "
                f"'{stage}': {newer[-1]} is",
            )

    def _roll_back_automatically(self, failed: Execution, stage: str) -> str:
        """Roll the stage back to the last execution that succeeded in it; return a sentence."""
        pipeline = self._pipeline(failed.pipeline_arn)
        targets = [
            item
            for item in pipeline.executions.values()
            if item is not failed
            and not item.is_rollback
            and item.version == failed.version
            and item.succeeded_in(stage)
        ]
        if not targets:
            return "There is no successful execution to roll back to"
        target = max(targets, key=lambda item: item.ended_in(stage))
        trigger = ("AutomatedRollback", failed.id)
        id = self._start_rollback(pipeline, target, stage, trigger, str(uuid.uuid4()))
        return f"Execution {id} rolls the stage back to execution {target.id}"

    def _start_rollback(
        self,
        pipeline: Pipeline,
        target: Execution,
        stage: str,
        trigger: tuple[str, str],
        id: str,
    ) -> str:
        with pipeline.changed:
            execution = target.model_copy(deep=True)
            execution = Execution(
                id=id,
                number=pipeline.next_number(),
                pipeline_arn=target.pipeline_arn,
                definition=target.definition,
                trigger=trigger,
                variables=execution.variables,
                rollback_target=target.id,
                stage=stage,
                revisions=execution.revisions,
                artifacts=execution.artifacts,
                outputs=execution.outputs,
            )
            pipeline.add(execution)
        self._run(pipeline, execution)
        return id

    def _run(self, pipeline: Pipeline, execution: Execution) -> None:
        """Run an execution in a thread, unless one runs it or nothing runs before `resume`.

        Takes the runner's lock, so a holder of that lock must not wait for a pipeline's.
        """
        with self._lock:
            if not self._running or execution.id in self._threads:
                return
            thread = threading.Thread(
                target=self._drive,
                args=(pipeline, execution),
                name=f"pipeline-{execution.pipeline}",
                daemon=True,
            )
            self._threads[execution.id] = thread
            thread.start()

    def _drive(self, pipeline: Pipeline, execution: Execution) -> None:
        """Run an execution, again if it was retried while its thread ended."""
        run = ExecutionRun(pipeline, execution, self._services, self._roll_back_automatically)
        while True:
            run.run()
            with self._lock:
                if not execution.live or pipeline.closed:
                    del self._threads[execution.id]
                    return

    def _pipeline(self, arn: str) -> Pipeline:
        with self._lock:
            pipeline = self._pipelines.get(arn)
        if pipeline is None:
            raise PipelineRefusalError(
                "PipelineNotFoundException", f"The runner does not have the pipeline {arn}"
            )
        return pipeline

    def _find(self, pipeline_arn: str, id: str) -> tuple[Pipeline, Execution]:
        pipeline = self._pipeline(pipeline_arn)
        execution = pipeline.executions.get(id)
        if execution is None:
            raise PipelineRefusalError(
                "PipelineExecutionNotFoundException",
                f"The pipeline execution ID '{id}' doesn't exist in pipeline "
                f"'{pipeline.facts.name}'",
            )
        return pipeline, execution


def _newest_first(pipeline: Pipeline) -> list[Execution]:
    return sorted(pipeline.executions.values(), key=lambda item: -item.number)


def _recover(pipeline: Pipeline, execution: Execution) -> None:
    """Prepare an execution of a previous process to continue."""
    try:
        with pipeline.update(execution):
            for stage in execution.stages:
                for rule in stage.rules:
                    if rule.status == "InProgress":  # its condition is evaluated again
                        rule.status, rule.updated = "Abandoned", now()
    except InterruptedRunError:
        return
