"""`sandbox` as a command of a build: it has the role of the build, as Pulumi has there.

Each request of its providers is allowed or denied by the policies of the project's service role.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.engine.language_host.project import load_project
from sandbox.runtime.background import DaemonError, DaemonInfo
from sandbox.runtime.environment import clean_environment
from sandbox.runtime.home import SOURCE_DIRECTORY, Home

# Set for `sandbox` in builds; the variables of the AWS CLI then have the role's credentials.
IN_BUILD = "SANDBOX_IN_BUILD"
_NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
# The pipe to their standard input closes with this process, and they exit with it.
_processes: list[subprocess.Popen[Any]] = []


def link_packages(project: Path, variables: Mapping[str, str] | None = None) -> None:
    """Give a source without a virtual environment that of this sandbox, in a build.

    The packages are those of the sandbox's lock file, not of the source's.
    """
    variables = os.environ if variables is None else variables
    if IN_BUILD in variables:
        name = load_project(project).runtime.get("virtualenv")
        if name and not (project / name).exists():
            (project / name).symlink_to(sys.prefix)


def as_role(
    running: DaemonInfo, home: Home, variables: Mapping[str, str] | None = None
) -> DaemonInfo:
    """Return the background process with providers that use the role of this build.

    Outside of builds, and in one without a role, it is returned unchanged. Raises DaemonError.
    """
    variables = os.environ if variables is None else variables
    credentials = {name: variables[name] for name in _NAMES if name in variables}
    if IN_BUILD not in variables or len(credentials) < len(_NAMES):
        return running
    acting = running.model_copy(update={"credentials": credentials})
    region = variables.get("AWS_REGION", "us-east-1")
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.providers", *sorted(running.providers)],
        cwd=SOURCE_DIRECTORY,
        env=clean_environment()
        | acting.environment(home, region)
        | {"PYTHONPATH": str(SOURCE_DIRECTORY)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    _processes.append(process)
    line = process.stdout.readline() if process.stdout else b""
    if not line:
        raise DaemonError(
            f"the providers of this build exited with code {process.wait()}; the lines above have "
            "the reason"
        )
    return acting.model_copy(update={"providers": json.loads(line)})
