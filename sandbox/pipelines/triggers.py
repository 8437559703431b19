"""Which pushes and pull requests start a pipeline.

Source: CodePipeline User Guide, "Automate starting pipelines using triggers and filtering".
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.contracts.pipeline_runner import ExecutionOrder, PipelineFacts
from sandbox.contracts.source_event import SourceEvent
from sandbox.pipelines.glob_patterns import selects

_ZEROS = "0" * 40
_PULL = "refs/pull/"


@dataclass(frozen=True, kw_only=True)
class Push:
    """An updated reference of a repository.

    `refs/pull/NUMBER/BRANCH` is a pull request against BRANCH: its creation, update and deletion
    open, update and close it.
    """

    repository: str
    reference: str
    old: str
    new: str

    @property
    def event(self) -> str:
        """OPEN, UPDATED or CLOSED."""
        if self.new == _ZEROS:
            return "CLOSED"
        return "OPEN" if self.old == _ZEROS else "UPDATED"

    @property
    def commit(self) -> str:
        """The new commit, or the last one of a closed pull request."""
        return self.old if self.new == _ZEROS else self.new


def source_event(push: Push) -> SourceEvent:
    """Return a push as the event of a webhook."""
    if not push.reference.startswith(_PULL):
        return SourceEvent(
            repository=push.repository, kind="PUSH", head_ref=push.reference, commit=push.commit
        )
    number, _, branch = push.reference.removeprefix(_PULL).partition("/")
    event = {"OPEN": "CREATED", "UPDATED": "UPDATED", "CLOSED": "CLOSED"}[push.event]
    return SourceEvent(
        repository=push.repository,
        kind=f"PULL_REQUEST_{event}",
        head_ref=push.reference,
        base_ref=f"refs/heads/{branch}",
        commit=push.commit,
        pull_request=int(number) if number.isdecimal() else 0,
    )


def started_by(
    pipeline: PipelineFacts, push: Push, changed_files: Callable[[], Sequence[str]]
) -> list[ExecutionOrder]:
    """Return the executions of a pipeline that a push starts: one for each source action."""
    orders = []
    for action in pipeline.definition["stages"][0]["actions"]:
        configuration = action.get("configuration") or {}
        if (
            action["actionTypeId"]["provider"] != "CodeStarSourceConnection"
            or configuration["FullRepositoryId"] != push.repository
        ):
            continue
        triggers = [
            item["gitConfiguration"]
            for item in pipeline.definition.get("triggers") or []
            if item["gitConfiguration"]["sourceActionName"] == action["name"]
        ]
        branch = configuration["BranchName"]
        detects = str(configuration.get("DetectChanges", "true")).lower() != "false"
        starts = (
            any(_matches(trigger, push, branch, changed_files) for trigger in triggers)
            if triggers
            else detects and push.reference == f"refs/heads/{branch}" and push.event != "CLOSED"
        )
        if starts:
            orders.append(_order(pipeline, action, push))
    return orders


def _matches(
    trigger: Mapping[str, Any],
    push: Push,
    branch: str,
    changed_files: Callable[[], Sequence[str]],
) -> bool:
    pushes, pull_requests = trigger.get("push") or [], trigger.get("pullRequest") or []
    if push.reference.startswith(_PULL):
        target = push.reference.removeprefix(_PULL).partition("/")[2]
        return any(
            push.event in (item.get("events") or ("OPEN", "UPDATED", "CLOSED"))
            and selects(item.get("branches") or {}, target)
            and _selects_files(item, changed_files)
            for item in pull_requests
        )
    if push.event == "CLOSED":
        return False
    if not pushes and not pull_requests:
        return push.reference == f"refs/heads/{branch}"
    return any(_push_matches(item, push, changed_files) for item in pushes)


def _push_matches(
    item: Mapping[str, Any], push: Push, changed_files: Callable[[], Sequence[str]]
) -> bool:
    kind, _, name = push.reference.removeprefix("refs/").partition("/")
    if item.get("tags"):
        return kind == "tags" and selects(item["tags"], name)
    return (
        kind == "heads"
        and selects(item.get("branches") or {}, name)
        and _selects_files(item, changed_files)
    )


def _selects_files(item: Mapping[str, Any], changed_files: Callable[[], Sequence[str]]) -> bool:
    """Whether no paths are named, or one of the changed files is selected."""
    criteria = item.get("filePaths")
    return not criteria or any(selects(criteria, path) for path in changed_files())


def _order(pipeline: PipelineFacts, action: Mapping[str, Any], push: Push) -> ExecutionOrder:
    kind, _, name = push.reference.removeprefix("refs/").partition("/")
    detail = {
        "connectionArn": action["configuration"]["ConnectionArn"],
        "fullRepositoryName": push.repository,
        "reference": push.reference,
        "commitId": push.commit,
    }
    declared = pipeline.definition.get("variables") or []
    return ExecutionOrder(
        id=str(uuid.uuid4()),
        pipeline_arn=pipeline.arn,
        trigger=("WebhookV2", json.dumps(detail)),
        variables={item["name"]: item.get("defaultValue", "") for item in declared},
        revisions={action["name"]: push.commit},
        branches={action["name"]: name} if kind == "heads" else {},
    )
