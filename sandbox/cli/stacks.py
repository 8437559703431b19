"""`output`, `export`, `import`, `env`: looking into a stack, and letting other tools see what it sees."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import IO

import click

from sandbox.cli import options
from sandbox.cli.output import WRONG_USE, Output
from sandbox.engine import export_stack, import_stack, list_stacks, stack_outputs
from sandbox.runtime import kubeconfig, pulumi_cli, stack_files
from sandbox.runtime.environment import foreign_settings
from sandbox.runtime.home import PROJECT_DIRECTORY, Home
from sandbox.runtime.operations import Session

_secrets = click.option("--show-secrets", is_flag=True, help="Show secret values instead of [secret].")


def _known(stack: str) -> tuple[Home, str, str]:
    """The home, the project and the passphrase, once it is clear that the stack has ever been up."""
    home, project = Home.of_project(), stack_files.project_name(PROJECT_DIRECTORY)
    made = list_stacks(home.state, project)
    if stack not in made:
        if stack in stack_files.known_stacks(PROJECT_DIRECTORY):
            raise stack_files.UnknownStackError(
                f"stack {stack} has never been up in this sandbox; `python -m sandbox up {stack}` brings it up."
            )
        known = ", ".join(sorted({*made, *stack_files.known_stacks(PROJECT_DIRECTORY)})) or "none"
        raise stack_files.UnknownStackError(f"there is no stack {stack!r}. Stacks of this project: {known}.")
    return home, project, home.passphrase()


@click.command()
@options.stack
@click.argument("name", required=False)
@_secrets
@options.as_json
def output(stack: str, name: str | None, *, show_secrets: bool, as_json: bool) -> None:
    """Print STACK's outputs, or the one called NAME (plain, for scripts)."""
    printed = Output(as_json=as_json)
    home, project, passphrase = _known(stack)
    outputs = stack_outputs(home.state, project, stack, passphrase, show_secrets=show_secrets)
    if name is not None and name not in outputs:
        there = ", ".join(sorted(outputs)) or "none"
        printed.fail(f"stack {stack} has no output {name!r}; its outputs are: {there}", WRONG_USE)
    if as_json:
        shown = {"value": outputs[name]} if name is not None else {"outputs": outputs}
        printed.document({"result": "succeeded", "stack": stack, **shown})
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
@_secrets
@click.option("--file", type=click.Path(dir_okay=False, path_type=Path), help="Write here instead of stdout.")
@options.as_json
def export(stack: str, file: Path | None, *, show_secrets: bool, as_json: bool) -> None:
    """Print STACK's state as `pulumi stack export` does; secrets stay encrypted unless asked for."""
    printed = Output(as_json=as_json)
    home, project, passphrase = _known(stack)
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
@click.option("--file", type=click.File(), default="-", help="Read from here instead of stdin.")
@options.as_json
def import_(stack: str, file: IO[str], *, as_json: bool) -> None:
    """Put an exported state in STACK's place; the one before is kept among the backups."""
    printed = Output(as_json=as_json)
    home, project = Home.of_project(), stack_files.project_name(PROJECT_DIRECTORY)
    if stack not in {*list_stacks(home.state, project), *stack_files.known_stacks(PROJECT_DIRECTORY)}:
        _known(stack)
    try:
        document = json.loads(file.read())
    except ValueError as error:
        printed.fail(f"what should be imported into {stack} is not JSON: {error}", WRONG_USE)
    if not isinstance(document, dict):
        printed.fail(f"what should be imported into {stack} is no exported stack: a JSON object is expected", WRONG_USE)
    import_stack(home.state, project, stack, home.passphrase(), document)
    count = len(document["deployment"].get("resources") or [])
    printed.say(f"{count} resources imported into {stack}.")
    printed.document({"result": "succeeded", "stack": stack, "resources": count})


@click.command()
@options.stack
@options.as_json
def env(stack: str, *, as_json: bool) -> None:
    """Print shell exports that point the AWS CLI, kubectl and pulumi at the sandbox: eval "$(python -m sandbox env dev)"."""
    printed = Output(as_json=as_json)
    session = Session.open(Home.of_project(), stack)
    variables = session.running.environment(session.home, session.file.region)
    variables |= pulumi_cli.shell(session.home, stack, session.file.path)
    # Also while there is no cluster: kubectl must not act on the one that the user works with elsewhere.
    variables["KUBECONFIG"] = str(session.home.kubeconfig(stack))
    if stack in list_stacks(session.home.state, session.project_name):
        outputs = stack_outputs(
            session.home.state, session.project_name, stack, session.home.passphrase(), show_secrets=True
        )
        if "kubeconfig" in outputs:
            kubeconfig.write(session.home, stack, outputs["kubeconfig"], variables)
    # Of this clone alone: in a shell that goes on to another clone it would lead that one here.
    del variables["SANDBOX_HOME"]
    unset = [name for name in foreign_settings() if name not in variables]
    if as_json:
        printed.document({"result": "succeeded", "stack": stack, "variables": variables, "unset": unset})
        return
    for key, value in sorted(variables.items()):
        click.echo(f"export {key}={shlex.quote(value)}")
    for key in unset:
        click.echo(f"unset {key}")
