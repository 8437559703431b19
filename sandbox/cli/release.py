"""`release`: sends the working tree's commit through a stack's pipeline."""

from __future__ import annotations

import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import click

from sandbox.cli import options
from sandbox.cli.endpoints import endpoints
from sandbox.cli.output import FAILED, WRONG_USE, Output
from sandbox.cli.pipeline_session import (
    GitError,
    PipelineSession,
    complete_connection,
    git,
    open_pipeline,
)
from sandbox.cli.pipeline_watch import Watch
from sandbox.cli.stacks import require_state
from sandbox.engine import stack_outputs
from sandbox.runtime.home import Home

_TRIGGER_SECONDS = 5.0
_ZERO = "0" * 40


@click.command()
@options.stack
@options.service
@click.option("--tag", metavar="TAG", help="Name of the tag, for a pipeline that tags start.")
@click.option("--approve", "--yes", "-y", is_flag=True, help="Approve the release when asked.")
@click.option("--no-wait", is_flag=True, help="Start the release and return.")
@click.option("--verbose", "-v", is_flag=True, help="Print every line of the builds' logs.")
@options.as_json
def release(
    stack: str,
    service: str | None,
    tag: str | None,
    *,
    approve: bool,
    no_wait: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Send the working tree's commit (HEAD) through STACK's pipeline."""
    output = Output(as_json=as_json)
    with Home.of_project().active(f"release {stack}"):
        session = open_pipeline(stack, output, service)
        _release(session, tag, output, approve=approve, no_wait=no_wait, verbose=verbose)


def _release(
    session: PipelineSession,
    tag: str | None,
    output: Output,
    *,
    approve: bool,
    no_wait: bool,
    verbose: bool,
) -> None:
    try:
        commit, subject = git("log", "-1", "--format=%H%x00%s").split("\0")
        if git("status", "--porcelain"):
            output.note("the working tree has changes that are not committed; HEAD is released.")
        output.say(f"{session.name} releases {commit[:12]} {subject}", "bold")
        execution = _start(session, commit, tag, output)
    except GitError as error:
        output.fail(f"the commit cannot be sent to the sandbox: {error}")
    if no_wait:
        output.say(f"Execution {execution}; `sandbox pipeline watch {session.words}` follows it.")
        output.document(
            {"result": "started", "stack": session.stack, "commit": commit, "execution": execution}
        )
        return
    follow(session, execution, output, verbose=verbose, approve=approve)


def follow(
    session: PipelineSession, execution: str, output: Output, *, verbose: bool, approve: bool
) -> None:
    """Follow an execution to its end, ask for approvals, and print the result."""
    watch = Watch(session, execution, output, verbose=verbose)
    try:
        description, approval = watch.follow()
        while approval is not None:
            _decide(session, approval, output, approve=approve)
            description, approval = watch.follow()
    except KeyboardInterrupt:
        output.note(
            f"execution {execution} continues; `sandbox pipeline watch {session.words}` follows "
            f"it, and `sandbox pipeline stop {session.words}` stops it."
        )
        raise SystemExit(FAILED) from None
    fields = _document(session, watch, description)
    if description["status"] != "Succeeded":
        for line in watch.failing_lines():
            output.line(f"    {line}")
        summary = str(description.get("statusSummary") or "").rstrip(".")
        reason = f": {summary}" if summary else ""
        output.fail(f"the execution is {description['status']}{reason}", **fields)
    _report_service(session, watch, output, fields)
    output.document({"result": "succeeded", **fields})


def _decide(
    session: PipelineSession,
    approval: tuple[str, str, str],
    output: Output,
    *,
    approve: bool,
) -> None:
    """Approve or reject on the user's answer; without a terminal, say who can."""
    stage, action, token = approval
    if not approve and (output.as_json or not sys.stdin.isatty()):
        output.say(
            f"{stage} waits for approval: sandbox pipeline approve {session.words} (or reject)"
        )
        return
    accepted = approve or click.confirm(f"Approve {stage}?", default=False, err=True)
    client = session.client("codepipeline")
    try:
        client.put_approval_result(
            pipelineName=session.name,
            stageName=stage,
            actionName=action,
            token=token,
            result={
                "status": "Approved" if accepted else "Rejected",
                "summary": "Approved with sandbox release"
                if accepted
                else "Rejected at the prompt",
            },
        )
    except (
        client.exceptions.ApprovalAlreadyCompletedException,
        client.exceptions.InvalidApprovalTokenException,
    ):
        output.note(f"the approval of {stage} was decided meanwhile.")


def _start(session: PipelineSession, commit: str, tag: str | None, output: Output) -> str:
    """Push HEAD to the sandbox's repository; return the execution that this has started."""
    connected = complete_connection(session)
    if connected is None:
        return _upload(session, commit, output)
    status, repository, path = connected
    if status != "AVAILABLE":
        output.say(f"The connection was {status}; the sandbox has accepted it.")
    source = session.connection_source() or {}
    reference = _reference(session, source, tag, output)
    earlier = _executions(session)
    before = git("ls-remote", str(path), reference).partition("\t")[0] or _ZERO
    if before != commit:
        git("push", "--no-verify", "--quiet", "--force", str(path), f"HEAD:{reference}")
        output.say(f"Pushed to {reference} of the sandbox's copy of {repository}.")
        if (execution := _started(session, earlier)) is not None:
            return execution
        output.say(f"No trigger of {session.name} matches this push; starting it.")
    else:
        output.say(f"{reference} has this commit already; starting {session.name} again.")
    response = session.client("codepipeline").start_pipeline_execution(
        name=session.name,
        sourceRevisions=[
            {
                "actionName": source["name"],
                "revisionType": "COMMIT_ID",
                "revisionValue": commit,
            }
        ],
    )
    return str(response["pipelineExecutionId"])


def _reference(
    session: PipelineSession, source: Mapping[str, Any], tag: str | None, output: Output
) -> str:
    """Return the reference to push: a tag where tags start the pipeline, else the branch."""
    from sandbox.pipelines.glob_patterns import selects  # noqa: PLC0415 - with its package, slow

    criteria = [
        item["tags"]
        for trigger in session.declaration().get("triggers") or []
        for item in trigger["gitConfiguration"].get("push") or []
        if item.get("tags")
    ]
    if tag is None and not criteria:
        return f"refs/heads/{source['configuration']['BranchName']}"
    if tag is None:
        existing = git("tag", "--points-at", "HEAD").splitlines()
        tag = next(
            (name for name in existing if any(selects(item, name) for item in criteria)), None
        )
    if tag is None:
        tag = git("log", "-1", "--format=v%cd-%h", "--date=format:%Y.%m.%d")
        output.note(f"HEAD has no tag that starts {session.name}; it is released as {tag}.")
    if criteria and not any(selects(item, tag) for item in criteria):
        patterns = ", ".join(pattern for item in criteria for pattern in item.get("includes", ()))
        output.fail(f"the tag {tag} does not start {session.name}; its tags: {patterns}", WRONG_USE)
    return f"refs/tags/{tag}"


def _upload(session: PipelineSession, commit: str, output: Output) -> str:
    """Upload HEAD to the source bucket; return the execution that this has started."""
    import subprocess  # noqa: PLC0415

    actions = session.declaration()["stages"][0]["actions"]
    source = next((a for a in actions if a["actionTypeId"]["provider"] == "S3"), None)
    if source is None:
        output.fail(f"{session.name} reads neither a connection nor S3; the sandbox has no others.")
    configuration, earlier = source["configuration"], _executions(session)
    archive = subprocess.run(
        ["git", "archive", "--format=zip", commit], capture_output=True, check=True
    ).stdout
    version = session.client("s3").put_object(
        Bucket=configuration["S3Bucket"], Key=configuration["S3ObjectKey"], Body=archive
    )["VersionId"]
    output.say(f"Uploaded {configuration['S3ObjectKey']}, version {version}.")
    if (execution := _started(session, earlier)) is not None:
        return execution
    output.say(f"No rule starts {session.name} for this upload; starting it.")
    pipelines = session.client("codepipeline")
    return str(pipelines.start_pipeline_execution(name=session.name)["pipelineExecutionId"])


def _executions(session: PipelineSession) -> list[str]:
    response = session.client("codepipeline").list_pipeline_executions(pipelineName=session.name)
    return [item["pipelineExecutionId"] for item in response["pipelineExecutionSummaries"]]


def _started(session: PipelineSession, earlier: list[str]) -> str | None:
    """Wait for a new execution."""
    deadline = time.monotonic() + _TRIGGER_SECONDS
    while time.monotonic() < deadline:
        if new := [id for id in _executions(session) if id not in earlier]:
            return new[0]
        time.sleep(0.1)
    return None


def _document(
    session: PipelineSession, watch: Watch, description: Mapping[str, Any]
) -> dict[str, Any]:
    revisions = description.get("artifactRevisions") or []
    return {
        "stack": session.stack,
        "pipeline": session.name,
        "execution": description["pipelineExecutionId"],
        "status": description["status"],
        "commit": revisions[0]["revisionId"] if revisions else None,
        "actions": [
            {
                "stage": item["stageName"],
                "action": item["actionName"],
                "status": item["status"],
                "seconds": (item["lastUpdateTime"] - item["startTime"]).total_seconds(),
            }
            for item in watch.actions()
        ],
    }


def _report_service(
    session: PipelineSession, watch: Watch, output: Output, fields: dict[str, Any]
) -> None:
    """Print the service's URL, and whether its page shows the released digest."""
    home, project, passphrase = require_state(session.stack)
    outputs = stack_outputs(home.state, project, session.stack, passphrase, show_secrets=True)
    further = outputs.pop("service_urls", None) or {}
    if session.service is not None:
        outputs = {"url": further.get(session.service)}
    digest = next(
        (
            value
            for action in watch.actions()
            for value in (action.get("output", {}).get("outputVariables") or {}).values()
            if str(value).startswith("sha256:")
        ),
        "",
    )
    commit = str(fields["commit"] or "")[:12]
    for endpoint in endpoints(home, outputs):
        serves = bool(digest) and _serves(endpoint.local_url, digest, home)
        fields |= {"url": endpoint.local_url, "digest": digest, "serves": serves}
        verb = "serves" if serves else "does not show that it serves"
        output.say(f"{endpoint.service}: {endpoint.local_url} {verb} {commit}", "bold")


def _serves(url: str, digest: str, home: Home) -> bool:
    """Whether the page contains the digest of its process."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    try:
        if url.startswith("https:"):
            authority = home.certificate_authority / "ca.pem"
            context = ssl.create_default_context(cafile=str(authority))
            handlers.append(urllib.request.HTTPSHandler(context=context))
        direct = urllib.request.build_opener(*handlers)
        with direct.open(url, timeout=10) as response:
            return digest.encode() in response.read()
    except (urllib.error.URLError, OSError):
        return False
