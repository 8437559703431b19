"""The console's source in a sandbox: its state, its account and its clusters."""

from __future__ import annotations

from pathlib import Path

from sandbox.console.account import Account
from sandbox.console.documents import (
    Decision,
    ImagesDocument,
    LogDocument,
    Overview,
    PipelineDocument,
    StackDocument,
    TimelineDocument,
)
from sandbox.console.images import images_document
from sandbox.console.pipelines import Pipelines
from sandbox.console.stacks import Stacks
from sandbox.runtime.home import Home


class SandboxSource:
    """The stacks of a project in a home, and what the background process serves."""

    def __init__(self, home: Home, directory: Path) -> None:
        self._stacks = Stacks(home, directory)
        self._account = Account(self._stacks)
        self._pipelines = Pipelines(self._account, directory)

    def overview(self) -> Overview:
        """Return the project's stacks."""
        return self._stacks.overview()

    def stack(self, name: str) -> StackDocument:
        """Return a stack."""
        return self._stacks.document(name)

    def timeline(self, name: str) -> TimelineDocument | None:
        """Return the stack's last operation."""
        return self._stacks.timeline(name)

    def pipeline(self, stack: str, execution: str | None) -> PipelineDocument | None:
        """Return the stack's pipeline in an execution."""
        return self._pipelines.document(stack, execution)

    def log(self, stack: str, build: str, after: int) -> LogDocument:
        """Return the lines of a build's log from number `after` on."""
        return self._pipelines.log(stack, build, after)

    def images(self) -> ImagesDocument:
        """Return the images of all stacks."""
        return images_document(self._stacks, self._account)

    def decide(
        self, stack: str, execution: str, stage: str, action: str, decision: Decision, summary: str
    ) -> None:
        """Approve or reject what an action waits for."""
        self._pipelines.decide(stack, execution, stage, action, decision, summary)

    def retry(self, stack: str, execution: str, stage: str) -> None:
        """Retry the failed actions of a stage."""
        self._pipelines.retry(stack, execution, stage)

    def stop(self, stack: str, execution: str, *, abandon: bool) -> None:
        """Stop an execution."""
        self._pipelines.stop(stack, execution, abandon=abandon)

    def start(self, stack: str) -> str:
        """Start an execution with the newest source."""
        return self._pipelines.start(stack)

    def release(self, stack: str) -> str:
        """Send the project's HEAD through the pipeline."""
        return self._pipelines.release(stack)
