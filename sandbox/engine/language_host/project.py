"""A Pulumi project: `Pulumi.yaml` and stack configuration files."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.engine.errors import UsageError
from sandbox.engine.language_host.yaml_documents import read_yaml
from sandbox.engine.state.secrets_providers import refuse_unsupported

_SUPPORTED = {
    "name",
    "runtime",
    "description",
    "main",
    "config",
    "author",
    "website",
    "license",
    "template",
    "stackConfigDir",
    "backend",
    "options",
}
_STACK_KEYS = {"config", "encryptionsalt", "secretsprovider", "encryptedkey", "environment"}


@dataclass(frozen=True, slots=True)
class Project:
    """The contents of `Pulumi.yaml`. `directory` holds the file; Python runs `program`."""

    name: str
    directory: Path
    program: Path
    runtime: Mapping[str, Any]
    config: Mapping[str, Any]
    config_directory: Path

    @property
    def folder(self) -> Path:
        """The program's working directory."""
        return self.program if self.program.is_dir() else self.program.parent

    def stack_file(self, stack: str) -> Path:
        """Return the path of a stack's configuration file, which may not exist."""
        for suffix in (".yaml", ".yml"):
            path = self.config_directory / f"Pulumi.{stack}{suffix}"
            if path.exists():
                return path
        return self.config_directory / f"Pulumi.{stack}.yaml"

    def stack_files(self) -> list[str]:
        """Return the stacks that have a configuration file."""
        return sorted(
            path.name.removeprefix("Pulumi.").rsplit(".", 1)[0]
            for path in self.config_directory.glob("Pulumi.*.y*ml")
        )


def load_project(directory: Path) -> Project:
    """Load the project of `directory` or the nearest one above; UsageError if unsupported."""
    directory = directory.resolve()
    for folder in (directory, *directory.parents):
        for name in ("Pulumi.yaml", "Pulumi.yml"):
            if (folder / name).is_file():
                return _read_project(folder / name)
    raise UsageError(
        f"No Pulumi.yaml in {directory} or above it. Name the program's directory with --cwd."
    )


def _read_project(path: Path) -> Project:
    document = read_yaml(path)
    runtime = document.get("runtime")
    if isinstance(runtime, str):
        runtime = {"name": runtime}
    if not isinstance(runtime, dict) or runtime.get("name") != "python":
        raise UsageError(
            f"{path}: runtime is {document.get('runtime')!r}; this engine runs `python` programs "
            "only."
        )
    unknown = sorted(set(document) - _SUPPORTED)
    if unknown:
        raise UsageError(
            f"{path}: {', '.join(unknown)} is not supported by the embedded engine; use the "
            "Pulumi CLI."
        )
    if document.get("options") and document["options"].get("refresh"):
        raise UsageError(
            f"{path}: options.refresh is not supported by the embedded engine; run `refresh` "
            "before `up`."
        )
    if not document.get("name"):
        raise UsageError(f"{path}: `name` is missing.")
    main = path.parent / (document.get("main") or ".")
    if not main.exists():
        raise UsageError(f"{path}: `main` names {main}, which does not exist.")
    folder = document.get("stackConfigDir")
    return Project(
        name=document["name"],
        directory=path.parent,
        program=main.resolve(),
        runtime=runtime.get("options") or {},
        config=document.get("config") or {},
        config_directory=path.parent / folder if folder else path.parent,
    )


def interpreter(project: Project) -> Path:
    """Return the project's Python interpreter; UsageError if it does not exist."""
    return find_interpreter(project.directory, project.runtime)


def find_interpreter(directory: Path, runtime: Mapping[str, Any]) -> Path:
    """Return the interpreter that the runtime's options select; UsageError if it does not exist."""
    options = dict(runtime)
    virtualenv, toolchain = options.pop("virtualenv", None), options.pop("toolchain", None)
    if toolchain not in (None, "pip", "uv"):
        raise UsageError(
            f"{directory}: runtime option toolchain {toolchain!r} is not supported; use pip or uv."
        )
    if options:
        raise UsageError(
            f"{directory}: runtime option {', '.join(sorted(options))} is not supported by the "
            "sandbox's Python language host."
        )
    if virtualenv is None and toolchain == "uv":
        virtualenv = ".venv"
    if virtualenv is None:
        return Path(sys.executable)
    python = directory / str(virtualenv) / "bin" / "python"
    if not python.exists():
        raise UsageError(
            f"Pulumi.yaml names the virtual environment {virtualenv!r}, but {python} does not "
            f"exist. Create it: python3 -m venv {virtualenv} && {virtualenv}/bin/pip install -r "
            "requirements.txt"
        )
    return python


@dataclass(frozen=True, slots=True)
class StackFile:
    """A stack's configuration file: encrypted values, keys with namespace."""

    path: Path
    salt: str | None = None
    secrets_provider: str | None = None
    encrypted_key: str | None = None
    unknown: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


def load_stack_file(path: Path, project: str) -> StackFile:
    """Load a stack file; a missing file is empty."""
    if not path.exists():
        return StackFile(path)
    document = read_yaml(path)
    if document.get("environment"):
        raise UsageError(f"{path}: `environment` is not supported by the embedded engine.")
    if problem := refuse_unsupported(document.get("secretsprovider")):
        raise UsageError(f"{path}: {problem}")
    values = document.get("config") or {}
    if not isinstance(values, dict):
        raise UsageError(f"{path}: `config` must be a mapping of keys to values.")
    return StackFile(
        path,
        document.get("encryptionsalt"),
        document.get("secretsprovider"),
        document.get("encryptedkey"),
        tuple(sorted(map(str, document.keys() - _STACK_KEYS))),
        {full_key(str(key), project): item for key, item in values.items()},
    )


def full_key(key: str, project: str) -> str:
    """Return a configuration key with its namespace; the default is the project's name."""
    parts = key.split(":")
    if len(parts) == 3 and parts[1] == "config":
        return f"{parts[0]}:{parts[2]}"
    return key if len(parts) > 1 else f"{project}:{key}"
