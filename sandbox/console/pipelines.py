"""Pipelines and builds, read from the account and controlled with its API."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sandbox.cli.output import Output
from sandbox.cli.pipeline_session import LIVE, PipelineSession
from sandbox.cli.pipeline_watch import BuildLog, Watch
from sandbox.console.account import Account
from sandbox.console.documents import (
    Action,
    Decision,
    Execution,
    LogDocument,
    PipelineDocument,
    RefusedError,
    Stage,
)

_EXECUTIONS_SHOWN = 25
_LOGS_KEPT = 32
_RELEASE_SECONDS = 300.0


class Pipelines:
    """The pipelines of the project's stacks."""

    def __init__(self, account: Account, directory: Path) -> None:
        self._account, self._directory = account, directory
        self._logs: OrderedDict[tuple[str, str, str], _Log] = OrderedDict()
        self._lock = threading.Lock()

    def document(self, stack: str, execution: str | None) -> PipelineDocument | None:
        """Return the stack's pipeline in an execution, by default the newest."""
        session = self._account.session(stack)
        if session is None:
            return None
        with _refusals():
            return _document(session, execution)

    def log(self, stack: str, build: str, after: int) -> LogDocument:
        """Return the lines of a build's log from number `after` on."""
        session = self._account.require_session(stack)
        key = (session.url, stack, build)
        with self._lock:
            log = self._logs.get(key) or _Log(session, build)
            self._logs[key] = log
            self._logs.move_to_end(key)
            while len(self._logs) > _LOGS_KEPT:
                self._logs.popitem(last=False)
        with _refusals():
            return log.read(after)

    def decide(
        self, stack: str, execution: str, stage: str, action: str, decision: Decision, summary: str
    ) -> None:
        """Approve or reject what an action of the execution waits for."""
        session = self._account.require_session(stack)
        with _refusals():
            approval = _watch(session, execution).approval()
            if approval is None or approval[:2] != (stage, action):
                raise RefusedError(
                    f"{stage}/{action} does not wait for an approval; another person may have "
                    "decided."
                )
            session.client("codepipeline").put_approval_result(
                pipelineName=session.name,
                stageName=stage,
                actionName=action,
                token=approval[2],
                result={"status": decision, "summary": summary or f"{decision} in the console"},
            )

    def retry(self, stack: str, execution: str, stage: str) -> None:
        """Retry the failed actions of a stage."""
        session = self._account.require_session(stack)
        with _refusals():
            session.client("codepipeline").retry_stage_execution(
                pipelineName=session.name,
                stageName=stage,
                pipelineExecutionId=execution,
                retryMode="FAILED_ACTIONS",
            )

    def stop(self, stack: str, execution: str, *, abandon: bool) -> None:
        """Stop an execution."""
        session = self._account.require_session(stack)
        with _refusals():
            session.client("codepipeline").stop_pipeline_execution(
                pipelineName=session.name,
                pipelineExecutionId=execution,
                abandon=abandon,
                reason="Stopped in the console",
            )

    def start(self, stack: str) -> str:
        """Start an execution with the newest source; return its ID."""
        session = self._account.require_session(stack)
        with _refusals():
            response = session.client("codepipeline").start_pipeline_execution(name=session.name)
        return str(response["pipelineExecutionId"])

    def release(self, stack: str) -> str:
        """Run `sandbox release --no-wait`, which pushes HEAD; return the execution's ID."""
        self._account.require_session(stack)
        try:
            ran = subprocess.run(
                [sys.executable, "-m", "sandbox", "release", stack, "--no-wait", "--json"],
                cwd=self._directory,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                text=True,
                check=False,
                timeout=_RELEASE_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise RefusedError(
                f"`sandbox release {stack}` did not end within {_RELEASE_SECONDS:.0f} s; "
                "run it in a terminal."
            ) from None
        try:
            document = json.loads(ran.stdout)
        except ValueError:
            document = {"error": ran.stderr.strip() or "no output"}
        if "error" in document:
            raise RefusedError(f"`sandbox release {stack}` failed: {document['error']}")
        return str(document["execution"])


class _Log:
    """A build's log that was read so far."""

    def __init__(self, session: PipelineSession, build: str) -> None:
        self._session, self._build = session, build
        self._log = BuildLog(session, {"externalExecutionId": build})
        self._lines: list[str] = []
        self._lock = threading.Lock()

    def read(self, after: int) -> LogDocument:
        with self._lock:
            builds = self._session.client("codebuild").batch_get_builds(ids=[self._build])["builds"]
            if not builds:
                raise RefusedError(f"There is no build {self._build}.", 404)
            self._lines += self._log.lines()
            return LogDocument(
                lines=tuple(self._lines[after:]),
                next=len(self._lines),
                running=builds[0]["buildStatus"] == "IN_PROGRESS",
            )


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the account refuses, and its absence, into RefusedError."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow, as boto3

    try:
        yield
    except ClientError as error:
        raise RefusedError(error.response["Error"]["Message"]) from error
    except BotoCoreError as error:
        raise RefusedError(
            f"The sandbox's account does not respond ({error}); `sandbox status` shows why.", 503
        ) from error


def _watch(session: PipelineSession, execution: str) -> Watch:
    return Watch(session, execution, Output(as_json=True), verbose=False)


def _document(session: PipelineSession, execution: str | None) -> PipelineDocument:
    client = session.client("codepipeline")
    declaration, state = session.declaration(), client.get_pipeline_state(name=session.name)
    listed = client.list_pipeline_executions(
        pipelineName=session.name, maxResults=_EXECUTIONS_SHOWN
    )
    executions = tuple(_execution(item) for item in listed["pipelineExecutionSummaries"])
    selected = next(
        (item for item in executions if execution is None or item.id == execution), None
    )
    if selected is None and execution is not None:
        raise RefusedError(f"{session.name} has no execution {execution}.", 404)
    runs: dict[tuple[str, str], Mapping[str, Any]] = {}
    waiting: tuple[str, str] | None = None
    if selected is not None:
        watch = _watch(session, selected.id)
        runs = {(item["stageName"], item["actionName"]): item for item in watch.actions()}
        approval = watch.approval() if selected.live else None
        waiting = approval[:2] if approval else None
    states = {item["stageName"]: item for item in state["stageStates"]}
    return PipelineDocument(
        name=session.name,
        mode=str(declaration.get("executionMode", "SUPERSEDED")),
        version=int(state["pipelineVersion"]),
        execution=selected,
        executions=executions,
        stages=tuple(
            _stage(item, states.get(item["name"], {}), selected, runs, waiting)
            for item in declaration["stages"]
        ),
    )


def _stage(
    declaration: Mapping[str, Any],
    state: Mapping[str, Any],
    execution: Execution | None,
    runs: Mapping[tuple[str, str], Mapping[str, Any]],
    waiting: tuple[str, str] | None,
) -> Stage:
    name = str(declaration["name"])
    actions = tuple(
        _action(item, runs.get((name, item["name"])), waiting=(name, item["name"]) == waiting)
        for item in sorted(declaration["actions"], key=lambda item: int(item.get("runOrder", 1)))
    )
    transition = state.get("inboundTransitionState") or {}
    latest = state.get("latestExecution") or {}
    current = execution is not None and latest.get("pipelineExecutionId") == execution.id
    return Stage(
        name=name,
        status=str(latest["status"]) if current else _stage_status(actions),
        enabled=bool(transition.get("enabled", True)),
        reason=str(transition.get("disabledReason") or ""),
        actions=actions,
    )


def _stage_status(actions: tuple[Action, ...]) -> str:
    """Return the status of a stage that another execution has entered since."""
    statuses = {action.status for action in actions}
    for status in ("Failed", "Abandoned", "InProgress"):
        if status in statuses:
            return status
    if statuses == {"Succeeded"}:
        return "Succeeded"
    return "" if statuses == {""} else "InProgress"


def _action(
    declaration: Mapping[str, Any], run: Mapping[str, Any] | None, *, waiting: bool
) -> Action:
    kind = declaration["actionTypeId"]
    result = ((run or {}).get("output") or {}).get("executionResult") or {}
    approval = kind["category"] == "Approval"
    # Only an approval's text: the configuration of other actions may hold secrets.
    texts = ((run or {}).get("input") or {}).get("resolvedConfiguration") or {} if approval else {}
    ended = run is not None and run["status"] != "InProgress"
    return Action(
        name=str(declaration["name"]),
        category=str(kind["category"]),
        provider=str(kind["provider"]),
        status=str(run["status"]) if run else "",
        started=_unix(run["startTime"]) if run else None,
        ended=_unix(run["lastUpdateTime"]) if run and ended else None,
        summary=str(result.get("externalExecutionSummary") or ""),
        error=str((result.get("errorDetails") or {}).get("message") or ""),
        build=str(result.get("externalExecutionId") or "") if _runs_build(kind) else "",
        waiting=waiting,
        request=str(texts.get("CustomData") or ""),
        link=_web_link(str(texts.get("ExternalEntityLink") or "")),
    )


def _runs_build(kind: Mapping[str, Any]) -> bool:
    return kind["provider"] in {"CodeBuild", "Commands"}


def _web_link(link: str) -> str:
    """Return the link unless a browser would run it."""
    return link if link.startswith(("https://", "http://")) else ""


def _execution(item: Mapping[str, Any]) -> Execution:
    revision = (item.get("sourceRevisions") or [{}])[0]
    trigger = item.get("trigger") or {}
    return Execution(
        id=str(item["pipelineExecutionId"]),
        status=str(item["status"]),
        summary=str(item.get("statusSummary") or ""),
        commit=str(revision.get("revisionId") or ""),
        subject=_subject(str(revision.get("revisionSummary") or "")),
        trigger=str(trigger.get("triggerType") or ""),
        started=_unix(item["startTime"]),
        updated=_unix(item["lastUpdateTime"]),
        live=item["status"] in LIVE,
    )


def _subject(summary: str) -> str:
    """Return the first line of a commit's message; a connection's summary is a JSON object."""
    try:
        parsed = json.loads(summary)
    except ValueError:
        parsed = summary
    text = str(parsed.get("CommitMessage", "")) if isinstance(parsed, dict) else summary
    return text.strip().partition("\n")[0]


def _unix(moment: datetime) -> float:
    return moment.timestamp()
