"""A Pulumi project: `Pulumi.yaml`, stack configuration files, and the resulting configuration."""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from sandbox.engine.errors import ConfigurationError, UsageError
from sandbox.engine.plugins import dynamic_provider
from sandbox.engine.state.secrets_providers import Secrets, refuse_unsupported

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
    document = _read_yaml(path)
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


class _Loader(yaml.SafeLoader):
    """Loads YAML as the Pulumi CLI does: `on`, `yes` and 22:30 are text, 0777 is octal, dates as in
    Go.
    """


def _number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | float:
    text = str(loader.construct_scalar(node)).replace("_", "")
    try:
        number: float = int(re.sub(r"^([-+]?)0(?=[0-7]+$)", r"\g<1>0o", text), 0)
        number = number if -(2**63) <= number < 2**64 else float(number)
    except ValueError:
        number = float(text)
    return (
        int(number)
        if isinstance(number, float) and number.is_integer() and abs(number) < 1e21
        else number
    )


def _time(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    try:
        found: Any = loader.construct_yaml_timestamp(node)
    except ValueError:  # has a date's format, but is no calendar day
        return str(loader.construct_scalar(node))
    moment = found if isinstance(found, datetime) else datetime(found.year, found.month, found.day)
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    zone = "+0000 UTC" if not moment.utcoffset() else f"{moment:%z %z}"
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} {zone}"


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (
        "int",
        r"[-+]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|"
        r"(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?)",
        "-+0123456789.",
    ),
    (
        "timestamp",
        r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
        r"(?:[Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]+)?(?:Z|[-+][0-9:]+)?)?",
        "0123456789",
    ),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first)
    )
_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _time)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.load(path.read_text(), Loader=_Loader) or {}  # noqa: S506 - a safe loader
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"{path} is unreadable: {error}") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path} must be a mapping of keys to values.")
    return document


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
    document = _read_yaml(path)
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
        {_full_key(str(key), project): item for key, item in values.items()},
    )


def _full_key(key: str, project: str) -> str:
    parts = key.split(":")
    if len(parts) == 3 and parts[1] == "config":
        return f"{parts[0]}:{parts[2]}"
    return key if len(parts) > 1 else f"{project}:{key}"


@dataclass(frozen=True, slots=True)
class Configuration:
    """The configuration: `namespace:key` to text (JSON for structures), and the secret keys."""

    values: Mapping[str, str]
    secret_keys: frozenset[str]

    def package(self, package: str) -> dict[str, tuple[str, bool]]:
        """Return a provider package's configuration, and whether each value is secret; dynamic
        providers get all.
        """
        prefix = "" if package == dynamic_provider.PACKAGE else f"{package}:"
        return {
            key.removeprefix(prefix): (value, key in self.secret_keys)
            for key, value in self.values.items()
            if key.startswith(prefix)
        }


def resolve_configuration(
    project: Project,
    file: StackFile,
    secrets: Secrets,
    overrides: Mapping[str, str],
    stack: str,
) -> Configuration:
    """Decrypt the stack file; add the project's defaults and this run's overrides."""
    values: dict[str, Any] = {key: _decrypted(item, secrets) for key, item in file.values.items()}
    for key, declared in _declarations(project).items():
        default = declared.get("default", declared.get("value"))
        if default is not None:
            values.setdefault(key, copy.deepcopy(default))
    for key, text in overrides.items():
        _override(values, _full_key(key, project.name), text)
    _check_declarations(project, values, stack, file.path)
    return Configuration(
        {
            key: _as_text(value.value if isinstance(value, _Encrypted) else value)
            for key, value in values.items()
        },
        frozenset(key for key, value in values.items() if isinstance(value, _Encrypted)),
    )


@dataclass(frozen=True, slots=True)
class _Encrypted:
    """A configuration value that is secret or contains a secret."""

    value: Any


def _decrypted(item: Any, secrets: Secrets) -> Any:
    """Return a value with decrypted contents; `_Encrypted` if any was encrypted."""
    found = False

    def walk(value: Any) -> Any:
        nonlocal found
        if isinstance(value, dict):
            if set(value) == {"secure"}:
                found = True
                return secrets.decrypt(str(value["secure"]))
            return {key: walk(inner) for key, inner in value.items()}
        return [walk(inner) for inner in value] if isinstance(value, list) else value

    value = walk(item)
    return _Encrypted(value) if found else value


def _check_declarations(
    project: Project, values: Mapping[str, Any], stack: str, path: Path
) -> None:
    """Validate configuration against Pulumi.yaml's declarations, by the CLI's rules."""
    missing, wrong = [], []
    for key, declared in _declarations(project).items():
        kind, items = declared.get("type"), declared.get("items")
        if key not in values:
            missing.append(key)
        elif (
            kind is not None and declared.get("secret") and not isinstance(values[key], _Encrypted)
        ):
            wrong.append(
                f"{key} is declared secret, so it must be set with `pulumi config set --secret`"
            )
        elif kind is not None and not _is_of_type(kind, items, _plain_text(values[key])):
            wrong.append(
                f"{key} must be of type {kind}" + (f" of {items['type']}" if items else "")
            )
    if missing:
        wrong.append(f"missing: {', '.join(missing)} (there is no default)")
    if wrong:
        problems = "; ".join(wrong)
        raise ConfigurationError(
            f"Stack {stack!r} ({path}) does not match Pulumi.yaml: {problems}. Set with `pulumi "
            "config set KEY VALUE`."
        )


def _declarations(project: Project) -> dict[str, dict[str, Any]]:
    found = {}
    for key, declaration in project.config.items():
        full = _full_key(str(key), project.name)
        declared = declaration if isinstance(declaration, dict) else {"value": declaration}
        foreign = not full.startswith(f"{project.name}:") and sorted(
            declared.keys() & {"type", "default"}
        )
        if foreign:
            raise UsageError(
                f"{project.directory}: Pulumi.yaml gives {key} a `{foreign[0]}`, but it belongs "
                f"to another namespace than {project.name}. Only a `value` is allowed there."
            )
        if declared.get("type") == "array" and not declared.get("items"):
            raise UsageError(
                f"{project.directory}: Pulumi.yaml declares {key} an array without the type of "
                "its `items`."
            )
        found[full] = declared
    return found


def _plain_text(value: Any) -> Any:
    """A top-level value is text; values inside a structure have types."""
    value = value.value if isinstance(value, _Encrypted) else value
    return value if isinstance(value, dict | list) else _as_text(value)


def _is_of_type(kind: str, items: Mapping[str, Any] | None, value: Any) -> bool:
    if kind == "integer":
        if isinstance(value, str):
            return re.fullmatch(r"[-+]?[0-9]+", value) is not None
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
        )
    if kind == "array":
        inner = items or {}
        return isinstance(value, list) and all(
            _is_of_type(str(inner.get("type")), inner.get("items"), item) for item in value
        )
    types = {"string": (str,), "boolean": (bool,), "object": (dict,)}
    return isinstance(value, types.get(kind, ())) or (
        kind == "boolean" and value in ("true", "false")
    )


def _override(values: dict[str, Any], key: str, text: str) -> None:
    namespace, _, path = key.partition(":")
    first, *rest = path.split(".")
    full = f"{namespace}:{first}"
    if not rest:
        values[full] = text
        return
    parsed = _scalar(text)
    holder = values.setdefault(full, {})
    for position, part in enumerate(rest):
        if not isinstance(holder, dict):
            raise UsageError(
                f"-c {key}: {'.'.join([first, *rest[:position]])} is not a structure in this "
                "stack's configuration."
            )
        if position == len(rest) - 1:
            holder[part] = parsed
        else:
            holder = holder.setdefault(part, {})


def _scalar(text: str) -> Any:
    """Parse a value inside a structure: boolean, integer, JSON list or object; otherwise text."""
    if text in ("true", "false"):
        return text == "true"
    if text.removeprefix("-").isdigit() and (
        text == "0" or not text.removeprefix("-").startswith("0")
    ):
        return int(text)
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _as_text(value: Any) -> str:
    """Format a value for programs and providers; structures as Go's JSON, as the CLI does."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found.group()):04x}", text)
