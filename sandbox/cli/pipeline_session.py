"""A stack's pipeline, as the commands use it: its declaration, executions and build logs."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.cli.output import WRONG_USE, Output
from sandbox.cli.stacks import require_state
from sandbox.engine.state.backend import Backend
from sandbox.runtime.background import CREDENTIALS, ensure_running
from sandbox.runtime.home import Home

LIVE = frozenset({"InProgress", "Stopping"})
PIPELINE_TYPE = "aws:codepipeline/pipeline:Pipeline"


@dataclass(frozen=True, kw_only=True)
class PipelineSession:
    """A stack's pipeline in the account that answers at `url`; `service` is a further service."""

    home: Home
    stack: str
    name: str
    region: str
    url: str
    service: str | None = None

    @property
    def words(self) -> str:
        """The arguments of commands that select this pipeline."""
        return f"{self.stack} --service {self.service}" if self.service else self.stack

    def client(self, service: str) -> Any:
        """Return a boto3 client."""
        import boto3  # noqa: PLC0415 - slow; only for commands that call the account
        from botocore.config import Config  # noqa: PLC0415

        return boto3.client(
            service,
            region_name=self.region,
            endpoint_url=self.url,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"max_attempts": 0}, proxies={}),
        )

    def declaration(self) -> dict[str, Any]:
        """Return the pipeline's current declaration."""
        pipeline: dict[str, Any] = self.client("codepipeline").get_pipeline(name=self.name)
        return dict(pipeline["pipeline"])

    def connection_source(self) -> Mapping[str, Any] | None:
        """Return the first source action that reads through a connection."""
        for action in self.declaration()["stages"][0]["actions"]:
            if action["actionTypeId"]["provider"] == "CodeStarSourceConnection":
                return dict(action)
        return None


def open_pipeline(stack: str, output: Output, service: str | None = None) -> PipelineSession:
    """Return the stack's pipeline, and start the background process; fail if there is none.

    `service` selects the pipeline of a further service.
    """
    home, project, _ = require_state(stack)
    resources = Backend(home.state).read(project, stack).get("resources") or []
    pipeline = find_pipeline(resources, service)
    if pipeline is None and service is not None:
        output.fail(f"stack {stack} has no service {service} with a pipeline.", WRONG_USE)
    if pipeline is None:
        output.fail(f"stack {stack} has no pipeline; `sandbox up {stack}` creates it.")
    name, region = pipeline
    url = ensure_running(home).account
    return PipelineSession(
        home=home, stack=stack, name=name, region=region, url=url, service=service
    )


def find_pipeline(
    resources: Sequence[Mapping[str, Any]], service: str | None = None
) -> tuple[str, str] | None:
    """Return name and region of the pipeline among a state's resources, or None.

    That of a further service is called SERVICE-pipeline. Of several others, it is the one that the
    stack's output `pipeline_name` names.
    """
    if service is not None:
        suffix = f"::{service}-pipeline"
        resources = [item for item in resources if item["urn"].endswith(suffix)]
    pipelines = {
        str(item["outputs"]["name"]): str(item["outputs"]["arn"]).split(":")[3]
        for item in resources
        if item["type"] == PIPELINE_TYPE and item.get("outputs")
    }
    exported = [
        (item.get("outputs") or {}).get("pipeline_name")
        for item in resources
        if item["type"] == "pulumi:pulumi:Stack"
    ]
    names = [name for name in exported if name in pipelines] or list(pipelines)
    return (names[0], pipelines[names[0]]) if names else None


def complete_connection(session: PipelineSession) -> tuple[str, str, Path] | None:
    """Accept the pipeline's connection, and create the repository that it reads.

    Return the connection's previous status, the repository's name and path; None without one.
    """
    from sandbox.pipelines import Repositories  # noqa: PLC0415 - slow, as boto3

    source = session.connection_source()
    if source is None:
        return None
    configuration = source["configuration"]
    arn, name = configuration["ConnectionArn"], configuration["FullRepositoryId"]
    client = session.client(arn.split(":")[2])
    status = client.get_connection(ConnectionArn=arn)["Connection"]["ConnectionStatus"]
    if status != "AVAILABLE":
        _accept(session.url, arn)
    path = Repositories(session.home.repositories).create(name, configuration["BranchName"])
    return status, name, path


def _accept(url: str, arn: str) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    body = json.dumps({"connection": arn}).encode()
    request = urllib.request.Request(f"{url}/_sandbox/handshake", data=body)  # noqa: S310 - the account's
    direct.open(request, timeout=60).close()


def git(*arguments: str) -> str:
    """Return the output of git in the project. Raises GitError."""
    try:
        ran = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise GitError("git is not on PATH; `make doctor` says how to install it") from None
    if ran.returncode != 0:
        lines = ran.stderr.strip().splitlines() or [f"git {arguments[0]} failed"]
        raise GitError(next((line for line in lines if "fatal" in line), lines[-1]))
    return ran.stdout.rstrip("\n")


class GitError(Exception):
    """A git command failed; the message is its own."""
