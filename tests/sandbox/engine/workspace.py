"""A Pulumi project in a temporary directory, and the engine's command line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sandbox.engine import PlainDisplay, Request, Result
from sandbox.engine.__main__ import engine
from sandbox.engine.operation import run
from sandbox.engine.request import Kind
from tests.sandbox.engine.integrity import violations

ROOT = Path(__file__).parents[3]
PRELUDE = """
import pulumi
from pulumi import ResourceOptions as Options

class Thing(pulumi.CustomResource):
    arn: pulumi.Output[str]
    token: pulumi.Output[str]
    def __init__(self, name, opts=None, **props):
        super().__init__("kit:index:Thing", name, {"arn": None, "token": None, **props}, opts)

class KitProvider(pulumi.ProviderResource):
    def __init__(self, name, opts=None, **props):
        super().__init__("kit", name, props, opts)

class Group(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__("test:index:Group", name, None, opts)
"""

PAIR = """
class Pair(pulumi.ComponentResource):
    arn: pulumi.Output[str]
    hidden: pulumi.Output[str]
    def __init__(self, name, opts=None, **props):
        super().__init__("box:index:Pair", name, {"arn": None, "hidden": None, **props}, opts, True)

first = Thing("first", colour="red")
pair = Pair("pair", colour=first.colour, EXTRA)
after = Thing("after", of=pair.arn)
follower = Thing("follower", Options(depends_on=[pair]))
pulumi.export("arn", pair.arn)
pulumi.export("hidden", pair.hidden)
""".replace("first.colour", 'first.arn.apply(lambda arn: "from " + arn)')

OTHER = """
class Other(pulumi.CustomResource):
    arn: pulumi.Output[str]
    def __init__(self, name, opts=None, **props):
        super().__init__("other:index:Thing", name, {"arn": None, **props}, opts)
"""
TWO_PACKAGES = (
    OTHER
    + """
a = Other("a", v=1)
b = Thing("b", of=a.arn, v=1)
"""
)

# A transform that records the order of calls.
MARKED = """
from pulumi import InvokeTransformResult, ResourceTransformResult as Result
def marked(word):
    def transform(args):
        if args.type_ == "kit:index:Thing":
            return Result({**args.props, "marks": [*(args.props.get("marks") or []), word]}, args.opts)
    return transform
"""

# A stack with outputs, and another project's stack that reads them.
GIVING = """
a = Thing("a")
pulumi.export("plain", {"list": [1, a.arn]})
pulumi.export("hidden", a.token)
pulumi.export("deep", {"in": a.token})
"""
TAKING = """
other = pulumi.StackReference("organization/demo/dev")
again = pulumi.StackReference("again", stack_name="organization/demo/dev")
t = Thing("t", plain=other.get_output("plain"), hidden=other.require_output("hidden"), deep=again.outputs["deep"])
pulumi.export("plain", other.get_output("plain"))
pulumi.export("hidden", other.get_output("hidden"))
pulumi.export("names", other.secret_output_names)
"""


class Workspace:
    """A project with one stack, `dev`."""

    def __init__(self, folder: Path, port: int, project: str = "demo") -> None:
        self.project, self.port = project, port
        self.others = ""  # further providers: ",name:port"
        self.folder, self.backend = folder / "program", folder / "state"
        self.folder.mkdir()
        self.backend.mkdir()
        self.yaml("Pulumi.yaml", f"name: {project}\nruntime: python\n")
        self.yaml("Pulumi.dev.yaml", "config: {}\n")

    def yaml(self, name: str, text: str) -> None:
        """Write a file of the project."""
        (self.folder / name).write_text(text)

    def program(self, text: str) -> None:
        """Replace the program; `Thing`, `Group`, `KitProvider` and `Options` are defined."""
        (self.folder / "__main__.py").write_text(PRELUDE + textwrap.dedent(text))

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of an engine or the CLI."""
        return {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PULUMI_BACKEND_URL": f"file://{self.backend}",
            "PULUMI_CONFIG_PASSPHRASE": "correct horse",
            "PULUMI_DEBUG_PROVIDERS": f"kit:{self.port}{self.others}",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PYTHONPATH": str(ROOT),
            "NO_COLOR": "1",
        }

    def command(self, operation: str, *arguments: str) -> list[str]:
        """Return the engine's command line."""
        return [
            sys.executable,
            "-m",
            "sandbox.engine",
            operation,
            "--cwd",
            str(self.folder),
            "--stack",
            "dev",
            *arguments,
        ]

    def run(
        self, operation: str, *arguments: str, expect: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run the engine and check its exit code."""
        done = subprocess.run(
            self.command(operation, *arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        self.check_integrity()
        return done

    def perform(self, kind: Kind, **options: Any) -> Result:
        """Run an operation with options of `Request` that the command line lacks."""
        request = Request(
            kind=kind,
            directory=self.folder,
            stack="dev",
            backend=self.backend,
            passphrase="correct horse",
            providers={"kit": self.port},
            environment=self.environment,
            **options,
        )
        return run(request, PlainDisplay(io.StringIO()))

    def json(self, operation: str, *arguments: str, expect: int = 0) -> dict[str, Any]:
        """Run the engine with --json in this process; return the document."""
        command = [operation, "--cwd", str(self.folder), "--stack", "dev", "--json", *arguments]
        with CliRunner(env=self.environment).isolation() as (out, err, _):
            with pytest.raises(SystemExit) as ending:
                engine(command)
            stdout, stderr = out.getvalue().decode(), err.getvalue().decode()
        assert ending.value.code == expect, f"exit {ending.value.code}\n{stdout}\n{stderr}"
        assert "sandbox/engine" not in stderr, stderr  # no frame of the engine is ever shown
        self.check_integrity()
        document: dict[str, Any] = json.loads(stdout)
        return document

    def changes(self, operation: str, *arguments: str, expect: int = 0) -> dict[str, int]:
        """Run the engine; return the nonzero counts without `same`."""
        counts = self.json(operation, *arguments, expect=expect)["changes"]
        return {key: value for key, value in counts.items() if value and key != "same"}

    @property
    def state_file(self) -> Path:
        """Return the stack's checkpoint."""
        return self.backend / ".pulumi" / "stacks" / self.project / "dev.json"

    def state(self) -> dict[str, Any]:
        """Return the stack's deployment."""
        result: dict[str, Any] = json.loads(self.state_file.read_text())["checkpoint"].get(
            "latest", {}
        )
        return result

    def check_integrity(self) -> None:
        """Check that either engine can read the state."""
        if self.state_file.exists():
            assert violations(self.state().get("resources", [])) == []

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return the state's resources by name (the last of duplicates)."""
        return {item["urn"].rsplit("::", 1)[-1]: item for item in self.state().get("resources", [])}

    def urn(self, name: str) -> str:
        """Return the URN of a resource."""
        return str(self.resources()[name]["urn"])


def beside(workspace: Workspace, folder: Path) -> Workspace:
    """Return another project, `user`, in the same backend."""
    (folder / "user").mkdir()
    user = Workspace(folder / "user", workspace.port, "user")
    user.backend.rmdir()
    user.backend = workspace.backend
    return user


def steps(document: dict[str, Any]) -> dict[str, str]:
    """Return the operation of each resource, by name."""
    return {item["urn"].rsplit("::", 1)[-1]: item["op"] for item in document["steps"]}


def messages(document: dict[str, Any], severity: str = "error") -> str:
    """Return all messages as one text."""
    result: Sequence[dict[str, str]] = document["diagnostics"]
    return "\n".join(
        f"{item['urn']}: {item['message']}" for item in result if item["severity"] == severity
    )


def wait_until_said(process: subprocess.Popen[str], text: str) -> None:
    """Read an engine's stderr up to the line with this text."""
    assert process.stderr is not None
    said = ""
    while text not in " ".join(said.split()):
        line = process.stderr.readline()
        assert line, f"it ended without saying {text!r}:\n{said}"
        said += line


def counted(out: str) -> dict[str, int]:
    """Return the counts of the CLI's `--json` without `same`; an import is a create."""
    summary: dict[str, Any] = {}
    try:
        summary = json.loads(out)["changeSummary"]
    except (ValueError, KeyError):
        for line in out.splitlines():
            if line.startswith("{") and "summaryEvent" in line:
                summary = json.loads(line)["summaryEvent"]["resourceChanges"]
    summary["create"] = summary.get("create", 0) + summary.pop("import", 0)
    return {
        key: summary[key] for key in ("create", "update", "replace", "delete") if summary.get(key)
    }
