"""`inventory`, `status`, `doctor`, `stop`, `reset`: the account and the machine rather than one stack."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from itertools import groupby
from typing import Any

import click
from rich.table import Table

from sandbox.cli import options
from sandbox.cli.output import FAILED, Output
from sandbox.engine import list_stacks
from sandbox.engine.errors import EngineError
from sandbox.engine.state.backend import Backend
from sandbox.runtime import background, pulumi_cli
from sandbox.runtime.home import PROJECT_DIRECTORY, Home
from sandbox.runtime.stack_files import known_stacks, project_name


@click.command()
@options.as_json
def inventory(as_json: bool) -> None:
    """List everything that the emulated account holds."""
    output = Output(as_json=as_json)
    contents = background.inventory(background.ensure_running(Home.of_project()))
    resources, pending = contents["items"], contents["pending"]
    if not resources:
        output.say("The account is empty.")
    else:
        _list(output, resources)
        regions = sorted({item["region"] for item in resources if item["region"]})
        count = "1 resource" if len(resources) == 1 else f"{len(resources)} resources"
        output.say(f"{count} in {', '.join(regions)}" if regions else count, style="bold")
    for (service, kind), number in Counter((item["service"], item["type"]) for item in pending).items():
        waiting = f"1 {kind} waits for its" if number == 1 else f"{number} {kind}s wait for their"
        output.note(f"{service}: {waiting} deletion date, as in AWS (--json lists what is pending).")
    output.document({"result": "succeeded", "count": len(resources), "resources": resources, "pending": pending})


def _list(output: Output, resources: list[dict[str, Any]]) -> None:
    """A heading for each service, a line for each object: type, id, and what people call it, cut where a terminal ends."""
    several = len({item["region"] for item in resources if item["region"]}) > 1
    for service, group in groupby(resources, key=lambda item: item["service"]):
        output.say(service, style="bold")
        items = [
            (item, item["id"].rpartition(":")[2] if item["id"].startswith("arn:") else item["id"]) for item in group
        ]
        kinds, ids = max(len(item["type"]) for item, _ in items), max(len(id) for _, id in items)
        for item, id in items:
            name = item["name"] or item["tags"].get("Name", "")
            words = [f"{id:<{ids}}", "" if name in (id, item["id"]) else name, item["region"] if several else ""]
            output.line(f"  {item['type']:<{kinds}}  {'  '.join(word for word in words if word)}".rstrip())


@click.command()
@options.as_json
def status(as_json: bool) -> None:
    """Show what runs in the background, and which stacks are up."""
    output = Output(as_json=as_json)
    home = Home.of_project()
    running = background.find(home)
    cli = pulumi_cli.find()
    project = project_name(PROJECT_DIRECTORY)
    stacks = {name: _summary(home, project, name) for name in list_stacks(home.state, project)}
    document = {
        "result": "succeeded",
        "running": running is not None,
        "process": running.model_dump() if running else None,
        "pulumi": {"version": cli.version, "covered": cli.covered} if cli else None,
        "home": str(home.path),
        "stacks": {name: stacks.get(name) for name in sorted({*stacks, *known_stacks(PROJECT_DIRECTORY)})},
    }
    if running:
        output.say(f"The sandbox runs (process {running.pid}).", style="bold green")
        output.say(f"  AWS endpoint  {running.account}")
        output.say(f"  Kubernetes    {running.kubernetes}")
        output.say(f"  registry      {running.registry}")
        output.say(f"  providers     {', '.join(f'{name}:{port}' for name, port in sorted(running.providers.items()))}")
    else:
        output.say("The sandbox doesn't run; the next command that needs it starts it.", style="bold")
    output.say(f"  engine        {_engine(cli)}")
    output.say(f"  files         {home.path}")
    table = Table("stack", "resources", "last change", box=None, header_style="bold", pad_edge=False)
    for name in sorted({*stacks, *known_stacks(PROJECT_DIRECTORY)}):
        summary = stacks.get(name)
        if summary is None:
            table.add_row(name, "-", "never up")
        elif "trouble" in summary:
            table.add_row(name, "?", "its state can't be read")
            output.note(summary["trouble"])
        else:
            table.add_row(name, str(summary["resources"]), str(summary["time"]))
    output.people.print(table)
    output.document(document)


def _summary(home: Home, project: str, stack: str) -> dict[str, Any]:
    try:
        deployment = Backend(home.state).read(project, stack)
    except EngineError as error:  # one stack's trouble must not hide the others
        return {"trouble": str(error)}
    return {
        "resources": len(deployment.get("resources") or []),
        "time": (deployment.get("manifest") or {}).get("time", ""),
        "interrupted": [item["resource"]["urn"] for item in deployment.get("pending_operations") or []],
    }


def _engine(cli: pulumi_cli.PulumiCli | None) -> str:
    if cli is None:
        return "embedded (no Pulumi CLI on PATH)"
    return (
        f"pulumi {cli.version}"
        if cli.covered
        else f"embedded (pulumi {cli.version} is not among the covered versions; --engine pulumi takes it)"
    )


@click.command()
@options.as_json
@click.option("--fix", is_flag=True, help="Run the commands that install what is missing.")
def doctor(as_json: bool, fix: bool) -> None:
    """Tell what this machine has, what it lacks, what that means, and the command that mends it."""
    from sandbox.cli.prerequisites import checks  # noqa: PLC0415 - it looks at the machine; only this command needs it

    output = Output(as_json=as_json)
    found = checks()
    failed: list[str] = []
    if fix:
        for command in dict.fromkeys(check.fix for check in found if check.state != "ok" and check.fix):
            output.say(f"$ {command}", style="bold")
            if subprocess.run(["bash", "-c", command], stdout=2 if as_json else None, check=False).returncode != 0:
                failed.append(command)
        found = checks()
    colours = {"ok": "green", "degraded": "yellow", "missing": "red"}
    table = Table("", "check", "found", "why it matters", box=None, header_style="bold", pad_edge=False)
    for check in found:
        table.add_row(f"[{colours[check.state]}]{check.state}[/]", check.name, check.found, check.why)
    output.people.print(table)
    mending = list(dict.fromkeys(check.fix for check in found if check.state != "ok" and check.fix))
    if mending:
        output.say("\nWhat mends this (`make tools` runs it):", style="bold")
        for command in mending:
            output.say(f"  {command}")
    output.document(
        {
            "result": "failed" if failed else "succeeded",
            "checks": [asdict(check) for check in found],
        }
    )
    if failed:
        raise SystemExit(FAILED)


@click.command()
@options.as_json
@click.option("--force", is_flag=True, help="Also while an operation is at work; it fails, and its next run goes on.")
def stop(as_json: bool, force: bool) -> None:
    """End the background process. What the account holds stays on disk and is there again at the next start."""
    output = Output(as_json=as_json)
    there = background.stop(Home.of_project(), force=force)
    output.say("Stopped." if there else "Nothing was running.")
    output.document({"result": "succeeded", "stopped": there})


@click.command()
@options.yes
@options.as_json
def reset(yes: bool, as_json: bool) -> None:
    """Forget what the account, the clusters and the registry hold, and every stack's state with them."""
    output = Output(as_json=as_json)
    home = Home.of_project()
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise click.UsageError("reset forgets everything that the sandbox holds; --yes says that this is meant.")
        click.confirm(f"Forget everything that the sandbox in {home.path} holds?", abort=True, err=True)
    background.stop(home)
    home.forget()
    output.say("The account is empty, and no stack is up.")
    output.document({"result": "succeeded"})
