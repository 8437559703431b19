"""`output`, `env`, `history`, `export`, `import`: read and write a stack's state."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import click
from rich.markup import escape
from rich.table import Table

from sandbox.cli import options
from sandbox.cli.output import WRONG_USE, Output
from sandbox.engine import export_stack, import_stack, list_stacks, stack_outputs
from sandbox.engine.state.backend import Backend
from sandbox.runtime import kubeconfig, pulumi_cli, stack_files
from sandbox.runtime.environment import foreign_variables
from sandbox.runtime.home import Home, find_project
from sandbox.runtime.session import Session
from sandbox.runtime.stack_records import StackRecords

_secrets = click.option("--show-secrets", is_flag=True, help="Show secret values.")


def require_state(stack: str) -> tuple[Home, str, str]:
    """Return home, project name and passphrase of a stack that has a state."""
    home, project = Home.of_project(), stack_files.project_name(find_project())
    existing, configured = list_stacks(home.state, project), stack_files.stack_names(find_project())
    if stack not in existing:
        StackRecords(home, project, stack).check_exists()
        if stack in configured:
            raise stack_files.UnknownStackError(
                f"stack {stack} has never been up in this sandbox; "
                f"`python -m sandbox up {stack}` creates it."
            )
        stacks = ", ".join(sorted({*existing, *configured})) or "none"
        raise stack_files.UnknownStackError(
            f"there is no stack {stack!r}. Stacks of this project: {stacks}."
        )
    return home, project, home.passphrase()


@click.command()
@options.stack
@click.argument("name", required=False)
@_secrets
@options.as_json
def output(stack: str, name: str | None, *, show_secrets: bool, as_json: bool) -> None:
    """Print STACK's outputs, or the plain value of NAME."""
    printed = Output(as_json=as_json)
    home, project, passphrase = require_state(stack)
    outputs = stack_outputs(home.state, project, stack, passphrase, show_secrets=show_secrets)
    if name is not None and name not in outputs:
        names = ", ".join(sorted(outputs)) or "none"
        printed.fail(f"stack {stack} has no output {name!r}; its outputs are: {names}", WRONG_USE)
    if as_json:
        fields = {"value": outputs[name]} if name is not None else {"outputs": outputs}
        printed.document({"result": "succeeded", "stack": stack, **fields})
    elif name is not None:
        click.echo(_text(outputs[name]))
    elif not outputs:
        printed.say(f"Stack {stack} has no outputs.")
    else:
        width = max(map(len, outputs))
        for key in sorted(outputs):
            printed.say(f"{key:<{width}}  {_text(outputs[key])}")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@click.command()
@options.stack
@options.as_json
def history(stack: str, *, as_json: bool) -> None:
    """List STACK's operations, the newest first."""
    printed = Output(as_json=as_json)
    home, project, _ = require_state(stack)
    updates = Backend(home.state).history(project, stack)
    table = Table(
        "when",
        "operation",
        "result",
        "changes",
        "message",
        box=None,
        header_style="bold",
        pad_edge=False,
    )
    for update in updates:
        changes = update.get("resourceChanges") or {}
        counts = ", ".join(f"{count} {op}" for op, count in changes.items() if op != "same")
        when = relative_time(datetime.fromtimestamp(update["endTime"], UTC))
        table.add_row(
            when,
            update["kind"],
            update["result"],
            counts or "none",
            escape(update.get("message") or ""),
        )
    printed.text.print(table)
    printed.document({"result": "succeeded", "stack": stack, "updates": updates})


def relative_time(moment: datetime) -> str:
    """Return a moment as people say it, such as `3 minutes ago`."""
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


@click.command()
@options.stack
@_secrets
@click.option(
    "--file", type=click.Path(dir_okay=False, path_type=Path), help="Write to a file, not stdout."
)
@options.as_json
def export(stack: str, file: Path | None, *, show_secrets: bool, as_json: bool) -> None:
    """Print STACK's state in the format of `pulumi stack export`."""
    printed = Output(as_json=as_json)
    home, project, passphrase = require_state(stack)
    document = export_stack(home.state, project, stack, passphrase, show_secrets=show_secrets)
    if file is None:
        click.echo(json.dumps(document, indent=4))
        return
    file.touch(mode=0o600)
    file.write_text(json.dumps(document, indent=4))
    count = len(document["deployment"].get("resources") or [])
    printed.say(f"{count} resources of {stack} written to {file}.")
    printed.document({"result": "succeeded", "stack": stack, "file": str(file), "resources": count})


@click.command("import")
@options.stack
@click.option("--file", type=click.File(), default="-", help="Read from a file, not stdin.")
@options.as_json
def import_(stack: str, file: IO[str], *, as_json: bool) -> None:
    """Replace STACK's state by an exported one or by a copy of its file; back up the old one.

    The next operation reads the actual resources first.
    """
    printed = Output(as_json=as_json)
    home, project = Home.of_project(), stack_files.project_name(find_project())
    stacks = {*list_stacks(home.state, project), *stack_files.stack_names(find_project())}
    if stack not in stacks:
        require_state(stack)
    try:
        document = json.loads(file.read())
    except ValueError as error:
        printed.fail(f"the import into {stack} is not JSON: {error}", WRONG_USE)
    if not isinstance(document, dict):
        printed.fail(
            f"the import into {stack} is no exported stack: a JSON object is expected", WRONG_USE
        )
    import_stack(home.state, project, stack, home.passphrase(), document)
    StackRecords(home, project, stack).restored()
    count = len(Backend(home.state).read(project, stack).get("resources") or [])
    printed.say(f"{count} resources imported into {stack}.")
    printed.document({"result": "succeeded", "stack": stack, "resources": count})


@click.command()
@options.stack
@options.as_json
def env(stack: str, *, as_json: bool) -> None:
    """Print shell exports for the AWS CLI, kubectl and pulumi."""
    printed = Output(as_json=as_json)
    session = Session.open(Home.of_project(), stack)
    variables = session.running.environment(session.home, session.file.region)
    variables |= pulumi_cli.shell(session.home, stack, session.file.path)
    # Set without a cluster too: kubectl must not use the user's current cluster.
    variables["KUBECONFIG"] = str(session.home.kubeconfig(stack))
    if stack in list_stacks(session.home.state, session.project_name):
        outputs = stack_outputs(
            session.home.state,
            session.project_name,
            stack,
            session.home.passphrase(),
            show_secrets=True,
        )
        if "kubeconfig" in outputs:
            kubeconfig.write(
                session.home, stack, outputs["kubeconfig"], variables, session.namespace()
            )
    # It would direct the commands of another clone in the same shell to this one.
    del variables["SANDBOX_HOME"]
    unset = [name for name in foreign_variables() if name not in variables]
    if as_json:
        printed.document(
            {"result": "succeeded", "stack": stack, "variables": variables, "unset": unset}
        )
        return
    for key, value in sorted(variables.items()):
        click.echo(f"export {key}={shlex.quote(value)}")
    for key in unset:
        click.echo(f"unset {key}")
