"""Typed configuration: the only reader of pulumi.Config. `load()` reads, `parse()` judges."""

import json
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from difflib import get_close_matches
from enum import Enum
from typing import Any, Final

import pulumi
import pulumi.runtime.config
from pydantic import BaseModel, ValidationError

from settings.errors import Path, Problem, SettingsError, remove_command, secret_command, set_command
from settings.rules import contradictions
from settings.sections import Section, Settings

__all__ = ["SECRET", "Problem", "Settings", "SettingsError", "load", "parse", "secrets"]


class _Secret(Enum):
    SECRET = "a secret value"  # noqa: S105 - stands where a secret was, so that none comes in here


SECRET: Final = _Secret.SECRET
"""Stands for the value of a secret key in what `parse` is given."""

# Set by `parse` itself, from the project and the stack.
_GIVEN = {"project", "stack"}


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
    return parse(raw, project, stack, today=datetime.now(UTC).date())


def secrets(settings: Settings) -> dict[str, pulumi.Output[str]]:
    """The secret values that the workload names, from the configuration into outputs that stay secret."""
    config = pulumi.Config(settings.project)
    return {name: config.require_secret(name) for name in settings.workload.secrets}


def parse(raw: Mapping[str, object], project: str, stack: str, *, today: date) -> Settings:
    """Judge `raw`, the configuration without its `platform:` prefix; a section is a mapping or its JSON text.

    `today` decides which Kubernetes versions are still supported. Raises SettingsError, and nothing else, whatever
    `raw` holds; its message repeats no value.
    """
    file = f"Pulumi.{stack}.yaml"
    if not raw:
        advice = f"copy Pulumi.dev.yaml to {file} and change what differs; `pulumi stack ls` lists the stacks there are"
        empty = Problem(path=(), wrong=f"holds no {project}: settings, or doesn't exist", mends=(advice,))
        raise SettingsError(file, [empty], project)

    known = {name: field for name, field in Settings.model_fields.items() if name not in _GIVEN}
    problems: list[Problem] = []
    data: dict[str, Any] = {
        name: {}
        for name, field in known.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    }
    for name in [key for key in raw if key in known]:
        if raw[name] is SECRET:
            wrong = "holds a secret; sections hold none: a secret is a key of its own that workload.secrets names"
            problems.append(Problem(path=(name,), wrong=wrong, mends=(remove_command(project, stack, (name,)),)))
        data[name] = {} if raw[name] is SECRET else _decoded(raw[name])

    sections, found = _validate(data, project, stack)
    problems += found
    workload = sections.get("workload")
    named = tuple(workload.secrets) if workload is not None else None
    problems += _strangers(raw, known, named, project, stack)
    problems += contradictions(sections, project, stack, today)
    problems += _missing_secrets(raw, named or (), project, stack)
    if problems:
        order = {name: position for position, name in enumerate(known)}
        problems.sort(key=lambda problem: order.get(str(problem.path[0]) if problem.path else "", len(order)))
        raise SettingsError(file, problems, project)
    return Settings(project=project, stack=stack, **sections)


def _decoded(value: object) -> object:
    """Pulumi hands over structured values as JSON text."""
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _validate(data: dict[str, Any], project: str, stack: str) -> tuple[dict[str, Any], list[Problem]]:
    """The sections that are sound, and what is wrong with the others."""
    given = {"project": project, "stack": stack}
    try:
        whole = Settings.model_validate({**data, **given})
    except ValidationError as error:
        problems = [_problem(detail, project, stack) for detail in error.errors(include_input=False, include_url=False)]
    else:
        return {name: getattr(whole, name) for name in data}, []

    sections: dict[str, Any] = {}
    for name, value in data.items():
        field = Settings.model_fields[name]
        cleaned = _without_strangers(value, field.annotation)
        try:
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                sections[name] = field.annotation.model_validate(cleaned)
            elif isinstance(value, str) and value in typing.get_args(field.annotation):
                sections[name] = value
        except ValidationError:
            continue  # its problems are listed above
    return sections, problems


def _without_strangers(value: Any, annotation: Any) -> Any:
    """`value` without misspelt keys, so that one slip doesn't hide the contradictions behind it."""
    if isinstance(value, dict) and isinstance(annotation, type) and issubclass(annotation, Section):
        fields = annotation.model_fields
        return {key: _without_strangers(item, fields[key].annotation) for key, item in value.items() if key in fields}
    return value


def _problem(detail: Any, project: str, stack: str) -> Problem:
    path = _config_path(detail["loc"])
    model, field = _place(path)
    if detail["type"] == "extra_forbidden":
        return _stranger(path, list(model.model_fields) if model else [], project, stack, model)
    example = field.examples[0] if field is not None and field.examples else None
    if detail["type"] == "missing":
        wrong = "is missing"
    elif detail["type"] == "value_error":
        wrong = str(detail["ctx"]["error"])
    elif detail["type"] in {"model_type", "dict_type", "model_attributes_type"}:
        wrong = "must be a section with keys of its own"
    else:
        wrong = _reworded(detail)
    if example is None:
        return Problem(path=path, wrong=wrong, mends=(remove_command(project, stack, path),))
    if path and isinstance(path[-1], int) and isinstance(example, list):
        example = example[0]
    return Problem(path=path, wrong=wrong, mends=(set_command(project, stack, path, example),))


def _reworded(detail: Any) -> str:
    """Pydantic's words, as this project would say them; they never hold the value."""
    message = str(detail["msg"])
    message = message.replace(
        "Input should be a valid integer, unable to parse string as an integer", "must be a whole number"
    )
    for theirs, ours in (
        ("Input should be a valid integer, got a number with a fractional part", "must be a whole number"),
        ("Input should be a valid integer", "must be a whole number"),
        ("Input should be a valid boolean, unable to interpret input", "must be true or false"),
        ("Input should be a valid boolean", "must be true or false"),
        ("Input should be a valid tuple", "must be a list"),
        ("Input should be", "must be"),
        ("Tuple should have at least 1 item after validation, not 0", "must have at least one entry"),
    ):
        message = message.replace(theirs, ours)
    return message


def _config_path(location: Sequence[str | int]) -> Path:
    """A pydantic location without the parts that name alternatives or keys of a mapping instead of places."""
    path: list[str | int] = []
    for part in location:
        model, field = _place(tuple(path))
        alternative = (
            isinstance(part, str) and field is not None and model is not None and not _is_container(field.annotation)
        )
        if part != "[key]" and not (alternative and path):
            path.append(part)
    return tuple(path)


def _is_container(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin in {dict, tuple}:
        return True
    if origin in {typing.Union, types.UnionType}:
        return any(_is_container(part) for part in typing.get_args(annotation))
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _place(path: Path) -> tuple[type[BaseModel] | None, Any]:
    """The section that a path's last key belongs to, and the field it names, where there is one."""
    model: type[BaseModel] | None = Settings
    field: Any = None
    for part in path:
        if isinstance(part, int) or model is None:
            continue
        inner = field.annotation if field is not None else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
        elif field is not None:
            return model, field
        field = model.model_fields.get(part)
        if field is None:
            return model, None
    return model, field


def _stranger(path: Path, names: Iterable[str], project: str, stack: str, model: type[BaseModel] | None) -> Problem:
    nearest = get_close_matches(str(path[-1]), list(names), n=1, cutoff=0.5)
    removal = remove_command(project, stack, path)
    if not nearest:
        known = ", ".join(names)
        return Problem(
            path=path, wrong=f"is not a setting; there are {known}" if known else "is not a setting", mends=(removal,)
        )
    right = (*path[:-1], nearest[0])
    field = model.model_fields[nearest[0]] if model else None
    mends = [removal]
    if field is not None and field.examples:
        mends.append(set_command(project, stack, right, field.examples[0]))
    return Problem(path=path, wrong=f"is not a setting; did you mean {nearest[0]}?", mends=tuple(mends))


def _strangers(
    raw: Mapping[str, object], known: Mapping[str, Any], named: tuple[str, ...] | None, project: str, stack: str
) -> Iterator[Problem]:
    """Keys beside the sections: secrets that the workload names, or mistakes."""
    for key in raw:
        if key in known or (named is not None and key in named):
            continue
        if raw[key] is SECRET:
            if named is None:
                continue  # the list of names is itself unsound, and reported
            wrong = "is a secret that nothing uses: workload.secrets doesn't name it"
            command = set_command(project, stack, ("workload", "secrets", len(named)), key)
            yield Problem(path=(key,), wrong=wrong, mends=(command, remove_command(project, stack, (key,))))
        else:
            yield _stranger((key,), known, project, stack, Settings)


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
