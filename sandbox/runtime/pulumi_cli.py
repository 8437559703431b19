"""Finds the Pulumi CLI and runs it against the sandbox's providers and state."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.engine import Diagnostic, Step
from sandbox.runtime import cli_events, pulumi_build
from sandbox.runtime.home import Home

# Versions that the conformance tests cover; others need `--engine pulumi`.
COVERED = ((3, 259), (3, 274))

# The exit code of `--expect-no-changes`.
UNEXPECTED_CHANGES = 7

# Neither an update check nor a download of plugins: both would leave this machine.
_QUIET = {
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
}


@dataclass(frozen=True)
class PulumiCli:
    """A Pulumi CLI: path and version."""

    path: str
    version: str

    @property
    def covered(self) -> bool:
        """Whether the conformance tests cover this version."""
        match = re.match(r"v?(\d+)\.(\d+)\.", self.version)
        return match is not None and COVERED[0] <= (int(match[1]), int(match[2])) <= COVERED[1]


@dataclass(frozen=True, kw_only=True)
class CliResult:
    """Result of one operation: exit code, resources by operation, steps, errors and warnings."""

    exit_code: int
    changes: dict[str, int]
    seconds: float
    steps: list[Step]
    diagnostics: list[Diagnostic]


def find() -> PulumiCli | None:
    """Return the CLI on PATH, else the one that `make pulumi` built, or None.

    One without a Python language host, on PATH or beside it, cannot run the program.
    """
    return _on_path() or _built()


def _on_path() -> PulumiCli | None:
    path = shutil.which("pulumi")
    if path is None:
        return None
    beside = Path(path).resolve().with_name(pulumi_build.LANGUAGE_HOST)
    if shutil.which(pulumi_build.LANGUAGE_HOST) is None and not os.access(beside, os.X_OK):
        return None
    return _with_version(path)


def _built() -> PulumiCli | None:
    path = pulumi_build.built()
    return _with_version(str(path)) if path else None


def _with_version(path: str) -> PulumiCli | None:
    version = subprocess.run(
        [path, "version"],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ) | _QUIET,
        timeout=60,
    )
    return PulumiCli(path, version.stdout.strip()) if version.returncode == 0 else None


def shell(home: Home, stack: str, stack_file: Path) -> dict[str, str]:
    """Return the variables that direct a plain `pulumi preview` to a stack of the sandbox.

    The CLI uses the run's stack file, where it writes `encryptionsalt`, and its own PULUMI_HOME.
    PULUMI_OPTION_CONFIG_FILE applies to every stack, so PULUMI_STACK is set too.
    """
    return {
        "PULUMI_HOME": str(home.path / "pulumi-home"),
        "PULUMI_OPTION_CONFIG_FILE": str(stack_file),
        "PULUMI_STACK": stack,
        pulumi_build.PYTHON_VARIABLE: sys.executable,
        **_QUIET,
    }


def run(
    cli: PulumiCli,
    kind: str,
    *,
    home: Home,
    project: Path,
    stack: str,
    stack_file: Path,
    environment: Mapping[str, str],
    targets: Sequence[str] = (),
    target_dependents: bool = False,
    expect_no_changes: bool = False,
    parallel: int = 32,
) -> CliResult:
    """Run `pulumi preview|up|refresh|destroy`; output goes to stderr."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="events-", dir=home.path) as folder:
        log = Path(folder) / "events.json"
        command = [
            cli.path,
            kind,
            "--stack",
            stack,
            "--config-file",
            str(stack_file),
            "--non-interactive",
            "--parallel",
            str(parallel),
            "--event-log",
            str(log),
        ]
        command += [] if kind == "preview" else ["--yes", "--skip-preview"]
        command += ["--expect-no-changes"] if expect_no_changes else []
        for target in targets:
            command += ["--target", target]
        command += ["--target-dependents"] if target_dependents else []
        variables = (
            dict(environment) | shell(home, stack, stack_file) | {"PULUMI_DEBUG_COMMANDS": "true"}
        )
        # In its own session it gets an interrupt once, from this process; a second one kills it.
        process = subprocess.Popen(
            command, cwd=project, env=variables, stdout=sys.stderr, start_new_session=True
        )
        while process.returncode is None:
            try:
                process.wait()
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)
        events = list(cli_events.read(log))
    return CliResult(
        exit_code=process.returncode,
        changes=cli_events.changes(events),
        seconds=time.monotonic() - started,
        steps=cli_events.steps(events, preview=kind == "preview"),
        diagnostics=cli_events.diagnostics(events),
    )
