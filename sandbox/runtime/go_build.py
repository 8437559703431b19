"""Builds programs of a Go module in the repository, with progress, into the user's cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path

_PROGRESS_SECONDS = 15


class BuildError(Exception):
    """A program cannot be built; the message names the remedy."""


@dataclass(frozen=True, kw_only=True)
class GoModule:
    """A directory with go.mod and go.sum; `product` names its programs in messages.

    `alternative` completes the remedy "Install Go" for a machine without Go.
    """

    directory: Path
    product: str
    alternative: str = ""

    def required_version(self, module: str) -> str:
        """Return the version of a module that go.mod pins, such as `v3.274.1`."""
        pattern = rf"^(?:require)?\s*{re.escape(module)} (v\S+)$"
        match = re.search(pattern, (self.directory / "go.mod").read_text(), re.MULTILINE)
        if match is None:
            path = self.directory / "go.mod"
            raise BuildError(f"{path} does not require {module}; restore the file.")
        return match[1]

    def build(
        self,
        packages: Sequence[str],
        output: Path,
        *,
        linker_flags: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Compile packages to `output`: a file, or an existing directory for several programs."""
        command = [self.command(), "build", "-v", "-mod=readonly", "-buildvcs=false", "-trimpath"]
        command += ["-ldflags", f"-s -w {linker_flags}", "-o", str(output), *packages]
        started = reported = time.monotonic()
        compiled, lines = 0, list[str]()
        with subprocess.Popen(
            command,
            cwd=self.directory,
            env={**os.environ, **(environment or {})},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        ) as process:
            for line in process.stderr or ():
                lines.append(line.rstrip())
                compiled += not line.startswith(("go:", "#", "\t"))
                if time.monotonic() - reported > _PROGRESS_SECONDS:
                    reported = time.monotonic()
                    say(f"  {reported - started:.0f} s, {compiled} packages compiled: {lines[-1]}")
        if process.returncode != 0:
            raise BuildError("`go build` failed; its last lines are:\n" + "\n".join(lines[-10:]))

    def command(self) -> str:
        """Return the Go command; BuildError if it is missing or too old."""
        required = re.search(r"^go (\S+)$", (self.directory / "go.mod").read_text(), re.MULTILINE)
        needs = f"Building {self.product} needs Go {required[1] if required else ''} or newer"
        go = shutil.which("go")
        if go is None:
            raise BuildError(f"{needs}, and `go` is not on PATH. Install Go{self.alternative}.")
        # In the module's directory, Go selects the toolchain that go.mod requires, or fails.
        probe = subprocess.run(
            [go, "version"], cwd=self.directory, capture_output=True, text=True, check=False
        )
        if probe.returncode != 0:
            reason = (probe.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise BuildError(
                f"{needs}; {go} fails: {reason}. Install a newer Go, or set GOTOOLCHAIN=auto."
            )
        return go


def cache_directory(name: str) -> Path:
    """Return the directory of a product in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "platform-sandbox" / name


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Create a directory and exclude other builds in it."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


def say(text: str) -> None:
    """Print progress."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
