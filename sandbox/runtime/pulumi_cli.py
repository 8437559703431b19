"""Runs the Pulumi CLI, if it is on PATH, against the sandbox's providers and state."""

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

# Versions that the conformance tests cover; others need `--engine pulumi`.
COVERED = ((3, 259), (3, 272))

# The exit code of `--expect-no-changes`.
UNEXPECTED_CHANGES = 7

CHANGES = ("create", "update", "replace", "delete", "same")

# The CLI's operations in the sandbox's summary; reads and refreshes change nothing.
_COUNTED = {
    "create": "create",
    "import": "create",
    "update": "update",
    "replace": "replace",
    "delete": "delete",
    "same": "same",
}
# No update check: it would leave this machine.
_QUIET = {"PULUMI_SKIP_UPDATE_CHECK": "true"}


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


@dataclass(frozen=True)
class CliResult:
    """Result of one operation: the CLI's exit code, resources by operation, error messages."""

    exit_code: int
    changes: dict[str, int]
    seconds: float
    diagnostics: list[str]


def find() -> PulumiCli | None:
    """Return the CLI on PATH, or None if it or its Python language host is missing."""
    path = shutil.which("pulumi")
    if path is None or shutil.which("pulumi-language-python") is None:
        return None
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
    """Run `pulumi preview|up|refresh|destroy`; output goes to stderr, events are counted."""
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
        events = list(_events(log))
    changes = dict.fromkeys(CHANGES, 0)
    diagnostics: list[str] = []
    for event in events:
        for operation, count in (
            (event.get("summaryEvent") or {}).get("resourceChanges") or {}
        ).items():
            if operation in _COUNTED:
                changes[_COUNTED[operation]] += count
        diagnostic = event.get("diagnosticEvent") or {}
        if diagnostic.get("severity") == "error":
            diagnostics.append(
                re.sub(r"<\{%[^%]*%\}>", "", str(diagnostic.get("message", ""))).strip()
            )
    return CliResult(process.returncode, changes, time.monotonic() - started, diagnostics)


def _events(log: Path) -> Iterator[dict[str, Any]]:
    if log.is_file():
        for line in log.read_text().splitlines():
            if line.strip():
                yield json.loads(line)
