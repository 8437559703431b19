"""`config get|set|rm|ls`: the project's stack files, as `pulumi config` edits them."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from sandbox.cli import options
from sandbox.cli.output import Output
from sandbox.runtime.home import Home, find_project
from sandbox.runtime.stack_config import StackConfig, ValueType
from sandbox.runtime.stack_files import (
    UnknownStackError,
    config_passphrase,
    project_name,
    stack_names,
)

_stack = click.option(
    "--stack",
    "-s",
    required=True,
    shell_complete=options.complete_stack,
    help="The stack whose file is used.",
)
_path = click.option("--path", is_flag=True, help="KEY is a path, such as network.zones.")
_key = click.argument("key")


def _open(stack: str) -> StackConfig:
    project = find_project()
    file = project / f"Pulumi.{stack}.yaml"
    if not file.is_file():
        stacks = ", ".join(stack_names(project)) or "none"
        raise UnknownStackError(
            f"there is no stack {stack!r}: {file.name} does not exist. Stacks of this project: "
            f"{stacks}."
        )
    return StackConfig(file, project_name(project), config_passphrase(Home.of_project()))


@click.group()
def config() -> None:
    """Read and edit the project's stack files, as `pulumi config` does."""


@config.command("get")
@_key
@_stack
@_path
@options.as_json
def get_(key: str, stack: str, *, path: bool, as_json: bool) -> None:
    """Print the value of KEY; a secret is decrypted."""
    printed, opened = Output(as_json=as_json), _open(stack)
    steps = opened.steps(key, path=path)
    try:
        value, is_secret = opened.get(steps)
    except KeyError:
        printed.fail(f"{opened.file.name} does not set {key}; `config ls` lists its keys.")
    if as_json:
        printed.document({"value": _text(value), "secret": is_secret})
    else:
        click.echo(_text(value))


@config.command("set")
@_key
@click.argument("value", required=False)
@_stack
@_path
@click.option("--secret", is_flag=True, help="Encrypt the value.")
@click.option("--plaintext", is_flag=True, help="Do not encrypt the value.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(["string", "bool", "int", "float"]),
    help="Type of the value, with --path.",
)
def set_(
    key: str,
    value: str | None,
    stack: str,
    *,
    path: bool,
    secret: bool,
    plaintext: bool,
    kind: ValueType | None,
) -> None:
    """Set KEY to VALUE.

    Without VALUE, it is read from standard input, or asked for on a terminal: a secret then appears
    neither in the shell's history nor in the process list.
    """
    if secret and plaintext:
        raise click.UsageError("--secret and --plaintext exclude each other.")
    opened = _open(stack)
    steps = opened.steps(key, path=path)
    if value is None:
        value = _read(key, secret=secret)
    opened.set(steps, value, secret=secret, kind=kind)
    opened.save()


def _read(key: str, *, secret: bool) -> str:
    if sys.stdin.isatty():
        value: str = click.prompt(f"Value of {key}", hide_input=secret, err=True)
        return value
    return sys.stdin.read().removesuffix("\n")


@config.command("rm")
@_key
@_stack
@_path
def remove(key: str, stack: str, *, path: bool) -> None:
    """Remove KEY."""
    opened = _open(stack)
    if opened.remove(opened.steps(key, path=path)):
        opened.save()


@config.command("ls")
@_stack
@click.option("--show-secrets", is_flag=True, help="Show secret values.")
@options.as_json
def list_(stack: str, *, show_secrets: bool, as_json: bool) -> None:
    """List keys and values; a secret value is masked."""
    printed, opened = Output(as_json=as_json), _open(stack)
    rows: list[tuple[str, str]] = []
    document: dict[str, Any] = {}
    prefix = f"{project_name(find_project())}:"
    for key in opened.full_keys():
        value, is_secret = opened.get([key], show_secrets=show_secrets)
        hidden = is_secret and not show_secrets
        text = "[secret]" if hidden else _text(value)
        rows.append((key.removeprefix(prefix), text))
        entry: dict[str, Any] = {} if hidden else {"value": text}
        if not hidden and isinstance(value, dict | list):
            entry["objectValue"] = value
        document[key] = {**entry, "secret": is_secret}
    width = max((len(key) for key, _ in rows), default=0)
    for key, text in rows:
        printed.say(f"{key:<{width}}  {text}")
    printed.document(document)


def _text(value: Any) -> str:
    """Return a value as Pulumi prints it: text, or compact JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
