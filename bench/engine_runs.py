"""Generated programs on an engine: time and memory of one operation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from bench.processes import ROOT

# Its imports would take longer than anything else.
_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
# Components of ten resources each; a resource uses the output of the one before it.
PROGRAM = """\
import pulumi

class Thing(pulumi.CustomResource):
    text: pulumi.Output[str]
    def __init__(self, name, parent, **properties):
        options = pulumi.ResourceOptions(parent=parent)
        super().__init__("echo:index:Thing", name, properties, options)

class Group(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("bench:index:Group", name)

for number in range(COUNT):
    if number % 10 == 0:
        group, text = Group(f"group-{number}"), "first"
        continue
    tags = {"Name": f"thing-{number}", "Project": "bench", "Stack": "dev"}
    size = {"minimum": 1, "maximum": number}
    text = Thing(f"thing-{number}", group, text=text, size=size, tags=tags).text
pulumi.export("text", text if COUNT else "")
"""


@dataclass(frozen=True)
class Run:
    """Seconds and the engine's highest resident memory in MB."""

    seconds: float
    memory: float


@dataclass(frozen=True)
class GeneratedProject:
    """A program of `count` resources with its own state."""

    directory: Path
    count: int
    engine: str  # "embedded", or the path of a Pulumi CLI
    port: int

    @classmethod
    def create(cls, directory: Path, count: int, engine: str, port: int) -> GeneratedProject:
        """Write the program; create the stack with the CLI."""
        project = cls(directory, count, engine, port)
        (directory / "state").mkdir(parents=True)
        (directory / "Pulumi.yaml").write_text("name: bench\nruntime: python\n")
        (directory / "Pulumi.dev.yaml").write_text("config: {}\n")
        (directory / "__main__.py").write_text(PROGRAM.replace("COUNT", str(count)))
        if engine != "embedded":
            project._execute([engine, "stack", "init", "dev", "--non-interactive"])
        return project

    def run(self, operation: str) -> Run:
        """Run an operation; RuntimeError if it fails."""
        where = ["--cwd", str(self.directory), "--stack", "dev"]
        if self.engine == "embedded":
            return self._execute([sys.executable, "-m", "sandbox.engine", operation, *where])
        command = [self.engine, operation, *where, "--non-interactive"]
        return self._execute(
            command if operation == "preview" else [*command, "--yes", "--skip-preview"]
        )

    def _execute(self, command: list[str]) -> Run:
        log = self.directory / "log.txt"
        started = time.monotonic()
        with log.open("w") as output:
            process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            memory = 0.0
            while process.poll() is None:
                memory = max(memory, _highest_memory(process.pid))
                time.sleep(0.02)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}: {log.read_text()[-2000:]}")
        return Run(time.monotonic() - started, memory)

    @property
    def _environment(self) -> dict[str, str]:
        inherited = {key: os.environ[key] for key in os.environ.keys() - {_NO_BYTECODE}}
        return {
            **inherited,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PULUMI_HOME": str(self.directory / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.directory / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "bench",
            "PULUMI_DEBUG_PROVIDERS": f"echo:{self.port}",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PYTHONPATH": str(ROOT),
        }


def _highest_memory(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has ended
        return 0.0
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(match[1]) / 1024 if match else 0.0


@contextmanager
def echo_provider() -> Iterator[int]:
    """Run the provider; yield its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.echo_provider"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield int(cast("IO[str]", process.stdout).readline())
    finally:
        cast("IO[str]", process.stdin).close()
        process.wait(60)
