"""Reads the running stack's configuration and validates it as a whole."""

import json
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final

import pulumi
import pulumi.runtime.config
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from settings.cross_field import conflicts, sections_of_service
from settings.errors import Path as KeyPath
from settings.errors import Problem, SettingsError, remove_command, secret_command
from settings.partial_validation import InvalidFieldError, valid_part
from settings.pydantic_errors import problems_of, section_of
from settings.resource_prefix import invalid_names
from settings.sections import Service, Settings, Workload
from settings.unknown_keys import unknown_namespaces, unknown_sections, without_unknown_keys


class _Secret(Enum):
    SECRET = "a secret value"  # noqa: S105 - replaces a secret, so that errors cannot repeat it


SECRET: Final = _Secret.SECRET
"""Replaces the value of a secret key in the configuration passed to `parse`."""

# Sections of a stack file; `parse` adds project and stack.
FIELDS = {
    name: field for name, field in Settings.model_fields.items() if name not in {"project", "stack"}
}


def load() -> Settings:
    """Read the running stack's configuration; raise SettingsError with every problem at once."""
    values = {**pulumi.runtime.config.get_config_env(), **pulumi.runtime.config.CONFIG.get()}
    secret_keys = set(pulumi.runtime.config.get_config_secret_keys_env())
    secret_keys |= {key for key in values if pulumi.runtime.is_config_secret(key)}
    return validate(values, secret_keys, pulumi.get_project(), pulumi.get_stack())


def validate(
    values: Mapping[str, str], secret_keys: Collection[str], project: str, stack: str
) -> Settings:
    """Validate configuration by full key, as Pulumi passes it to the program in this folder."""
    prefix = f"{project}:"
    raw = {
        key.removeprefix(prefix): SECRET if key in secret_keys else value
        for key, value in values.items()
        if key.startswith(prefix)
    }
    other_keys = [key for key in values if not key.startswith((prefix, "pulumi:"))]
    today = datetime.now(UTC).date()
    return parse(raw, project, stack, today=today, other_keys=other_keys, folder=Path.cwd())


def secrets(settings: Settings) -> dict[str, pulumi.Output[str]]:
    """Return the secrets that the workload names, as secret outputs."""
    return _secrets(settings, settings.workload)


def service_secrets(settings: Settings) -> dict[str, dict[str, pulumi.Output[str]]]:
    """Return, for each further service, the secrets that its workload names."""
    return {
        name: _secrets(settings, service.workload) for name, service in settings.services.items()
    }


def _secrets(settings: Settings, workload: Workload) -> dict[str, pulumi.Output[str]]:
    config = pulumi.Config(settings.project)
    return {name: config.require_secret(name) for name in workload.secrets}


def parse(
    raw: Mapping[str, object],
    project: str,
    stack: str,
    *,
    today: date,
    other_keys: Iterable[str] = (),
    folder: Path | None = None,
) -> Settings:
    """Validate `raw`: the configuration without its prefix, sections as mappings or JSON text.

    `today` decides which Kubernetes versions are supported; `other_keys` have other prefixes;
    `folder` is the program's, which contains the image's files (None skips that check).
    Raises SettingsError only; its message repeats no value.
    """
    file = f"Pulumi.{stack}.yaml"
    if not raw:
        fix = (
            f"copy Pulumi.dev.yaml to {file} and change what differs; "
            "`pulumi stack ls` lists the existing stacks"
        )
        message = f"contains no {project}: settings, or does not exist"
        raise SettingsError(file, [Problem(path=(), message=message, fixes=(fix,))], project)

    # A missing section is validated as an empty one, so that each required key is reported.
    data: dict[str, Any] = {name: {} for name, field in FIELDS.items() if section_of(field)}
    data |= {
        name: _decoded(value)
        for name, value in raw.items()
        if name in FIELDS and value is not SECRET
    }
    sections, problems = _validate_sections(data, project, stack)
    secret_names = _secret_names(sections)
    secret_keys = {key for key, value in raw.items() if value is SECRET}
    problems += unknown_sections(raw, secret_keys, secret_names, FIELDS, project, stack)
    problems += conflicts(sections, project, stack, today)
    problems += _missing_secrets(raw, sections, project, stack)
    problems += invalid_names(project, stack)
    problems += unknown_namespaces(other_keys, project, stack)
    if folder is not None:
        problems += _missing_files(sections, folder, project, stack)
    if problems:
        problems.sort(key=_position)
        raise SettingsError(file, problems, project)
    return Settings(project=project, stack=stack, **sections)


def _position(problem: Problem) -> int:
    """Order of the sections; problems of the file first, of other keys last."""
    names = list(FIELDS)
    if problem.namespace or (problem.path and problem.path[0] not in names):
        return len(names)
    return names.index(str(problem.path[0])) if problem.path else -1


def _secret_names(sections: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the names of the services' secrets; None if a list is invalid."""
    try:
        workloads = [
            sections["workload"],
            *(item.workload for item in sections["services"].values()),
        ]
        return tuple(name for workload in workloads for name in workload.secrets)
    except (KeyError, InvalidFieldError):
        return None


def _decoded(value: object) -> object:
    """Decode a structured value, which Pulumi passes as JSON text."""
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _validate_sections(
    data: Mapping[str, Any], project: str, stack: str
) -> tuple[dict[str, Any], list[Problem]]:
    """Return the sections as far as they are valid, and the problems of each."""
    try:
        whole = Settings.model_validate({**data, "project": project, "stack": stack})
        return {name: getattr(whole, name) for name in FIELDS}, []
    except ValidationError as error:
        problems = problems_of(error, project, stack)
    sections: dict[str, Any] = {}
    for name, value in data.items():
        section = section_of(FIELDS[name])
        if name == "services":
            sections[name] = _valid_services(value)
        elif section is None:
            if isinstance(value, str) and value in typing.get_args(FIELDS[name].annotation):
                sections[name] = value
        elif (part := valid_part(section, without_unknown_keys(value, FIELDS[name]))) is not None:
            sections[name] = part
    sections.setdefault("services", {})
    return sections, problems


def _valid_services(value: object) -> dict[str, Any]:
    """Return the services as far as they are valid."""
    if not isinstance(value, Mapping):
        return {}
    field = FieldInfo(annotation=Service)
    parts = {
        name: valid_part(Service, without_unknown_keys(item, field)) for name, item in value.items()
    }
    return {name: part for name, part in parts.items() if part is not None}


def _missing_files(
    sections: Mapping[str, Any], folder: Path, project: str, stack: str
) -> Iterator[Problem]:
    """Report a missing build context or Dockerfile."""
    for parents, part in _services(sections):
        with suppress(KeyError, InvalidFieldError):
            context = folder / part["image"].context
            dockerfile = context / part["image"].dockerfile
            for key, exists, kind in (
                ("context", context.is_dir(), "folder"),
                ("dockerfile", not context.is_dir() or dockerfile.is_file(), "file"),
            ):
                if not exists:
                    path = (*parents, "image", key)
                    fix = remove_command(project, stack, path)
                    yield Problem(path=path, message=f"the {kind} does not exist", fixes=(fix,))


def _services(sections: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """Yield the path and the sections of each service, the first of which has no path."""
    yield (), sections
    for name, service in sections.get("services", {}).items():
        yield ("services", name), sections_of_service(service)


def _missing_secrets(
    raw: Mapping[str, object], sections: Mapping[str, Any], project: str, stack: str
) -> Iterator[Problem]:
    for parents, part in _services(sections):
        names: tuple[str, ...] = ()
        with suppress(KeyError, InvalidFieldError):
            names = part["workload"].secrets
        for position, name in enumerate(names):
            path = (*parents, "workload", "secrets", position)
            if name not in raw:
                message = f"names the secret {name}, which has no value"
            elif raw[name] is not SECRET:
                message = f"names {name}, whose value is in the stack file in plain text"
            else:
                continue
            fix = secret_command(project, stack, name)
            yield Problem(path=path, message=message, fixes=(fix,))
