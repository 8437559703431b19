"""`inventory`, `status`, `doctor`, `stop`, `reset`: the account and the machine."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from datetime import datetime
from itertools import groupby
from typing import Any

import click
from rich.table import Table

from sandbox.cli import options
from sandbox.cli.output import FAILED, Output
from sandbox.cli.stacks import relative_time
from sandbox.engine import list_stacks
from sandbox.engine.errors import EngineError
from sandbox.engine.state.backend import Backend
from sandbox.engine.state.resource import is_default_provider
from sandbox.runtime import background, pulumi_cli
from sandbox.runtime.cluster_backends import KUBECONFIG, StackBackends
from sandbox.runtime.home import Home, find_project
from sandbox.runtime.stack_files import project_name, stack_names
from sandbox.runtime.waiting import announced


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
    scheduled = Counter((item["service"], item["type"]) for item in pending)
    for (service, kind), number in scheduled.items():
        verb = f"1 {kind} is" if number == 1 else f"{number} {kind}s are"
        output.note(f"{service}: {verb} scheduled for deletion, as in AWS (--json lists them).")
    output.document(
        {
            "result": "succeeded",
            "count": len(resources),
            "resources": resources,
            "pending": pending,
        }
    )


def _list(output: Output, resources: list[dict[str, Any]]) -> None:
    """Print a heading for each service and a line for each object: type, ID, name."""
    show_region = len({item["region"] for item in resources if item["region"]}) > 1
    for service, group in groupby(resources, key=lambda item: item["service"]):
        output.say(service, style="bold")
        items = [(item, _short_id(item["id"])) for item in group]
        type_width = max(len(item["type"]) for item, _ in items)
        id_width = max(len(id) for _, id in items)
        for item, id in items:
            name = item["name"] or item["tags"].get("Name", "")
            name = "" if name in (id, item["id"]) else name
            words = [f"{id:<{id_width}}", name, item["region"] if show_region else ""]
            text = "  ".join(word for word in words if word)
            output.line(f"  {item['type']:<{type_width}}  {text}".rstrip())


def _short_id(id: str) -> str:
    return id.rpartition(":")[2] if id.startswith("arn:") else id


@click.command()
@options.as_json
def status(as_json: bool) -> None:
    """Show the background process and the stacks."""
    output = Output(as_json=as_json)
    home, directory = Home.of_project(), find_project()
    running = background.find(home)
    cli = pulumi_cli.find()
    project = project_name(directory)
    summaries = {name: _summary(home, project, name) for name in list_stacks(home.state, project)}
    names = sorted({*summaries, *stack_names(directory)})
    if running:
        providers = ", ".join(f"{name}:{port}" for name, port in sorted(running.providers.items()))
        output.say(f"The sandbox is running (process {running.pid}).", style="bold green")
        output.say(f"  AWS endpoint  {running.account}")
        output.say(f"  Kubernetes    {running.kubernetes}")
        output.say(f"  registry      {running.registry}")
        output.say(f"  providers     {providers}")
    else:
        output.say("The sandbox is not running; commands start it when needed.", style="bold")
    output.say(f"  engine        {_engine(cli)}")
    output.say(f"  files         {home.path}")
    table = Table(
        "stack", "resources", "last change", box=None, header_style="bold", pad_edge=False
    )
    for name in names:
        summary = summaries.get(name)
        if summary is None:
            table.add_row(name, "-", "never up")
        elif "error" in summary:
            table.add_row(name, "?", "unreadable state")
            output.note(summary["error"])
        else:
            table.add_row(name, str(summary["resources"]), _when(summary["time"]))
    output.text.print(table)
    output.document(
        {
            "result": "succeeded",
            "running": running is not None,
            "process": running.model_dump() if running else None,
            "pulumi": {"version": cli.version, "covered": cli.covered} if cli else None,
            "home": str(home.path),
            "stacks": {name: summaries.get(name) for name in names},
        }
    )


def _summary(home: Home, project: str, stack: str) -> dict[str, Any]:
    try:
        deployment = Backend(home.state).read(project, stack)
    except EngineError as error:  # the other stacks are still listed
        return {"error": str(error)}
    resources = deployment.get("resources") or []
    pending = deployment.get("pending_operations") or []
    return {
        "resources": sum(not is_default_provider(item["urn"]) for item in resources),
        "time": (deployment.get("manifest") or {}).get("time", ""),
        "interrupted": [item["resource"]["urn"] for item in pending],
    }


def _when(time: str) -> str:
    try:
        return relative_time(datetime.fromisoformat(time))
    except ValueError:
        return time


def _engine(cli: pulumi_cli.PulumiCli | None) -> str:
    if cli is None:
        return "embedded (no Pulumi CLI; `make pulumi` builds one)"
    if cli.covered:
        return f"pulumi {cli.version}"
    return f"embedded (pulumi {cli.version} is not a covered version; --engine pulumi uses it)"


@click.command()
@click.argument("tools", nargs=-1)
@options.as_json
@click.option("--fix", is_flag=True, help="Run the commands that install what is missing.")
@click.option("--offer", is_flag=True, help="Ask whether to install what is missing, if anything.")
def doctor(tools: tuple[str, ...], as_json: bool, fix: bool, offer: bool) -> None:
    """Check this machine's tools, or TOOLS only, and print commands that install missing ones."""
    from sandbox.cli.prerequisites import checks  # noqa: PLC0415 - slow; only for this command

    output = Output(as_json=as_json)
    try:
        with announced("Checking the tools."):
            results = checks(tools)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if offer:
        missing = [item for item in results if item.state != "ok"]
        if not missing or not _accepts(output, missing):
            return
        fix = True
    failed: list[str] = []
    done: set[str] = set()
    # A tool that has been installed may have to be started: two rounds.
    for _ in range(2 if fix else 0):
        for command in dict.fromkeys(
            item.fix for item in results if item.state != "ok" and item.fix
        ):
            if command in done:
                continue
            done.add(command)
            output.say(f"$ {command}", style="bold")
            shell = ["bash", "-c", command]
            if subprocess.run(shell, stdout=2 if as_json else None, check=False).returncode != 0:
                failed.append(command)
        results = checks(tools)
    colors = {"ok": "green", "degraded": "yellow", "missing": "red"}
    columns = ("", "check", "result", "purpose")
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for item in results:
        table.add_row(
            f"[{colors[item.state]}]{item.state}[/]", item.name, item.result, item.purpose
        )
    output.text.print(table)
    fixes = list(dict.fromkeys(item.fix for item in results if item.state != "ok" and item.fix))
    if fixes:
        output.say("\nTo fix this (`make tools` runs it):", style="bold")
        for command in fixes:
            output.say(f"  {command}")
    output.document(
        {
            "result": "failed" if failed else "succeeded",
            "checks": [asdict(item) for item in results],
        }
    )
    if failed:
        raise SystemExit(FAILED)


def _accepts(output: Output, missing: list[Any]) -> bool:
    """Say what is missing and why it matters; ask on a terminal whether to install it."""
    for item in missing:
        output.note(f"{item.name}: {item.result} ({item.purpose}).")
    if not any(item.fix for item in missing):
        return False
    if not sys.stdin.isatty():
        output.note("`make tools` installs what is missing; this run continues without it.")
        return False
    return click.confirm("Install it now? Otherwise this run continues without it.", err=True)


@click.command()
@options.as_json
@click.option("--force", is_flag=True, help="Also while an operation is running; it fails.")
def stop(as_json: bool, force: bool) -> None:
    """End the background process; the account's contents stay on disk."""
    output = Output(as_json=as_json)
    was_running = background.stop(Home.of_project(), force=force)
    output.say("Stopped." if was_running else "Nothing was running.")
    output.document({"result": "succeeded", "stopped": was_running})


@click.command()
@options.as_json
def repair(as_json: bool) -> None:
    """Keep what is readable of a damaged account and of damaged clusters; say what is lost."""
    output = Output(as_json=as_json)
    result = background.repair(Home.of_project())
    output.say(
        f"{result['kept']} requests of the account are kept, {result['lost']} are lost, and "
        f"{result['dependent']} that depend on lost ones are removed."
    )
    for file in filter(None, [result["former"], *result["clusters"]]):
        output.say(f"The damaged file is kept: {file}")
    output.say("The next operation on a stack reads its resources first.")
    output.document({"result": "succeeded", **result})


@click.command()
@options.yes
@options.as_json
def reset(yes: bool, as_json: bool) -> None:
    """Erase account, clusters, registry and the state of every stack."""
    output = Output(as_json=as_json)
    home = Home.of_project()
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise click.UsageError("reset erases everything in the sandbox; pass --yes to confirm.")
        click.confirm(f"Erase everything in {home.path}?", abort=True, err=True)
    background.stop(home)
    for backend in StackBackends(home.kubernetes).in_use():
        if backend.kind == KUBECONFIG:
            output.note(
                f"the namespaces that stack {backend.stack} created in {backend} remain; delete "
                "them with kubectl."
            )
    home.erase()
    output.say("The account is empty, and no stack is up.")
    output.document({"result": "succeeded"})
