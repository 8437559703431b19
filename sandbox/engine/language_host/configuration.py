"""The configuration of a run: the stack file, the project's defaults and the run's overrides."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.engine.errors import ConfigurationError, UsageError
from sandbox.engine.language_host.project import Project, StackFile, full_key
from sandbox.engine.plugins import dynamic_provider
from sandbox.engine.state.secrets_providers import Secrets


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
        _override(values, full_key(key, project.name), text)
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
    decrypted = False

    def walk(value: Any) -> Any:
        nonlocal decrypted
        if isinstance(value, dict):
            if set(value) == {"secure"}:
                decrypted = True
                return secrets.decrypt(str(value["secure"]))
            return {key: walk(inner) for key, inner in value.items()}
        return [walk(inner) for inner in value] if isinstance(value, list) else value

    value = walk(item)
    return _Encrypted(value) if decrypted else value


def _check_declarations(
    project: Project, values: Mapping[str, Any], stack: str, path: Path
) -> None:
    """Validate configuration against Pulumi.yaml's declarations, by the CLI's rules."""
    missing, mismatched = [], []
    for key, declared in _declarations(project).items():
        kind, items = declared.get("type"), declared.get("items")
        if key not in values:
            missing.append(key)
        elif (
            kind is not None and declared.get("secret") and not isinstance(values[key], _Encrypted)
        ):
            mismatched.append(
                f"{key} is declared secret, so it must be set with `pulumi config set --secret`"
            )
        elif kind is not None and not _is_of_type(kind, items, _plain_text(values[key])):
            mismatched.append(
                f"{key} must be of type {kind}" + (f" of {items['type']}" if items else "")
            )
    if missing:
        mismatched.append(f"missing: {', '.join(missing)} (there is no default)")
    if mismatched:
        problems = "; ".join(mismatched)
        raise ConfigurationError(
            f"Stack {stack!r} ({path}) does not match Pulumi.yaml: {problems}. Set with `pulumi "
            "config set KEY VALUE`."
        )


def _declarations(project: Project) -> dict[str, dict[str, Any]]:
    declarations = {}
    for key, declaration in project.config.items():
        full = full_key(str(key), project.name)
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
        declarations[full] = declared
    return declarations


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
    return re.sub("[<>&\u2028\u2029]", lambda match: f"\\u{ord(match.group()):04x}", text)
