"""Drives a Pulumi CLI, where one is on PATH, against the sandbox's providers and state."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.runtime.home import Home

# The versions that the conformance tests were run with; others work on request only (`--engine pulumi`).
COVERED = ((3, 259), (3, 272))

CHANGES = ("create", "update", "replace", "delete", "same")

# How the CLI's operations count in the sandbox's summary; the others (reads, refreshes) change nothing.
_COUNTED = {
    "create": "create",
    "import": "create",
    "update": "update",
    "replace": "replace",
    "delete": "delete",
    "same": "same",
}
# No update check: nothing beyond this machine is asked.
_QUIET = {"PULUMI_SKIP_UPDATE_CHECK": "true"}


@dataclass(frozen=True)
class PulumiCli:
    """A Pulumi CLI: where it is, and its version."""

    path: str
    version: str

    @property
    def covered(self) -> bool:
        """Whether the conformance tests have seen this version."""
        match = re.match(r"v?(\d+)\.(\d+)\.", self.version)
        return match is not None and COVERED[0] <= (int(match[1]), int(match[2])) <= COVERED[1]


@dataclass(frozen=True)
class CliResult:
    """What one operation of the CLI did; `exit_code` is the CLI's own, `changes` counts resources by operation."""

    exit_code: int
    changes: dict[str, int]
    seconds: float
    diagnostics: list[str]


def find() -> PulumiCli | None:
    """The Pulumi CLI on PATH, or None; a CLI without its Python language host counts as none."""
    path = shutil.which("pulumi")
    if path is None or shutil.which("pulumi-language-python") is None:
        return None
    answer = subprocess.run(
        [path, "version"], capture_output=True, text=True, check=False, env=dict(os.environ) | _QUIET, timeout=60
    )
    return PulumiCli(path, answer.stdout.strip()) if answer.returncode == 0 else None


def shell(home: Home, stack: str, stack_file: Path) -> dict[str, str]:
    """The variables that make a plain `pulumi preview` in a shell act on a stack of the sandbox.

    It then uses the run's stack file (the CLI writes its `encryptionsalt` there, not into the project's) and a home of
    its own. What is set for `--config-file` by PULUMI_OPTION_CONFIG_FILE holds for every stack, hence PULUMI_STACK too.
    """
    return {
        "PULUMI_HOME": str(home.path / "pulumi-home"),
        "PULUMI_OPTION_CONFIG_FILE": str(stack_file),
        "PULUMI_STACK": stack,
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
    expect_no_changes: bool = False,
) -> CliResult:
    """Run `pulumi preview|up|refresh|destroy`; what it prints goes to stderr, its events become the counts."""
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
            "--event-log",
            str(log),
        ]
        command += [] if kind == "preview" else ["--yes", "--skip-preview"]
        command += ["--expect-no-changes"] if expect_no_changes else []
        for target in targets:
            command += ["--target", target]
        variables = dict(environment) | shell(home, stack, stack_file) | {"PULUMI_DEBUG_COMMANDS": "true"}
        # A session of its own, so that an interrupt reaches the CLI once, through us: a second one ends it at once.
        process = subprocess.Popen(command, cwd=project, env=variables, stdout=sys.stderr, start_new_session=True)
        while process.returncode is None:
            try:
                process.wait()
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)
        events = list(_events(log))
    changes = dict.fromkeys(CHANGES, 0)
    diagnostics: list[str] = []
    for event in events:
        for operation, count in ((event.get("summaryEvent") or {}).get("resourceChanges") or {}).items():
            if operation in _COUNTED:
                changes[_COUNTED[operation]] += count
        diagnostic = event.get("diagnosticEvent") or {}
        if diagnostic.get("severity") == "error":
            diagnostics.append(re.sub(r"<\{%[^%]*%\}>", "", str(diagnostic.get("message", ""))).strip())
    return CliResult(process.returncode, changes, time.monotonic() - started, diagnostics)


def _events(log: Path) -> Iterator[dict[str, Any]]:
    if log.is_file():
        for line in log.read_text().splitlines():
            if line.strip():
                yield json.loads(line)
