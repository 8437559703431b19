"""Follows an execution: a line for each change, or a live table on a terminal."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.text import Text

from sandbox.cli.output import Output
from sandbox.cli.pipeline_session import LIVE, PipelineSession

_POLL_SECONDS = 0.2
_RESTART_SECONDS = 60.0
_TAIL_LINES = 6
_FAILURE_LINES = 20
_STYLES = {
    "Succeeded": "green",
    "Failed": "bold red",
    "InProgress": "cyan",
    "Abandoned": "yellow",
    "Skipped": "dim",
}
_SYMBOLS = {"Succeeded": "✓", "Failed": "✗", "InProgress": "●", "Abandoned": "■"}


_LOG_STREAM = re.compile(r":log-group:(.+):log-stream:(.+)\Z")


class BuildLog:
    """The log of a build, read as it grows."""

    def __init__(self, session: PipelineSession, result: Mapping[str, Any]) -> None:
        """`result` is the executionResult of the build's action."""
        self._codebuild, self._logs = session.client("codebuild"), session.client("logs")
        self._build = str(result["externalExecutionId"])
        place = _LOG_STREAM.search(str(result.get("logStreamARN", "")))
        self._place: tuple[str, str] | None = (place[1], place[2]) if place else None
        self._token = ""

    def lines(self) -> Iterator[str]:
        """Yield the lines since the last call."""
        if self._place is None:
            builds = self._codebuild.batch_get_builds(ids=[self._build])["builds"]
            logs = (builds[0].get("logs") or {}) if builds else {}
            if not logs.get("groupName") or not logs.get("streamName"):
                return
            self._place = (logs["groupName"], logs["streamName"])
        while True:
            token = {"nextToken": self._token} if self._token else {}
            try:
                page = self._logs.get_log_events(
                    logGroupName=self._place[0],
                    logStreamName=self._place[1],
                    startFromHead=True,
                    **token,
                )
            except self._logs.exceptions.ResourceNotFoundException:
                return
            for event in page["events"]:
                yield from str(event["message"]).rstrip("\n").split("\n")
            if not page["events"] or page["nextForwardToken"] == self._token:
                return
            self._token = page["nextForwardToken"]


class Watch:
    """An execution that is followed; `verbose` prints all log lines."""

    def __init__(
        self, session: PipelineSession, execution: str, output: Output, *, verbose: bool
    ) -> None:
        self._session, self._id, self._output = session, execution, output
        self._live = output.text.is_terminal and not verbose
        self._verbose = verbose or not output.text.is_terminal
        self._pipelines = session.client("codepipeline")
        self._logs: dict[str, BuildLog] = {}
        self._tails: dict[str, deque[str]] = {}
        self._reported: dict[str, str] = {}
        self._approvals: set[str] = set()
        self._width = max(
            len(f"{stage['name']}/{action['name']}")
            for stage in session.declaration()["stages"]
            for action in stage["actions"]
        )

    def follow(self) -> tuple[dict[str, Any], tuple[str, str, str] | None]:
        """Follow the execution until it ends or waits for an approval that was not returned yet.

        Return its description, and stage, action and token of the approval.
        """
        live = Live(console=self._output.text, auto_refresh=False, transient=True)
        context: AbstractContextManager[Any] = live if self._live else nullcontext()
        with context:
            while True:
                execution, actions, approval = self._read()
                self._print_changes(actions)
                if self._live:
                    live.update(self._picture(actions), refresh=True)
                if execution["status"] not in LIVE:
                    return execution, None
                if approval is not None and approval[2] not in self._approvals:
                    self._approvals.add(approval[2])
                    return execution, approval
                time.sleep(_POLL_SECONDS)

    def _read(self) -> tuple[dict[str, Any], list[dict[str, Any]], tuple[str, str, str] | None]:
        """Return execution, actions and approval; wait while the background process restarts."""
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - slow, as boto3

        deadline = time.monotonic() + _RESTART_SECONDS
        while True:
            try:
                execution, actions = self.execution(), self.actions()
                approval = self.approval()
                self._read_logs(actions)
            except BotoCoreError:
                if time.monotonic() > deadline:
                    self._output.fail(
                        "the sandbox's background process does not answer; the execution continues "
                        f"when it runs again: `sandbox pipeline watch {self._session.stack}`"
                    )
                time.sleep(1.0)
            else:
                return execution, actions, approval

    def execution(self) -> dict[str, Any]:
        """Return the PipelineExecution."""
        response = self._pipelines.get_pipeline_execution(
            pipelineName=self._session.name, pipelineExecutionId=self._id
        )
        return dict(response["pipelineExecution"])

    def actions(self) -> list[dict[str, Any]]:
        """Return the executions of actions, oldest first."""
        pages = self._pipelines.get_paginator("list_action_executions").paginate(
            pipelineName=self._session.name, filter={"pipelineExecutionId": self._id}
        )
        details = [item for page in pages for item in page["actionExecutionDetails"]]
        return list(reversed(details))

    def approval(self) -> tuple[str, str, str] | None:
        """Return stage, action and token of the approval that this execution waits for."""
        waiting = {
            (item["stageName"], item["actionName"])
            for item in self.actions()
            if item["status"] == "InProgress"
            and item["input"]["actionTypeId"]["category"] == "Approval"
        }
        state = self._pipelines.get_pipeline_state(name=self._session.name)
        for stage in state["stageStates"]:
            for action in stage["actionStates"]:
                token = action.get("latestExecution", {}).get("token")
                if token and (stage["stageName"], action["actionName"]) in waiting:
                    return stage["stageName"], action["actionName"], str(token)
        return None

    def failing_lines(self) -> list[str]:
        """Return the last lines of the logs of failed builds."""
        lines: list[str] = []
        for action in self.actions():
            result = action.get("output", {}).get("executionResult", {})
            if action["status"] == "Failed" and result.get("externalExecutionId"):
                lines = list(BuildLog(self._session, result).lines())[-_FAILURE_LINES:]
        return lines

    def _read_logs(self, actions: Sequence[Mapping[str, Any]]) -> None:
        for action in actions:
            result = action.get("output", {}).get("executionResult", {})
            id = str(action["actionExecutionId"])
            if not result.get("externalExecutionId") or self._reported.get(id) not in {
                None,
                "InProgress",
            }:
                continue
            log = self._logs.setdefault(id, BuildLog(self._session, result))
            tail = self._tails.setdefault(id, deque(maxlen=_TAIL_LINES))
            for line in log.lines():
                if line.strip():
                    tail.append(line)
                    if self._verbose:
                        self._output.line(f"    {action['actionName']}  {line}")

    def _print_changes(self, actions: Sequence[Mapping[str, Any]]) -> None:
        for action in actions:
            id, status = str(action["actionExecutionId"]), str(action["status"])
            if self._reported.get(id) == status:
                continue
            self._reported[id] = status
            if status != "InProgress" or not self._live:
                self._output.text.print(_line(action, self._width))

    def _picture(self, actions: Sequence[Mapping[str, Any]]) -> Group:
        parts: list[Text] = []
        for action in actions:
            if action["status"] == "InProgress":
                line = _line(action, self._width, running=True)
                line.truncate(max(self._output.text.width, 1), overflow="ellipsis")
                parts.append(line)
                for text in self._tails.get(str(action["actionExecutionId"]), ()):
                    parts.append(Text(f"    {text}", style="dim", no_wrap=True, overflow="crop"))
        return Group(*parts)


def _line(action: Mapping[str, Any], width: int, *, running: bool = False) -> Text:
    """Return an action's line: symbol, stage, action, duration, result.

    With `running`, the duration of an action that runs is the time until now.
    """
    status = str(action["status"])
    started, updated = action["startTime"], action["lastUpdateTime"]
    end = datetime.now(UTC) if status == "InProgress" else updated
    result = action.get("output", {}).get("executionResult", {})
    if status == "Failed":
        words = str((result.get("errorDetails") or {}).get("message", ""))
    else:
        words = str(result.get("externalExecutionSummary", ""))
        if words.startswith("Build "):
            words = ""
    name = f"{action['stageName']}/{action['actionName']}"
    seconds = (end - started).total_seconds()
    duration = "" if status == "InProgress" and not running else f"{seconds:.1f} s"
    text = Text(f"{_SYMBOLS.get(status, ' ')} ", style=_STYLES.get(status, ""))
    text.append(f"{name:<{width}} ", style="bold")
    text.append(f"{duration:>8}", style="dim")
    if words:
        text.append(f"  {words}", style=_STYLES["Failed"] if status == "Failed" else "")
    return text
