"""`diff A B`: settings and resources of two stacks."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import click
from rich.markup import escape
from rich.table import Table

from sandbox.cli import options
from sandbox.cli.output import Output
from sandbox.engine import PlainDisplay
from sandbox.engine.state.resource import is_provider, urn_name, urn_type
from sandbox.runtime import stack_files
from sandbox.runtime.home import Home, find_project
from sandbox.runtime.operations import operate
from sandbox.runtime.session import Session
from sandbox.runtime.waiting import announced

ABSENT = ""


class Difference(NamedTuple):
    """A setting by its path, and its text in both stacks; `ABSENT` where it is not set."""

    path: str
    first: str
    second: str


@click.command("diff")
@click.argument("first", shell_complete=options.complete_stack)
@click.argument("second", shell_complete=options.complete_stack)
@click.option("--settings", "only_settings", is_flag=True, help="Compare the settings only.")
@options.as_json
def diff(first: str, second: str, *, only_settings: bool, as_json: bool) -> None:
    """Compare the settings of two stacks, and the resources that the program declares for them."""
    output = Output(as_json=as_json)
    settings = list(compare_settings(first, second))
    table = _table("setting", first, second)
    for item in settings:
        table.add_row(*map(escape, item))
    output.text.print(table if settings else "The settings are the same.")
    document: dict[str, Any] = {
        "result": "succeeded",
        "stacks": [first, second],
        "settings": [item._asdict() for item in settings],
    }
    if not only_settings:
        declared = {stack: _declared(stack, output) for stack in (first, second)}
        document["resources"] = _print_resources(declared, output)
    output.document(document)


def compare_settings(first: str, second: str) -> Iterator[Difference]:
    """Return the settings whose values differ, by path; secrets are masked."""
    project = find_project()
    prefix = f"{stack_files.project_name(project)}:"
    one, other = (dict(_flat(_configuration(stack), prefix)) for stack in (first, second))
    for path in sorted({*one, *other}):
        if one.get(path, ABSENT) != other.get(path, ABSENT):
            yield Difference(path, one.get(path, ABSENT), other.get(path, ABSENT))


def _configuration(stack: str) -> dict[str, Any]:
    project = find_project()
    if stack not in stack_files.stack_names(project):
        stacks = ", ".join(stack_files.stack_names(project)) or "none"
        raise stack_files.UnknownStackError(
            f"there is no stack {stack!r}. Stacks of this project: {stacks}."
        )
    return dict(stack_files.load_mapping(project / f"Pulumi.{stack}.yaml").get("config") or {})


def _flat(value: dict[str, Any], prefix: str, path: str = "") -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        name = f"{path}.{key}" if path else str(key).removeprefix(prefix)
        if isinstance(item, dict) and set(item) == {"secure"}:
            yield name, "[secret]"
        elif isinstance(item, dict):
            yield from _flat(item, prefix, name)
        else:
            yield name, item if isinstance(item, str) else json.dumps(item)


def _declared(stack: str, output: Output) -> set[tuple[str, str]]:
    """Return type and name of the resources that the program declares, by a preview."""
    home = Home.of_project()
    with home.active(f"diff {stack}"):
        session = Session.open(home, stack, check=True)
        with announced(f"Running the program for {stack}."):
            result = operate(session, "preview", None, lambda: PlainDisplay(io.StringIO()))
    if result.exit_code != 0:
        reasons = "; ".join(item.message for item in result.diagnostics if item.severity == "error")
        output.fail(f"the preview of {stack} failed: {reasons}")
    return {
        (urn_type(step.urn), urn_name(step.urn))
        for step in result.steps
        if step.op != "delete" and not is_provider(urn_type(step.urn))
    }


def _print_resources(
    declared: dict[str, set[tuple[str, str]]], output: Output
) -> dict[str, list[dict[str, str]]]:
    """Print the resources that only one stack has, one line for each type."""
    (first, one), (second, other) = declared.items()
    # The stack's own resource has its name.
    common = len(one & other) + 1
    only = {first: one - other, second: other - one}
    only = {
        stack: {item for item in resources if item[0] != "pulumi:pulumi:Stack"}
        for stack, resources in only.items()
    }
    output.say("")
    output.say(
        f"Resources: {common} in both, {len(only[first])} in {first} only, "
        f"{len(only[second])} in {second} only"
    )
    if any(only.values()):
        table = _table("type", first, second)
        for kind in sorted({kind for resources in only.values() for kind, _ in resources}):
            names = (
                escape("\n".join(sorted(name for of_kind, name in resources if of_kind == kind)))
                for resources in only.values()
            )
            table.add_row(kind, *names)
        output.text.print(table)
    return {
        stack: [{"type": kind, "name": name} for kind, name in sorted(resources)]
        for stack, resources in only.items()
    }


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for position, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=position == 0)
    return table
