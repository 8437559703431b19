"""`new STACK`: write the stack file of another environment."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import IO, Any

import click

from sandbox.cli import options
from sandbox.cli.output import WRONG_USE, Output
from sandbox.cli.vpc_description import NoVpcError, describe_vpc
from sandbox.engine.language_host.project import interpreter, load_project
from sandbox.runtime.environment import clean_environment
from sandbox.runtime.home import find_project

SECONDS = 60.0


@click.command()
@click.argument("stack")
@click.option(
    "--like",
    "template",
    default="dev",
    show_default=True,
    shell_complete=options.complete_stack,
    metavar="STACK",
    help="The stack whose settings are copied.",
)
@click.option(
    "--from-eksctl",
    "eksctl",
    type=click.File(),
    metavar="FILE",
    help="Take what it decides from an eksctl ClusterConfig; - is standard input.",
)
@click.option(
    "--from-vpc",
    "vpc",
    metavar="ID",
    help="Take network, zones, NAT and endpoints from an existing VPC.",
)
@click.option("--region", help="The region of --from-vpc.")
@click.option("--aws", is_flag=True, help="Read the VPC of your account, not the sandbox's.")
@options.as_json
def new(
    stack: str,
    template: str,
    eksctl: IO[str] | None,
    vpc: str | None,
    region: str | None,
    *,
    aws: bool,
    as_json: bool,
) -> None:
    """Write the stack file of a new environment STACK, with a network of its own."""
    output, project = Output(as_json=as_json), find_project()
    file = project / f"Pulumi.{stack}.yaml"
    if file.exists():
        output.fail(f"{file.name} exists; choose another name, or edit it.", WRONG_USE)
    if eksctl is not None and vpc is not None:
        output.fail("choose one of --from-eksctl and --from-vpc.", WRONG_USE)
    try:
        description = describe_vpc(vpc, region, on_aws=aws) if vpc is not None else None
    except NoVpcError as error:
        output.fail(f"{file.name} was not written: {error}")
    request = {
        "vpc": description,
        "stack": stack,
        "template": template,
        "eksctl": eksctl.read() if eksctl is not None else None,
    }
    response = _ask(project, request, output)
    if "error" in response:
        output.fail(f"{file.name} was not written: {response['error']}", WRONG_USE)
    with file.open("x", encoding="utf-8") as target:
        target.write(response["text"])
    output.say(f"Wrote {file.name}.")
    for note in response["notes"]:
        output.say(f"  - {note}")
    output.say(f"Next: `sandbox diff {template} {stack}`, then `sandbox up {stack}`.")
    output.document({"result": "succeeded", "file": str(file), "notes": response["notes"]})


def _ask(project: Path, request: dict[str, Any], output: Output) -> dict[str, Any]:
    """Run the module that the project names for this."""
    try:
        document = tomllib.loads((project / "pyproject.toml").read_text())
    except (OSError, ValueError):
        document = {}
    module = document.get("tool", {}).get("sandbox", {}).get("new-stack")
    if not module:
        output.fail(
            "the project's pyproject.toml names no module that writes stack files ([tool.sandbox] "
            "new-stack); copy an existing stack file instead."
        )
    ran = subprocess.run(
        [str(interpreter(load_project(project))), "-m", module],
        cwd=project,
        env=clean_environment(),
        input=json.dumps(request, default=str),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if ran.returncode != 0:
        reason = ran.stderr.strip().splitlines()[-1:] or ["it printed nothing"]
        output.fail(f"python -m {module} failed: {reason[0]}")
    response: dict[str, Any] = json.loads(ran.stdout)
    return response
