"""The `docker` command of builds.

`buildx`, `login` and `logout` are the sandbox's in any case: its builder replaces unreachable base
images and needs no BuildKit image. Everything else is docker's own command where an engine
answers; without one, build, tag, push, pull, images and rmi are emulated.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

_ENGINE_SECONDS = 20
_ALWAYS_EMULATED = ("buildx", "login", "logout")
_ECR_HOST = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?=/|\Z|:)")


def main() -> None:
    """Run a command; an error is one line and exit code 1."""
    registry = os.environ.get("SANDBOX_REGISTRY", "")
    # The host name of the emulated account's ECR means the sandbox's registry.
    arguments = [_ECR_HOST.sub(registry, text) if registry else text for text in sys.argv[1:]]
    program = _engine()
    verb = arguments[0] if arguments else "help"
    if program is not None and verb not in _ALWAYS_EMULATED:
        os.execv(program, [program, *arguments])  # noqa: S606 - docker's own command
    sys.exit(_emulate(program, verb, arguments[1:]))


def _emulate(program: str | None, verb: str, arguments: list[str]) -> int:
    from sandbox.builds.docker_emulation import DockerEmulation  # noqa: PLC0415 - takes a second
    from sandbox.images.build_request import BuildError  # noqa: PLC0415

    try:
        return DockerEmulation(program).run(verb, arguments)
    except BuildError as error:
        sys.stderr.write(f"ERROR: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _engine() -> str | None:
    """Return docker's own command if its engine answers."""
    own = Path(os.environ["SANDBOX_TOOLS"])
    path = os.pathsep.join(p for p in os.get_exec_path() if Path(p) != own)
    program = shutil.which("docker", path=path)
    if program is None:
        return None
    try:
        result = subprocess.run(
            [program, "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            check=False,
            timeout=_ENGINE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return program if result.returncode == 0 else None
