"""What the console shows, as JSON documents; times are Unix times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


class RefusedError(Exception):
    """A request that cannot be served; the message is one sentence for the user."""

    def __init__(self, message: str, status: int = 409) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation of the history; `changes` counts resources by operation."""

    kind: str
    result: str
    started: float
    ended: float | None
    changes: dict[str, int]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSummary:
    """A stack of the project; one that has never been up has no operation."""

    name: str
    exists: bool
    resources: int
    running: str
    last: Operation | None
    pipeline: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The project's stacks, and whether the background process runs."""

    project: str
    background: bool
    stacks: tuple[StackSummary, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource of a stack; `id` is its physical ID."""

    urn: str
    parent: str
    type: str
    name: str
    id: str
    status: str
    error: str
    modified: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOutput:
    """An output as text; a secret has no value. `local_url` is where a service's URL answers."""

    name: str
    value: str
    secret: bool
    local_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StackDocument:
    """Resources, outputs and history of a stack; `running` is the kind of a running operation."""

    name: str
    running: str
    resources: tuple[Resource, ...]
    outputs: tuple[StackOutput, ...]
    history: tuple[Operation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One operation on one resource, in seconds from the start of the stack's operation."""

    urn: str
    op: str
    type: str
    name: str
    start: float
    seconds: float
    running: bool
    critical: bool
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineDocument:
    """The stack's last operation; `critical_seconds` is the sum over the critical path."""

    kind: str
    engine: str
    result: str
    started: float
    seconds: float
    critical_seconds: float
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """An action of a stage, in the execution that is shown."""

    name: str
    category: str
    provider: str
    status: str
    started: float | None
    ended: float | None
    summary: str
    error: str
    build: str
    waiting: bool
    request: str
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of a pipeline; a disabled transition into it has a reason."""

    name: str
    status: str
    enabled: bool
    reason: str
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """An execution of a pipeline."""

    id: str
    status: str
    summary: str
    commit: str
    subject: str
    trigger: str
    started: float
    updated: float
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineDocument:
    """A pipeline, its executions, and the stages in the execution that is shown."""

    name: str
    mode: str
    version: int
    execution: Execution | None
    executions: tuple[Execution, ...]
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDocument:
    """Lines of a build's log; `next` is the number of the line that follows."""

    lines: tuple[str, ...]
    next: int
    running: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container of a pod that runs an image."""

    stack: str
    namespace: str
    pod: str
    container: str
    ready: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image of a repository, and where it runs."""

    digest: str
    tags: tuple[str, ...]
    size: int
    pushed: float | None
    media_type: str
    containers: tuple[Container, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """An ECR repository of a stack."""

    stack: str
    name: str
    images: tuple[Image, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesDocument:
    """The repositories of all stacks; `problems` says which parts could not be read."""

    repositories: tuple[Repository, ...]
    problems: tuple[str, ...]


Decision = Literal["Approved", "Rejected"]


class Source(Protocol):
    """Where the console reads and what it controls. Each method may raise RefusedError."""

    def overview(self) -> Overview:
        """Return the project's stacks."""

    def stack(self, name: str) -> StackDocument:
        """Return a stack."""

    def timeline(self, name: str) -> TimelineDocument | None:
        """Return the stack's last operation, or None if none was recorded."""

    def pipeline(self, stack: str, execution: str | None) -> PipelineDocument | None:
        """Return the stack's pipeline in an execution, by default the newest; None without one."""

    def log(self, stack: str, build: str, after: int) -> LogDocument:
        """Return the lines of a build's log from number `after` on."""

    def images(self) -> ImagesDocument:
        """Return the images of all stacks."""

    def decide(
        self, stack: str, execution: str, stage: str, action: str, decision: Decision, summary: str
    ) -> None:
        """Approve or reject what the action waits for."""

    def retry(self, stack: str, execution: str, stage: str) -> None:
        """Retry the failed actions of a stage."""

    def stop(self, stack: str, execution: str, *, abandon: bool) -> None:
        """Stop an execution; `abandon` does not wait for running actions."""

    def start(self, stack: str) -> str:
        """Start an execution with the newest source; return its ID."""

    def release(self, stack: str) -> str:
        """Send the project's HEAD through the pipeline; return the execution's ID."""
