"""Runs an execution: its stages in order, with conditions, retries and rollbacks.

Source: CodePipeline User Guide, "How pipeline executions work" and "How do stage conditions work?".
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.pipelines.action_execution import Services, action_context, pause_of, run_action
from sandbox.pipelines.parallel import run_all
from sandbox.pipelines.pipeline import EndedRunError, InterruptedRunError, Pipeline
from sandbox.pipelines.records import ActionRun, Condition, Execution, RuleRun, StageRun, now
from sandbox.pipelines.rules import RuleContext, RuleError, check_rule
from sandbox.pipelines.variables import UnresolvedVariableError, resolve

_LOG = logging.getLogger(__name__)
_PASSED = frozenset({"Succeeded", "Overridden"})
CANCELED = "The pipeline's definition was updated before the execution could be completed"


class ExecutionRun:
    """One execution in its thread.

    `roll_back` starts the rollback of a failed execution's stage, and returns a sentence about it.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        execution: Execution,
        services: Services,
        roll_back: Callable[[Execution, str], str],
    ) -> None:
        self._pipeline, self._execution = pipeline, execution
        self._services, self._roll_back = services, roll_back

    def run(self) -> None:
        """Run until the execution ends or the background process stops."""
        pipeline, execution = self._pipeline, self._execution
        try:
            self._run_stages()
        except (EndedRunError, InterruptedRunError):
            return
        except Exception as error:  # noqa: BLE001 - an execution must end for any fault
            _LOG.exception("%s, execution %s", execution.pipeline_arn, execution.id)
            try:
                pipeline.finish(
                    execution,
                    "Failed",
                    f"The execution failed inside the sandbox: {type(error).__name__}: {error}",
                )
            except (EndedRunError, InterruptedRunError):
                return

    def _run_stages(self) -> None:
        pipeline, execution = self._pipeline, self._execution
        for declaration in execution.declarations():
            name = declaration["name"]
            run = execution.run_of(name)
            if run is not None and run.status in {"Succeeded", "Skipped"}:
                continue
            if execution.version != pipeline.facts.definition["version"] and not execution.inside:
                pipeline.finish(execution, "Cancelled", CANCELED)
            pipeline.enter(execution, name)
            if run is None:
                run = StageRun(name=name)
                with pipeline.update(execution):
                    execution.stages.append(run)
            self._run_stage(declaration, run)
            pipeline.leave(execution)
        pipeline.finish(execution, "Succeeded")

    def _run_stage(self, declaration: Mapping[str, Any], run: StageRun) -> None:
        """Run a stage. Raises EndedRunError if the execution ends in it."""
        if (result := self._failed_condition(declaration, run, "beforeEntry")) is not None:
            if result == "SKIP":
                self._end_stage(run, "Skipped")
                return
            self._fail(run, "the entry condition failed", result)
        while not self._run_actions(declaration, run):
            self._stop_if_requested(run)
            result = self._failure_result(declaration, run)
            if result == "SKIP":
                self._end_stage(run, "Skipped")
                return
            if result == "RETRY" and run.automatic_retries == 0:
                self._prepare_retry(declaration, run)
                continue
            failed = [action for action in run.actions if action.status == "Failed"]
            messages = f"action {failed[-1].name} failed: {failed[-1].error_message}"
            self._fail(run, messages, result)
        if (result := self._failed_condition(declaration, run, "onSuccess")) is not None:
            self._fail(run, "the condition on success failed", result)
        self._end_stage(run, "Succeeded")

    def _end_stage(self, run: StageRun, status: Any) -> None:
        with self._pipeline.update(self._execution):
            run.status, run.ended = status, now()

    def _prepare_retry(self, declaration: Mapping[str, Any], run: StageRun) -> None:
        configuration = (declaration.get("onFailure") or {}).get("retryConfiguration") or {}
        with self._pipeline.update(self._execution):
            run.automatic_retries += 1
            all_actions = configuration.get("retryMode") == "ALL_ACTIONS"
            run.start_attempt("AutomatedStageRetry", all_actions=all_actions)

    def _fail(self, run: StageRun, reason: str, result: str) -> NoReturn:
        """Fail the stage and the execution, and start a rollback if that is the result."""
        execution = self._execution
        with self._pipeline.update(execution):
            run.status, run.ended = "Failed", now()
            execution.status, execution.inside = "Failed", False
            execution.summary = f"Stage {run.name}: {reason}"
            if result == "ROLLBACK" and not execution.is_rollback:
                execution.summary += f". {self._roll_back(execution, run.name)}"
        raise EndedRunError

    def _run_actions(self, declaration: Mapping[str, Any], run: StageRun) -> bool:
        """Run the actions that are not completed; return whether all succeeded."""
        actions = declaration["actions"]
        for order in sorted({action.get("runOrder", 1) for action in actions}):
            group = [
                action
                for action in actions
                if action.get("runOrder", 1) == order and action["name"] not in run.completed
            ]
            if not group:
                continue
            self._stop_if_requested(run)
            tasks = [
                partial(run_action, self._pipeline, self._execution, run, action, self._services)
                for action in group
            ]
            if not run_all(f"{self._execution.pipeline}-{run.name}", tasks):
                return False
        self._stop_if_requested(run)
        return True

    def _stop_if_requested(self, run: StageRun) -> None:
        if self._execution.status == "Stopping":
            with self._pipeline.update(self._execution):
                run.status, run.ended = "Stopped", now()
            self._pipeline.finish(self._execution, "Stopped")

    # Conditions

    def _failure_result(self, declaration: Mapping[str, Any], run: StageRun) -> str:
        """Return what follows a failed action: of a failed condition, else of onFailure itself."""
        result = self._failed_condition(declaration, run, "onFailure")
        return result or (declaration.get("onFailure") or {}).get("result") or "FAIL"

    def _failed_condition(
        self, declaration: Mapping[str, Any], run: StageRun, kind: Condition
    ) -> str | None:
        """Evaluate a condition; return its result if it fails."""
        conditions = (declaration.get(kind) or {}).get("conditions") or []
        if not conditions or (kind != "onFailure" and run.conditions.get(kind) in _PASSED):
            return None
        with self._pipeline.update(self._execution):
            run.conditions[kind] = "InProgress"
        for condition in conditions:
            tasks = [
                partial(self._check_rule, rule, run, kind) for rule in condition.get("rules") or []
            ]
            if not run_all(f"{self._execution.pipeline}-{run.name}-{kind}", tasks):
                with self._pipeline.update(self._execution):
                    run.conditions[kind] = "Failed"
                return str(condition.get("result") or "FAIL")
        with self._pipeline.update(self._execution):
            run.conditions[kind] = "Succeeded"
        return None

    def _check_rule(self, rule: Mapping[str, Any], stage: StageRun, kind: Condition) -> bool:
        pipeline, execution = self._pipeline, self._execution
        run = RuleRun(id=str(uuid.uuid4()), name=rule["name"], condition=kind)
        with pipeline.update(execution):
            stage.rules.append(run)
        try:
            run.configuration = resolve(rule.get("configuration") or {}, execution)
            action = ActionRun(id=run.id, name=run.name, configuration=run.configuration)

            def update(**fields: Any) -> None:
                for name, value in fields.items():
                    setattr(action, name, value)
                with pipeline.update(execution):
                    run.external_id = action.external_id

            pause = pause_of(pipeline, execution, action, rule)
            context = RuleContext(
                action=action_context(
                    execution, stage.name, action, rule, self._services, pause, update
                ),
                time_scale=self._services.time_scale,
            )
            message, succeeded = check_rule(rule["ruleTypeId"]["provider"], context), True
        except (RuleError, UnresolvedVariableError, ClientError, BotoCoreError) as error:
            message, succeeded = str(error), False
        with pipeline.update(execution):
            run.status = "Succeeded" if succeeded else "Failed"
            run.message, run.updated = message, now()
        return succeeded
