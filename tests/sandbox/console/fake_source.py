"""A source of the console with one stack, whose pipeline waits for an approval."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from sandbox.console import RefusedError
from sandbox.console.documents import (
    Action,
    Bar,
    Container,
    Decision,
    Execution,
    Image,
    ImagesDocument,
    LogDocument,
    Operation,
    Overview,
    PipelineDocument,
    Repository,
    Resource,
    StackDocument,
    StackOutput,
    StackSummary,
    Stage,
    TimelineDocument,
)

LONG = "a-name-that-is-longer-than-every-column-of-the-page-" * 3
NOW = time.time()
UP = Operation(
    kind="up",
    result="succeeded",
    started=NOW - 90,
    ended=NOW - 60,
    changes={"create": 4},
    message="",
)


def resource(name: str, parent: str = "", **more: str) -> Resource:
    type = more.get("type", "aws:ec2/vpc:Vpc")
    return Resource(
        urn=f"urn:pulumi:dev::platform::{type}::{name}",
        parent=parent,
        type=type,
        name=name,
        id=more.get("id", f"id-of-{name}"),
        status=more.get("status", "ready"),
        error=more.get("error", ""),
        modified="2026-01-01T00:00:00Z",
    )


ROOT = resource("platform-dev", type="pulumi:pulumi:Stack", id="")
NETWORK = resource("network", ROOT.urn, type="platform:index:Network", id="")
RESOURCES = (
    ROOT,
    NETWORK,
    resource("vpc", NETWORK.urn),
    resource(LONG, NETWORK.urn, status="creating", id=LONG),
    resource("broken", NETWORK.urn, status="failed", error="The quota of VPCs is exhausted."),
)


def bar(name: str, start: float, seconds: float, *, critical: bool = False) -> Bar:
    return Bar(
        urn=name,
        op="create",
        type="aws:ec2/vpc:Vpc",
        name=name,
        start=start,
        seconds=seconds,
        running=False,
        critical=critical,
        error="",
    )


def action(name: str, status: str, **more: Any) -> Action:
    values: dict[str, Any] = {
        "name": name,
        "category": "Build",
        "provider": "CodeBuild",
        "status": status,
        "started": NOW - 50 if status else None,
        "ended": NOW - 20 if status == "Succeeded" else None,
        "summary": "",
        "error": "",
        "build": f"{name.lower()}:1" if status else "",
        "waiting": False,
        "request": "",
        "link": "",
    }
    return Action(**(values | more))


def stage(name: str, status: str, *actions: Action) -> Stage:
    return Stage(name=name, status=status, enabled=True, reason="", actions=actions)


EXECUTION = Execution(
    id="11111111-2222-3333-4444-555555555555",
    status="InProgress",
    summary="",
    commit="0123456789abcdef" * 2,
    subject="Change the page",
    trigger="WebhookV2",
    started=NOW - 60,
    updated=NOW - 1,
    live=True,
)
PIPELINE = PipelineDocument(
    name="platform-dev-pipeline",
    mode="QUEUED",
    version=1,
    execution=EXECUTION,
    executions=(EXECUTION,),
    stages=(
        stage("Build", "Succeeded", action("Build", "Succeeded")),
        stage(
            "Approve",
            "InProgress",
            action(
                "Approve",
                "InProgress",
                category="Approval",
                provider="Manual",
                build="",
                waiting=True,
                request=f"Commit {LONG}",
                link="https://example.com/review",
            ),
        ),
        stage("Deploy", "", action("Deploy", "")),
    ),
)
LINES = tuple(f"line {number}" for number in range(200))
STACK = StackDocument(
    name="dev",
    running="up",
    resources=RESOURCES,
    outputs=(
        StackOutput(
            name="page_url",
            value="http://example.com/",
            secret=False,
            local_url="http://localhost:20000/",
        ),
        StackOutput(name="kubeconfig", value="", secret=True, local_url=""),
    ),
    history=(UP,),
)
TIMELINE = TimelineDocument(
    kind="up",
    engine="embedded",
    result="succeeded",
    started=NOW - 90,
    seconds=30.0,
    critical_seconds=28.0,
    bars=(bar("vpc", 1.0, 4.0, critical=True), bar(LONG, 5.0, 24.0, critical=True), bar("x", 2, 1)),
)
IMAGES = ImagesDocument(
    repositories=(
        Repository(
            stack="dev",
            name="platform-dev/image",
            images=(
                Image(
                    digest="sha256:" + "ab" * 32,
                    tags=("content-1", LONG),
                    size=65_000_000,
                    pushed=NOW - 30,
                    media_type="application/vnd.oci.image.config.v1+json",
                    containers=(
                        Container(
                            stack="dev", namespace="app", pod=LONG, container="app", ready=True
                        ),
                    ),
                ),
            ),
        ),
    ),
    problems=(),
)


@dataclass
class FakeSource:
    """Returns the documents of this module; `calls` has each change."""

    calls: list[tuple[object, ...]] = field(default_factory=list)
    empty: bool = False

    def overview(self) -> Overview:
        summary = StackSummary(
            name="dev",
            exists=not self.empty,
            resources=len(RESOURCES),
            running="" if self.empty else "up",
            last=None if self.empty else UP,
            pipeline=True,
        )
        return Overview(project="platform", background=True, stacks=(summary,))

    def stack(self, name: str) -> StackDocument:
        if name != "dev":
            raise RefusedError(f"There is no stack {name!r} in this project.", 404)
        return STACK

    def timeline(self, name: str) -> TimelineDocument | None:
        return None if self.empty else TIMELINE

    def pipeline(self, stack: str, execution: str | None) -> PipelineDocument | None:
        return None if self.empty else PIPELINE

    def log(self, stack: str, build: str, after: int) -> LogDocument:
        return LogDocument(lines=LINES[after:], next=len(LINES), running=False)

    def images(self) -> ImagesDocument:
        return ImagesDocument(repositories=(), problems=()) if self.empty else IMAGES

    def decide(
        self, stack: str, execution: str, stage: str, action: str, decision: Decision, summary: str
    ) -> None:
        self.calls.append(("decide", stack, execution, stage, action, decision, summary))

    def retry(self, stack: str, execution: str, stage: str) -> None:
        self.calls.append(("retry", stack, execution, stage))

    def stop(self, stack: str, execution: str, *, abandon: bool) -> None:
        self.calls.append(("stop", stack, execution, abandon))

    def start(self, stack: str) -> str:
        self.calls.append(("start", stack))
        return EXECUTION.id

    def release(self, stack: str) -> str:
        raise RefusedError("`sandbox release dev` failed: the working tree has no commit")
