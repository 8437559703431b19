"""Typed configuration: the only reader of pulumi.Config. `load()` reads, `parse()` judges."""

import json
import typing
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final

import pulumi
import pulumi.runtime.config
from pydantic import ValidationError

from settings.errors import Problem, SettingsError, remove_command, secret_command, set_command
from settings.names import unfit_names
from settings.partial import UnsoundError, sound_part
from settings.rules import contradictions
from settings.sections import Settings
from settings.translation import nearest_of, problems_of, section_of, stranger, without_strangers

__all__ = ["SECRET", "Problem", "Settings", "SettingsError", "load", "parse", "secrets"]


class _Secret(Enum):
    SECRET = "a secret value"  # noqa: S105 - stands where a secret was, so that none comes in here


SECRET: Final = _Secret.SECRET
"""Stands for the value of a secret key in what `parse` is given."""

# What a stack file may say; `parse` itself adds the project and the stack.
FIELDS = {name: field for name, field in Settings.model_fields.items() if name not in {"project", "stack"}}


def load() -> Settings:
    """Read the configuration of the running stack. Raises SettingsError with every problem at once."""
    project, stack = pulumi.get_project(), pulumi.get_stack()
    prefix = f"{project}:"
    values = {**pulumi.runtime.config.get_config_env(), **pulumi.runtime.config.CONFIG.get()}
    hidden = set(pulumi.runtime.config.get_config_secret_keys_env())
    raw = {
        key.removeprefix(prefix): SECRET if key in hidden or pulumi.runtime.is_config_secret(key) else value
        for key, value in values.items()
        if key.startswith(prefix)
    }
    others = [key for key in values if not key.startswith((prefix, "pulumi:"))]
    return parse(raw, project, stack, today=datetime.now(UTC).date(), others=others, folder=Path.cwd())


def secrets(settings: Settings) -> dict[str, pulumi.Output[str]]:
    """The secret values that the workload names, from the configuration into outputs that stay secret."""
    config = pulumi.Config(settings.project)
    return {name: config.require_secret(name) for name in settings.workload.secrets}


def parse(
    raw: Mapping[str, object],
    project: str,
    stack: str,
    *,
    today: date,
    others: Iterable[str] = (),
    folder: Path | None = None,
) -> Settings:
    """Judge `raw`, the configuration without its `platform:` prefix; a section is a mapping or its JSON text.

    `today` decides which Kubernetes versions are still supported; `others` are keys with other prefixes;
    `folder` is the program's, in which an image's files have to be (None: they aren't looked for).
    Raises SettingsError, and nothing else, whatever `raw` holds; its message repeats no value.
    """
    file = f"Pulumi.{stack}.yaml"
    if not raw:
        advice = f"copy Pulumi.dev.yaml to {file} and change what differs; `pulumi stack ls` lists the stacks there are"
        empty = Problem(path=(), wrong=f"holds no {project}: settings, or doesn't exist", mends=(advice,))
        raise SettingsError(file, [empty], project)

    # A section that isn't there is judged as an empty one: each of its keys is then asked for by name.
    data: dict[str, Any] = {name: {} for name, field in FIELDS.items() if section_of(field)}
    data |= {name: _decoded(value) for name, value in raw.items() if name in FIELDS and value is not SECRET}
    sections, problems = _judged(data, project, stack)
    named = _named_secrets(sections)
    problems += _strangers(raw, named, project, stack)
    problems += contradictions(sections, project, stack, today)
    problems += _missing_secrets(raw, named or (), project, stack)
    problems += unfit_names(project, stack)
    problems += _foreign(others, project, stack)
    if folder is not None:
        problems += _missing_files(sections, folder, project, stack)
    if problems:
        order: dict[tuple[str | int, ...], int] = {(): -1} | {(name,): position for position, name in enumerate(FIELDS)}
        problems.sort(
            key=lambda problem: order.get(problem.path[:1], len(order)) if not problem.namespace else len(order)
        )
        raise SettingsError(file, problems, project)
    return Settings(project=project, stack=stack, **sections)


def _named_secrets(sections: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names of the workload's secrets; None if they can't be known."""
    try:
        return tuple(sections["workload"].secrets)
    except (KeyError, UnsoundError):
        return None


def _decoded(value: object) -> object:
    """Pulumi hands over structured values as JSON text."""
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _judged(data: Mapping[str, Any], project: str, stack: str) -> tuple[dict[str, Any], list[Problem]]:
    """The sections as far as they are sound (apart from keys that aren't settings), and what is wrong with all of them."""
    problems: list[Problem] = []
    try:
        whole = Settings.model_validate({**data, "project": project, "stack": stack})
        return {name: getattr(whole, name) for name in FIELDS}, problems
    except ValidationError as error:
        problems = problems_of(error, project, stack)
    sound: dict[str, Any] = {}
    for name, value in data.items():
        section = section_of(FIELDS[name])
        if section is None:
            if isinstance(value, str) and value in typing.get_args(FIELDS[name].annotation):
                sound[name] = value
            continue
        part = sound_part(section, without_strangers(value, FIELDS[name]))
        if part is not None:
            sound[name] = part
    return sound, problems


def _strangers(raw: Mapping[str, object], named: tuple[str, ...] | None, project: str, stack: str) -> Iterator[Problem]:
    """Keys that aren't sections: secrets that the workload names, or mistakes. `named` is None if it can't be known."""
    for key, value in raw.items():
        removal = remove_command(project, stack, (key,))
        if key in FIELDS:
            if value is SECRET:
                wrong = "holds a secret; sections hold none: a secret is a key of its own that workload.secrets names"
                yield Problem(path=(key,), wrong=wrong, mends=(removal,))
        elif value is not SECRET:
            if key not in (named or ()):
                yield stranger((key,), FIELDS, project, stack)
        elif named is not None and key not in named:
            wrong = "is a secret that nothing uses: workload.secrets doesn't name it"
            nearest = nearest_of(key, named)
            if nearest:
                mend = secret_command(project, stack, nearest)
                yield Problem(path=(key,), wrong=f"{wrong}; did you mean {nearest}?", mends=(mend, removal))
            elif key.isidentifier() and key.isascii():
                mend = set_command(project, stack, ("workload", "secrets", len(named)), key)
                yield Problem(path=(key,), wrong=wrong, mends=(mend, removal))
            else:
                yield Problem(path=(key,), wrong=wrong, mends=(removal,))


def _foreign(keys: Iterable[str], project: str, stack: str) -> Iterator[Problem]:
    """Keys that the program doesn't read: those of default providers, which it doesn't use, and misspelt prefixes."""
    for key in keys:
        namespace, _, name = key.partition(":")
        if nearest_of(namespace, [project]):
            wrong = f"nothing reads it; did you mean {project}:{name}?"
        elif namespace == "aws":
            wrong = f"nothing reads it: the program makes its own AWS provider, and {project}:aws describes that"
        else:
            wrong = f"nothing reads it: settings of this program begin with {project}:"
        yield Problem(
            path=(name,), wrong=wrong, mends=(remove_command(namespace, stack, (name,)),), namespace=namespace
        )


def _missing_files(sections: Mapping[str, Any], folder: Path, project: str, stack: str) -> Iterator[Problem]:
    """An image is built from what is there."""
    with suppress(KeyError, UnsoundError):
        context = folder / sections["image"].context
        for key, found, kind in (
            ("context", context.is_dir(), "folder"),
            ("dockerfile", not context.is_dir() or (context / sections["image"].dockerfile).is_file(), "file"),
        ):
            if not found:
                path = ("image", key)
                yield Problem(
                    path=path, wrong=f"there is no such {kind}", mends=(remove_command(project, stack, path),)
                )


def _missing_secrets(raw: Mapping[str, object], named: Iterable[str], project: str, stack: str) -> Iterator[Problem]:
    for position, name in enumerate(named):
        path = ("workload", "secrets", position)
        if name not in raw:
            wrong = f"names the secret {name}, which has no value"
        elif raw[name] is not SECRET:
            wrong = f"names {name}, whose value stands in the file in the clear"
        else:
            continue
        yield Problem(path=path, wrong=wrong, mends=(secret_command(project, stack, name),))
