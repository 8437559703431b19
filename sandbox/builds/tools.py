"""The programs that builds find on PATH: AWS CLI, docker, PostgreSQL and language runtimes."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from sandbox.builds.errors import PhaseError
from sandbox.builds.variables import PATH
from sandbox.contracts.container_runtime import ContainerError
from sandbox.runtime.home import SOURCE_DIRECTORY
from sandbox.runtime.virtual_environments import VirtualEnvironments

_AWS_CLI = Path(__file__).parent / "locks" / "aws-cli.txt"
_QUERY_SECONDS = 10
_VERSION = re.compile(r"\d+(?:\.\d+)+")
# Program and arguments that print the version of a runtime.
_RUNTIMES = {
    "dotnet": ("dotnet", "--version"),
    "golang": ("go", "version"),
    "java": ("java", "-version"),
    "nodejs": ("node", "--version"),
    "php": ("php", "--version"),
    "ruby": ("ruby", "--version"),
}
# Without a bridge and packet filters, which would remain on this machine after the build.
_DOCKERD = """\
#!/bin/sh
exec {program} --data-root /run/docker-data --bridge none --iptables=false --ip6tables=false "$@"
"""
_MISSING = {
    "jq": "install it (Debian: apt-get install jq)",
    "git": "install it (Debian: apt-get install git)",
    "curl": "install it (Debian: apt-get install curl)",
    "kubectl": "install it: make tools TOOLS=kubectl",
}


@dataclass(frozen=True, kw_only=True)
class Toolbox:
    """Programs in `directory`, the AWS CLI in a virtual environment below `cache`.

    `postgres` returns the directory of PostgreSQL's programs or None; `docker` returns the
    variables of the docker command, and `sandbox` those of the sandbox's command line.
    """

    directory: Path
    cache: Path
    postgres: Callable[[], Path | None] = lambda: None
    docker: Callable[[], Mapping[str, str]] = dict
    sandbox: Mapping[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def search_path(self, runtimes: Path) -> str:
        """Return PATH; `runtimes` has the build's own language runtimes. Raises PhaseError."""
        with self._lock:
            try:
                aws = VirtualEnvironments(self.cache).ensure([_AWS_CLI])
            except ContainerError as error:
                raise PhaseError("CLIENT_ERROR", f"The AWS CLI: {error}") from None
            self.directory.mkdir(parents=True, exist_ok=True)
            _link(self.directory / "aws", aws / "bin" / "aws")
            tools = {"SANDBOX_TOOLS": str(self.directory), **self.docker()}
            _script(self.directory / "docker", _command("sandbox.builds.docker_command", tools))
            _script(self.directory / "sandbox", _command("sandbox.__main__", self.sandbox))
            if (dockerd := shutil.which("dockerd", path=PATH)) is not None:
                _script(self.directory / "dockerd", _DOCKERD.format(program=dockerd))
            for name, remedy in _MISSING.items():
                missing = shutil.which(name, path=PATH) is None
                text = f"echo {shlex.quote(f'{name} is not on this machine; {remedy}')} >&2\n"
                if missing:
                    _script(self.directory / name, f"#!/bin/sh\n{text}exit 127\n")
                else:
                    (self.directory / name).unlink(missing_ok=True)
            postgres = None
            if shutil.which("initdb", path=PATH) is None:
                postgres = self.postgres()
        directories = [runtimes, self.directory, PATH, *([postgres] if postgres else [])]
        return os.pathsep.join(map(str, directories))


def _command(module: str, variables: Mapping[str, str]) -> str:
    """Return a script that runs `main` of a module of this sandbox, whatever the directory."""
    code = f"import sys; sys.path.insert(0, {str(SOURCE_DIRECTORY)!r}); import {module} as m; "
    environment = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    command = f"{shlex.quote(sys.executable)} -I -c {shlex.quote(code + 'm.main()')}"
    return f'#!/bin/sh\n{environment} exec {command} "$@"\n'


def select_runtimes(directory: Path, versions: Mapping[str, str]) -> list[str]:
    """Put the Python of the requested version into `directory`; return notes on all runtimes."""
    directory.mkdir(parents=True, exist_ok=True)
    remaining = {**versions}
    python = _python(remaining.pop("python", ""))
    for name in ("python", "python3", Path(python[0]).name):
        _link(directory / name, Path(python[0]))
    for name in ("pip", "pip3"):
        target = shlex.quote(str(directory / "python3"))
        _script(directory / name, f'#!/bin/sh\nexec {target} -m pip "$@"\n')
    notes = []
    if "python" in versions:
        notes.append(_note("python", versions["python"], python[1]))
    notes += [_note(name, version, _installed(name)) for name, version in remaining.items()]
    return notes


def _note(name: str, requested: str, version: str) -> str:
    if not version:
        return f"Runtime {name} {requested} is not on this machine; its commands will fail."
    if requested == "latest" or version.startswith(requested.removesuffix(".x")):
        return f"Selecting '{name}' runtime version '{requested}': {version}"
    return f"Runtime {name} {requested} is not on this machine; using {version}."


def _installed(name: str) -> str:
    command = _RUNTIMES.get(name)
    if command is None:
        raise PhaseError("YAML_FILE_ERROR", f"Unknown runtime name {name} in runtime-versions")
    return _version_of(*command)


@cache
def _python(version: str) -> tuple[str, str]:
    """Return path and version of a Python; another version if there is none of this one."""
    own = f"{sys.base_prefix}/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
    if re.fullmatch(r"3\.\d+", version):
        name = f"python{version}"
        roots = (Path(sys.base_prefix).parent, Path.home() / ".pyenv" / "versions")
        candidates = [shutil.which(name, path=PATH), shutil.which(name)]
        candidates += [
            str(path)
            for root in roots
            for path in sorted(root.glob(f"*{version}*/bin/{name}"), reverse=True)
        ]
        for candidate in candidates:
            if candidate is not None and (number := _version_of(candidate, "--version")):
                return candidate, number
    return own, _version_of(own, "--version")


@cache
def _version_of(*command: str) -> str:
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_QUERY_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = _VERSION.search(result.stdout + result.stderr)
    return match[0] if match and result.returncode == 0 else ""


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    temporary = link.with_name(f"{link.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


def _script(path: Path, text: str) -> None:
    if path.is_file() and not path.is_symlink() and path.read_text() == text:
        return
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(text)
    temporary.chmod(0o755)
    temporary.replace(path)
