"""`connection`: the repository that stands in for that of a stack's source connection."""

from __future__ import annotations

import click

from sandbox.cli import options
from sandbox.cli.output import Output
from sandbox.cli.pipeline_session import (
    GitError,
    PipelineSession,
    complete_connection,
    git,
    open_pipeline,
)

REMOTE = "sandbox"


@click.group()
def connection() -> None:
    """Connect a stack's pipeline to a local git repository."""


@connection.command()
@options.stack
@options.as_json
def accept(stack: str, *, as_json: bool) -> None:
    """Complete the pending connection of STACK, and add the git remote `sandbox`."""
    output = Output(as_json=as_json)
    session: PipelineSession = open_pipeline(stack, output)
    completed = complete_connection(session)
    if completed is None:
        output.fail(f"{session.name} does not read through a connection.")
    status, repository, path = completed
    verb = "was AVAILABLE already" if status == "AVAILABLE" else "is AVAILABLE"
    output.say(f"The connection of {session.name} {verb}.")
    try:
        remotes = git("remote").splitlines()
        if REMOTE in remotes:
            git("remote", "set-url", REMOTE, str(path))
        else:
            git("remote", "add", REMOTE, str(path))
        output.say(f"The git remote {REMOTE} is the sandbox's copy of {repository}:")
        output.say(f"  git push {REMOTE} main")
    except GitError as error:
        output.note(f"no git remote was added: {error}. Push to {path}")
    output.document(
        {
            "result": "succeeded",
            "stack": stack,
            "status": "AVAILABLE",
            "repository": repository,
            "path": str(path),
        }
    )
