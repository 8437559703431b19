"""`pipeline`: executions of a stack's pipeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from rich.table import Table

from sandbox.cli import options
from sandbox.cli.output import WRONG_USE, Output
from sandbox.cli.pipeline_session import LIVE, PipelineSession, open_pipeline
from sandbox.cli.pipeline_watch import BuildLog, Watch
from sandbox.cli.release import follow
from sandbox.cli.stacks import relative_time
from sandbox.runtime.home import Home

_SHOWN = 10
_execution = click.option(
    "--execution", metavar="ID", help="Use this execution instead of the newest."
)
_verbose = click.option(
    "--verbose", "-v", is_flag=True, help="Print every line of the builds' logs."
)


@click.group()
def pipeline() -> None:
    """Follow and control executions of a stack's pipeline."""


def _newest(session: PipelineSession, id: str | None, output: Output, *, live: bool = False) -> str:
    """Return an execution by the beginning of its ID, or the newest one."""
    response = session.client("codepipeline").list_pipeline_executions(pipelineName=session.name)
    items = response["pipelineExecutionSummaries"]
    matching = [
        item["pipelineExecutionId"]
        for item in items
        if (id is None or item["pipelineExecutionId"].startswith(id))
        and (id is not None or not live or item["status"] in LIVE)
    ]
    if not matching:
        what = f"no execution {id}" if id else "no execution" + " in progress" * live
        output.fail(
            f"{session.name} has {what}; `sandbox pipeline status {session.stack}` lists them.",
            WRONG_USE,
        )
    return str(matching[0])


def _request(output: Output, call: Callable[[], Any]) -> Any:
    """Call the account; print a refusal as the command's error."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow, as boto3

    try:
        return call()
    except ClientError as error:
        output.fail(error.response["Error"]["Message"])


@pipeline.command()
@options.stack
@options.service
@_execution
@_verbose
@options.as_json
def watch(
    stack: str, service: str | None, execution: str | None, *, verbose: bool, as_json: bool
) -> None:
    """Follow an execution until it ends."""
    output = Output(as_json=as_json)
    with Home.of_project().active(f"pipeline watch {stack}"):
        session = open_pipeline(stack, output, service)
        followed = _newest(session, execution, output)
        follow(session, followed, output, verbose=verbose, approve=False)


@pipeline.command()
@options.stack
@options.service
@options.as_json
def status(stack: str, service: str | None, *, as_json: bool) -> None:
    """Show the stages and the latest executions."""
    output = Output(as_json=as_json)
    session = open_pipeline(stack, output, service)
    client = session.client("codepipeline")
    state = client.get_pipeline_state(name=session.name)
    executions = client.list_pipeline_executions(pipelineName=session.name, maxResults=_SHOWN)
    output.say(f"{session.name}, version {state['pipelineVersion']}", "bold")
    table = Table("stage", "status", "execution", box=None, header_style="bold", pad_edge=False)
    for stage in state["stageStates"]:
        latest = stage.get("latestExecution") or {}
        enabled = stage.get("inboundTransitionState", {}).get("enabled", True)
        table.add_row(
            stage["stageName"],
            latest.get("status", "-") + ("" if enabled else " (transition disabled)"),
            latest.get("pipelineExecutionId", "")[:8],
        )
    output.text.print(table)
    output.say("")
    table = Table(
        "execution", "status", "commit", "started", box=None, header_style="bold", pad_edge=False
    )
    for item in executions["pipelineExecutionSummaries"]:
        revisions = item.get("sourceRevisions") or [{}]
        table.add_row(
            item["pipelineExecutionId"][:8],
            item["status"],
            revisions[0].get("revisionId", "")[:12],
            relative_time(item["startTime"]),
        )
    output.text.print(table)
    output.document(
        {
            "result": "succeeded",
            "stack": stack,
            "pipeline": session.name,
            "stages": state["stageStates"],
            "executions": executions["pipelineExecutionSummaries"],
        }
    )


@pipeline.command()
@options.stack
@options.service
@_verbose
@options.as_json
def start(stack: str, service: str | None, *, verbose: bool, as_json: bool) -> None:
    """Start an execution with the newest source, and follow it."""
    output = Output(as_json=as_json)
    session = open_pipeline(stack, output, service)
    client = session.client("codepipeline")
    id = _request(output, lambda: client.start_pipeline_execution(name=session.name))
    follow(session, id["pipelineExecutionId"], output, verbose=verbose, approve=False)


def _put_approval(
    stack: str, service: str | None, decision: str, summary: str, *, as_json: bool
) -> None:
    output = Output(as_json=as_json)
    session = open_pipeline(stack, output, service)
    client = session.client("codepipeline")
    for stage in client.get_pipeline_state(name=session.name)["stageStates"]:
        for action in stage["actionStates"]:
            token = action.get("latestExecution", {}).get("token")
            if token:
                _request(
                    output,
                    lambda: client.put_approval_result(
                        pipelineName=session.name,
                        stageName=stage["stageName"],  # noqa: B023 - called at once
                        actionName=action["actionName"],  # noqa: B023
                        token=token,  # noqa: B023
                        result={"status": decision, "summary": summary},
                    ),
                )
                output.say(f"{decision} {stage['stageName']}/{action['actionName']}.")
                output.document({"result": "succeeded", "stack": stack, "decision": decision})
                return
    output.fail(f"no action of {session.name} waits for an approval.")


_summary = click.option("--message", "-m", default="", metavar="TEXT", help="Store TEXT with it.")


@pipeline.command()
@options.stack
@options.service
@_summary
@options.as_json
def approve(stack: str, service: str | None, message: str, *, as_json: bool) -> None:
    """Approve the waiting release."""
    _put_approval(stack, service, "Approved", message or "Approved", as_json=as_json)


@pipeline.command()
@options.stack
@options.service
@_summary
@options.as_json
def reject(stack: str, service: str | None, message: str, *, as_json: bool) -> None:
    """Reject the waiting release."""
    _put_approval(stack, service, "Rejected", message or "Rejected", as_json=as_json)


@pipeline.command()
@options.stack
@options.service
@_execution
@click.option("--finish", is_flag=True, help="Let the running actions finish first.")
@click.option("--reason", default="Stopped with sandbox pipeline stop", metavar="TEXT")
@options.as_json
def stop(
    stack: str,
    service: str | None,
    execution: str | None,
    reason: str,
    *,
    finish: bool,
    as_json: bool,
) -> None:
    """Stop an execution."""
    output = Output(as_json=as_json)
    session = open_pipeline(stack, output, service)
    id = _newest(session, execution, output, live=True)
    client = session.client("codepipeline")
    _request(
        output,
        lambda: client.stop_pipeline_execution(
            pipelineName=session.name, pipelineExecutionId=id, abandon=not finish, reason=reason
        ),
    )
    output.say(f"Execution {id} stops." if finish else f"Execution {id} is stopped.")
    output.document({"result": "succeeded", "stack": stack, "execution": id})


@pipeline.command()
@options.stack
@options.service
@_execution
@click.option("--all-actions", is_flag=True, help="Retry the successful actions too.")
@_verbose
@options.as_json
def retry(
    stack: str,
    service: str | None,
    execution: str | None,
    *,
    all_actions: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Retry the failed stage of an execution, and follow it."""
    output = Output(as_json=as_json)
    session = open_pipeline(stack, output, service)
    id = _newest(session, execution, output)
    failed = [
        item["stageName"]
        for item in reversed(Watch(session, id, output, verbose=False).actions())
        if item["status"] in {"Failed", "Abandoned"}
    ]
    if not failed:
        output.fail(f"no action of execution {id} has failed.", WRONG_USE)
    mode = "ALL_ACTIONS" if all_actions else "FAILED_ACTIONS"
    client = session.client("codepipeline")
    _request(
        output,
        lambda: client.retry_stage_execution(
            pipelineName=session.name,
            stageName=failed[0],
            pipelineExecutionId=id,
            retryMode=mode,
        ),
    )
    follow(session, id, output, verbose=verbose, approve=False)


@pipeline.command()
@options.stack
@options.service
@click.option("--stage", default="Deploy", show_default=True, metavar="STAGE")
@click.option("--to", "target", metavar="ID", help="Execution whose release to deploy again.")
@_verbose
@options.as_json
def rollback(
    stack: str, service: str | None, stage: str, target: str | None, *, verbose: bool, as_json: bool
) -> None:
    """Deploy the previous successful release again, and follow it."""
    output = Output(as_json=as_json)
    session = open_pipeline(stack, output, service)
    client = session.client("codepipeline")
    response = _request(
        output,
        lambda: client.list_pipeline_executions(
            pipelineName=session.name, filter={"succeededInStage": {"stageName": stage}}
        ),
    )
    succeeded = [
        item["pipelineExecutionId"]
        for item in response["pipelineExecutionSummaries"]
        if item["executionType"] == "STANDARD"
    ]
    chosen = [id for id in succeeded if target and id.startswith(target)]
    if not target:
        chosen = succeeded[1:2]
    if not chosen:
        what = f"execution {target}" if target else "a release before the newest"
        output.fail(f"{session.name} has not run {what} with success.", WRONG_USE)
    started = _request(
        output,
        lambda: client.rollback_stage(
            pipelineName=session.name, stageName=stage, targetPipelineExecutionId=chosen[0]
        ),
    )
    follow(session, started["pipelineExecutionId"], output, verbose=verbose, approve=False)


@pipeline.command()
@options.stack
@options.service
@_execution
@click.option("--action", metavar="ACTION", help="Only the log of this action.")
def logs(stack: str, service: str | None, execution: str | None, action: str | None) -> None:
    """Print the logs of an execution's builds."""
    output = Output(as_json=False)
    session = open_pipeline(stack, output, service)
    id = _newest(session, execution, output)
    for item in Watch(session, id, output, verbose=True).actions():
        result = item.get("output", {}).get("executionResult", {})
        build = result.get("externalExecutionId")
        if build and action in {None, item["actionName"]}:
            output.say(f"{item['stageName']}/{item['actionName']}  {build}", "bold")
            for line in BuildLog(session, result).lines():
                click.echo(line)
