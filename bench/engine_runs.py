"""Generated programs on an engine: time and memory of one operation."""

from __future__ import annotations

import os
import re
import shutil
import signal
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
_PROGRAM = """\
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
    """One operation.

    seconds: of wall time; processor: seconds of the engine's own process, without the program;
    memory: the highest resident set of that process in MB; complete: it ended within its limit.
    """

    seconds: float
    processor: float
    memory: float
    complete: bool


@dataclass(frozen=True)
class GeneratedProject:
    """A program of `count` resources with its own state; `cli` is None for the embedded engine."""

    directory: Path
    port: int
    cli: str | None = None

    def write(self, count: int) -> None:
        """Write the program and an empty state."""
        self._state.mkdir(parents=True)
        (self.directory / "Pulumi.yaml").write_text("name: bench\nruntime: python\n")
        (self.directory / "Pulumi.dev.yaml").write_text("config: {}\n")
        (self.directory / "__main__.py").write_text(_PROGRAM.replace("COUNT", str(count)))
        if self.cli:
            self._execute([self.cli, "stack", "init", "dev", "--non-interactive"], 600)

    def take_over(self, other: GeneratedProject) -> None:
        """Continue the stack of another project."""
        shutil.rmtree(self._state)
        shutil.copytree(other._state, self._state)
        shutil.copy(other.directory / "Pulumi.dev.yaml", self.directory)

    def run(self, operation: str, limit: float = 3600) -> Run:
        """Run an operation for at most `limit` seconds; RuntimeError if it fails."""
        where = ["--cwd", str(self.directory), "--stack", "dev"]
        if self.cli is None:
            command = [sys.executable, "-m", "sandbox.engine", operation, *where]
        else:
            command = [self.cli, operation, *where, "--non-interactive"]
            command += [] if operation == "preview" else ["--yes", "--skip-preview"]
        command += ["--expect-no-changes"] if operation == "preview" else []
        return self._execute(command, limit)

    def _execute(self, command: list[str], limit: float) -> Run:
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
                start_new_session=True,
            )
            processor = memory = 0.0
            while process.poll() is None and time.monotonic() - started < limit:
                processor = max(processor, _processor_seconds(process.pid))
                memory = max(memory, _highest_memory(process.pid))
                time.sleep(0.02)
        seconds, complete = time.monotonic() - started, process.poll() is not None
        if not complete:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        elif process.returncode:
            raise RuntimeError(f"{' '.join(command)}: {log.read_text()[-2000:]}")
        return Run(seconds, processor, memory, complete)

    @property
    def _state(self) -> Path:
        return self.directory / "state"

    @property
    def _environment(self) -> dict[str, str]:
        inherited = {key: os.environ[key] for key in os.environ.keys() - {_NO_BYTECODE}}
        return {
            **inherited,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PULUMI_HOME": str(self.directory / "home"),
            "PULUMI_BACKEND_URL": f"file://{self._state}",
            "PULUMI_CONFIG_PASSPHRASE": "bench",
            "PULUMI_DEBUG_PROVIDERS": f"echo:{self.port}",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PYTHONPATH": str(ROOT),
        }


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:  # it has ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _highest_memory(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
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
