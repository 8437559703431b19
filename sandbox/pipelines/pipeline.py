"""A pipeline: its executions, and the locks of its stages.

Source of the rules: CodePipeline User Guide, "How pipeline executions work".
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from sandbox.contracts.pipeline_runner import PipelineFacts
from sandbox.contracts.service_event import Emit
from sandbox.pipelines.records import Execution, ExecutionStatus, now
from sandbox.pipelines.state_changes import StateChanges
from sandbox.pipelines.store import ExecutionStore

_RECHECK_SECONDS = 1.0


class InterruptedRunError(Exception):
    """The background process stops or the pipeline was deleted; the record stays as it is."""


class EndedRunError(Exception):
    """The execution was stopped, superseded or canceled, so its thread ends."""


class Pipeline:
    """A pipeline with its executions by ID, in order. `changed` guards and reports changes."""

    def __init__(
        self, facts: PipelineFacts, store: ExecutionStore, emit: Emit = lambda _event: None
    ) -> None:
        self.facts = facts
        self.changed = threading.Condition(threading.RLock())
        self.executions = {execution.id: execution for execution in store.load(facts.arn)}
        self._store, self._emit, self._changes = store, emit, StateChanges()
        for execution in self.executions.values():
            self._changes.remember(execution)
        self.closed = False

    def close(self) -> None:
        """Interrupt the threads of all executions."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    @contextmanager
    def update(self, execution: Execution) -> Iterator[None]:
        """Change an execution in this block, then store it and notify everyone who waits."""
        with self.changed:
            yield
            self.store(execution)

    def store(self, execution: Execution) -> None:
        """Store an execution, unless the pipeline was deleted."""
        with self.changed:
            if self.closed:
                raise InterruptedRunError
            execution.updated = now()
            self._store.save(execution)
            for event in self._changes.of(execution):
                self._emit(event)
            self.changed.notify_all()

    def add(self, execution: Execution) -> None:
        """Add an execution."""
        with self.changed:
            self.executions[execution.id] = execution
            self.store(execution)

    def next_number(self) -> int:
        """Return the number of the next execution."""
        return max((item.number for item in self.executions.values()), default=0) + 1

    def live(self) -> list[Execution]:
        """Return the executions that have not ended."""
        with self.changed:
            return [execution for execution in self.executions.values() if execution.live]

    def check(self, execution: Execution) -> None:
        """Raise what ends the execution's thread, if anything does."""
        if self.closed:
            raise InterruptedRunError
        if not execution.live:
            raise EndedRunError

    def pause(self, execution: Execution, seconds: float) -> None:
        """Wait until anything changes, at most so long. Raises what ends the thread."""
        with self.changed:
            self.check(execution)
            self.changed.wait(seconds)
            self.check(execution)

    def enter(self, execution: Execution, stage: str) -> None:
        """Wait until the execution may enter a stage. Raises EndedRunError if it never does."""
        with self.changed:
            self.check(execution)
            if execution.stage == stage and execution.inside:
                return  # resumed after a restart
            execution.stage, execution.inside = stage, False
            if execution.mode == "SUPERSEDED":
                self._supersede_older(execution, stage)
            self.store(execution)
            while not self._may_enter(execution, stage):
                if execution.status == "Stopping":
                    self.finish(execution, "Stopped")
                self.changed.wait(_RECHECK_SECONDS)
                self.check(execution)
            execution.inside = True
            self.store(execution)

    def finish(self, execution: Execution, status: ExecutionStatus, summary: str = "") -> NoReturn:
        """End an execution and leave its stage. Raises EndedRunError."""
        with self.update(execution):
            execution.status = status
            execution.summary = summary or execution.summary
            execution.inside = False
        raise EndedRunError

    def leave(self, execution: Execution) -> None:
        """Leave the stage; the execution waits for the next one or ends."""
        with self.update(execution):
            execution.inside = False

    def waiting(self, stage: str) -> list[Execution]:
        """Return the executions that wait to enter a stage: rollbacks first, then in order."""
        items = [item for item in self.live() if item.stage == stage and not item.inside]
        return sorted(items, key=lambda item: (not item.is_rollback, item.number))

    def _may_enter(self, execution: Execution, stage: str) -> bool:
        if execution.mode == "PARALLEL":
            return execution.is_rollback or stage not in self.facts.disabled
        if any(item.stage == stage and item.inside for item in self.live()):
            return False
        if stage in self.facts.disabled and not execution.is_rollback:
            return False
        queue = self.waiting(stage)
        return not queue or queue[0] is execution

    def _supersede_older(self, execution: Execution, stage: str) -> None:
        """Supersede those that wait for the same stage; the newest of them remains."""
        waiting = [item for item in self.waiting(stage) if not item.is_rollback]
        if execution.is_rollback or not waiting:
            return
        newest = max(waiting, key=lambda item: item.number)
        for item in waiting:
            if item is not newest:
                item.status = "Superseded"
                item.summary = f"Superseded by execution {newest.id}"
                self.store(item)
        if newest is not execution:
            self.check(execution)
