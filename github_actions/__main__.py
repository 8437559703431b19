"""The commands of the workflows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from github_actions import comment, drift, results
from github_actions.api import GitHub, GitHubError


@click.group()
def commands() -> None:
    """Run what the workflows of `.github/workflows` consist of."""


@commands.command()
@click.option("--stack", required=True)
@click.option("--engine", type=click.Choice(["sandbox", "pulumi"]), required=True)
@click.option("--refresh", is_flag=True, help="Read the actual resources first.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File for the result.")
def preview(stack: str, engine: results.Engine, out: Path, *, refresh: bool) -> None:
    """Preview STACK and write the result; a failed preview exits with 1."""
    result = results.run(stack, engine, refresh=refresh)
    result.write(out)
    click.echo(comment.body([result]))
    if not result.succeeded:
        raise SystemExit(1)


@commands.command("comment")
@click.option("--pull-request", type=int, help="Number of the pull request.")
@click.option("--commit", default="", help="Newest commit, which identifies a fork's request.")
@click.option(
    "--name",
    default=comment.ENVIRONMENTS,
    help="What the comment is about; a pull request has one comment for each name.",
)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def comment_(pull_request: int | None, commit: str, name: str, files: tuple[Path, ...]) -> None:
    """Write the results in FILES as the one comment of a pull request."""
    github = GitHub.of_workflow()
    numbers = [pull_request] if pull_request else github.pull_requests_of(commit)
    text = comment.body([results.read(file) for file in sorted(files)], commit[:12], name)
    for number in numbers:
        click.echo(github.write_comment(number, comment.marker(name), text))
    if not numbers:
        click.echo(f"No open pull request ends with {commit}.")


@commands.command("drift")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def drift_(files: tuple[Path, ...]) -> None:
    """Open, update or close the issue about drift; failed previews exit with 1."""
    previews = [results.read(file) for file in sorted(files)]
    click.echo(drift.report(GitHub.of_workflow(), previews))
    failures = [f"{item.stack}: {' '.join(item.errors)}" for item in previews if not item.succeeded]
    if failures:
        raise click.ClickException("not checked for drift: " + "; ".join(failures))


@commands.command()
@click.option("--stack", required=True)
@click.option("--typed", required=True, help="What the person typed.")
def confirm(stack: str, typed: str) -> None:
    """Refuse unless the person typed the name of the stack to destroy."""
    if typed != stack:
        raise click.ClickException(
            f"nothing was deleted: to destroy {stack}, type its name, not {typed[:40]!r}"
        )


def main() -> None:
    """Run a command; an error is one line."""
    try:
        commands.main(prog_name="python -m github_actions", standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message())
    except (GitHubError, ValueError) as error:
        _fail(str(error))


def _fail(message: str) -> None:
    prefix = "::error::" if os.environ.get("GITHUB_ACTIONS") else "error: "
    sys.stderr.write(f"{prefix}{message}\n")
    raise SystemExit(1)


if __name__ == "__main__":
    main()
