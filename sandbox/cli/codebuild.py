"""`codebuild`: run a buildspec on this machine; list builds and print their logs."""

from __future__ import annotations

import shutil
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sandbox.cli import options
from sandbox.cli.output import FAILED, WRONG_USE, Output
from sandbox.cli.stacks import require_state
from sandbox.engine import export_stack
from sandbox.runtime.background import DaemonInfo, ensure_running
from sandbox.runtime.home import Home
from sandbox.runtime.session import Session

if TYPE_CHECKING:
    from sandbox.builds.aws_session import AwsSession
    from sandbox.contracts.build_runner import BuildOrder

_ACCOUNT = "123456789012"
_PROJECT = "aws:codebuild/project:Project"
_POLL_SECONDS = 0.3
_LOCAL_PROJECT = "local"
_region = click.option("--region", default="us-east-1", show_default=True, help="AWS region.")


@click.group()
def codebuild() -> None:
    """Run buildspecs, list builds and print their logs."""


@codebuild.command()
@click.argument("buildspec", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Directory of the source, of which the build gets a copy (default: the current one).",
)
@click.option(
    "-e", "--env", "variables", multiple=True, metavar="NAME=VALUE", help="Variable (repeatable)."
)
@click.option(
    "--role",
    metavar="ROLE",
    help="Role name, role ARN, or STACK/STEP for the role and variables of a project of STACK. "
    "Without it, the build may do everything.",
)
@click.option(
    "--timeout", type=click.IntRange(1, 480), default=60, show_default=True, help="Minutes."
)
@_region
def run(
    buildspec: Path,
    source: Path,
    variables: Sequence[str],
    role: str | None,
    timeout: int,
    region: str,
) -> None:
    """Run BUILDSPEC on this machine against the emulated account; exit code 1 if it fails."""
    from sandbox.builds.aws_session import OWN_KEY, AwsSession  # noqa: PLC0415 - imports botocore
    from sandbox.builds.build import Build  # noqa: PLC0415
    from sandbox.builds.errors import PhaseError  # noqa: PLC0415
    from sandbox.builds.record import BuildRecord  # noqa: PLC0415
    from sandbox.contracts.build_record import new_build, utc  # noqa: PLC0415
    from sandbox.daemon.build_surroundings import surroundings_of  # noqa: PLC0415

    output, home = Output(as_json=False), Home.of_project()
    environment = [_variable(text, output) for text in variables]
    project: dict[str, Any] = {}
    if role is not None and "/" in role and not role.startswith("arn:"):
        project, region = _stack_project(home, role, output)
    running = ensure_running(home)
    session = AwsSession(running.account, region, OWN_KEY)
    if project:
        [project] = session.client("codebuild").batch_get_projects(names=[project["name"]])[
            "projects"
        ]
        role = project["serviceRole"]
    if role is not None:
        arn = role if role.startswith("arn:") else f"arn:aws:iam::{_ACCOUNT}:role/{role}"
        try:
            session = session.assume(arn, "sandbox-codebuild-run", project.get("arn", ""))
        except PhaseError as error:
            output.fail(error.message)
    order = _order(buildspec, source, environment, project, timeout, region)
    directory = home.builds / "local" / order.id.partition(":")[2]
    directory.mkdir(mode=0o700, parents=True)
    record = BuildRecord(directory / "build.json", new_build(order, utc(time.time())))
    record.end_phase()
    build = Build(
        order=order,
        record=record,
        directory=directory / "work",
        surroundings=surroundings_of(home, lambda: running.account, running.registry),
        session=session,
        send=lambda events: _print(text for _, text in events),
    )
    try:
        status = build.run()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if status != "SUCCEEDED":
        raise SystemExit(FAILED)


@codebuild.command("list")
@click.option("--project", metavar="NAME", help="Only builds of this project.")
@_region
@options.as_json
def list_(project: str | None, region: str, *, as_json: bool) -> None:
    """List the builds of the emulated account, newest first."""
    output = Output(as_json=as_json)
    session = _session(ensure_running(Home.of_project()), region)
    client = session.client("codebuild")
    try:
        if project is None:
            ids = client.list_builds()["ids"]
        else:
            ids = client.list_builds_for_project(projectName=project)["ids"]
    except client.exceptions.ClientError as error:
        output.fail(error.response["Error"]["Message"])
    builds = client.batch_get_builds(ids=ids)["builds"] if ids else []
    for build in builds:
        ended = build.get("endTime")
        seconds = f"{(ended - build['startTime']).total_seconds():.0f} s" if ended else ""
        phase = build["currentPhase"] if not build["buildComplete"] else ""
        words = (build["id"], build["buildStatus"], phase, seconds, build["initiator"])
        output.line("  ".join(word for word in words if word))
    if not builds:
        output.say("There are no builds.")
    output.document({"result": "succeeded", "builds": builds})


@codebuild.command()
@click.argument("id")
@click.option("-f", "--follow", is_flag=True, help="Follow the log until the build ends.")
@_region
def logs(id: str, region: str, *, follow: bool) -> None:
    """Print the log of the build ID; exit code 1 if it failed."""
    output = Output(as_json=False)
    session = _session(ensure_running(Home.of_project()), region)
    codebuild_, logs_ = session.client("codebuild"), session.client("logs")
    token: dict[str, str] = {}
    while True:
        builds = codebuild_.batch_get_builds(ids=[id])["builds"]
        if not builds:
            output.fail(f"there is no build {id}; `sandbox codebuild list` lists them", WRONG_USE)
        location = builds[0]["logs"]
        if "groupName" not in location:
            output.fail(f"build {id} has no log in CloudWatch Logs")
        token = _print_events(logs_, location, token)
        if not follow or builds[0]["buildComplete"]:
            break
        time.sleep(_POLL_SECONDS)
    if builds[0]["buildComplete"] and builds[0]["buildStatus"] != "SUCCEEDED":
        raise SystemExit(FAILED)


def _print_events(client: Any, location: dict[str, Any], token: dict[str, str]) -> dict[str, str]:
    """Print the events after `token` and return the next one."""
    names = {"logGroupName": location["groupName"], "logStreamName": location["streamName"]}
    while True:
        try:
            page = client.get_log_events(**names, startFromHead=True, **token)
        except client.exceptions.ResourceNotFoundException:
            return token  # a queued build has no log yet
        _print(event["message"].rstrip("\n") for event in page["events"])
        token = {"nextToken": page["nextForwardToken"]}
        if not page["events"]:
            return token


def _print(lines: Any) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _session(running: DaemonInfo, region: str) -> AwsSession:
    from sandbox.builds.aws_session import OWN_KEY, AwsSession  # noqa: PLC0415 - imports botocore

    return AwsSession(running.account, region, OWN_KEY)


def _variable(text: str, output: Output) -> dict[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        output.fail(f"--env {text} must have the form NAME=VALUE", WRONG_USE)
    return {"name": name, "value": value, "type": "PLAINTEXT"}


def _stack_project(home: Home, text: str, output: Output) -> tuple[dict[str, Any], str]:
    """Return the project of STACK/STEP in the stack's state, and the stack's region."""
    stack, _, step = text.partition("/")
    home, name, passphrase = require_state(stack)
    state = export_stack(home.state, name, stack, passphrase, show_secrets=False)
    projects = {
        str(resource["outputs"]["name"]): resource["outputs"]
        for resource in state["deployment"].get("resources") or []
        if resource["type"] == _PROJECT and resource.get("outputs")
    }
    matching = [project for name, project in projects.items() if f"-{name}".endswith(f"-{step}")]
    if len(matching) != 1:
        names = ", ".join(sorted(projects)) or "none"
        output.fail(
            f"stack {stack} has no single project whose name ends with -{step}; it has: {names}",
            WRONG_USE,
        )
    return matching[0], Session.open(home, stack).file.region


def _order(
    buildspec: Path,
    source: Path,
    environment: list[dict[str, str]],
    project: dict[str, Any],
    timeout: int,
    region: str,
) -> BuildOrder:
    from sandbox.builds.sources import LOCAL  # noqa: PLC0415 - imports botocore
    from sandbox.contracts.build_runner import BuildOrder  # noqa: PLC0415

    id = f"{_LOCAL_PROJECT}:{uuid.uuid4()}"
    overridden = {item["name"] for item in environment}
    defaults = project.get("environment") or {}
    inherited = [
        item
        for item in defaults.get("environmentVariables") or ()
        if item["name"] not in overridden
    ]
    return BuildOrder(
        id=id,
        arn=f"arn:aws:codebuild:{region}:{_ACCOUNT}:build/{id}",
        number=1,
        region=region,
        project={
            "name": _LOCAL_PROJECT,
            "source": {
                "type": LOCAL,
                "location": str(source.absolute()),
                "buildspec": buildspec.read_text() + "\n\n",
            },
            "artifacts": {"type": "NO_ARTIFACTS"},
            "environment": {
                "type": defaults.get("type", "LINUX_CONTAINER"),
                "image": defaults.get("image", "sandbox"),
                "privilegedMode": True,
                "environmentVariables": [*inherited, *environment],
            },
            "timeoutInMinutes": timeout,
            "queuedTimeoutInMinutes": timeout,
            "logsConfig": {"cloudWatchLogs": {"status": "DISABLED"}},
        },
        initiator="sandbox",
    )
