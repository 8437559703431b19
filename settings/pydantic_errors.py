"""Turns pydantic errors into Problems."""

import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from settings.errors import Path, Problem, remove_command, set_command
from settings.sections import Section, Settings

# Messages of pydantic and their replacements; none of them contains the value.
MESSAGES = (
    (
        "Input should be a valid integer, unable to parse string as an integer",
        "must be a whole number",
    ),
    (
        "Input should be a valid integer, got a number with a fractional part",
        "must be a whole number",
    ),
    ("Input should be a valid integer", "must be a whole number"),
    ("Input should be a valid boolean, unable to interpret input", "must be true or false"),
    ("Input should be a valid boolean", "must be true or false"),
    ("Input should be a valid tuple", "must be a list"),
    ("Input should be a valid dictionary", "must be a section with keys of its own"),
    (
        "Tuple should have at least 1 item after validation, not 0",
        "must have at least one entry",
    ),
    ("Input should be", "must be"),
    ("Dictionary should have at most", "must have at most"),
    (" items after validation", " entries"),
)
CONTAINER_ERRORS = {"model_type", "model_attributes_type", "dict_type", "tuple_type"}
MIN_SIMILARITY = 0.5


def problems_of(error: ValidationError, project: str, stack: str) -> list[Problem]:
    """Return one problem per key; the alternatives of a union are joined to one message."""
    problems: dict[Path, Problem] = {}
    for detail in error.errors(include_input=False, include_url=False):
        problem = _problem(detail, project, stack)
        first = problems.get(problem.path)
        if first is not None:
            alternative = problem.message.removeprefix("must be ")
            message = f"{first.message}, or {alternative}"
            problem = Problem(path=first.path, message=message, fixes=first.fixes)
        problems[problem.path] = problem
    return list(problems.values())


def unknown_key(path: Path, fields: Mapping[str, FieldInfo], project: str, stack: str) -> Problem:
    """Report a key that is not one of `fields`, with the nearest one."""
    removal = remove_command(project, stack, path)
    nearest = get_close_matches(str(path[-1]), list(fields), n=1, cutoff=MIN_SIMILARITY)
    if not nearest:
        message = f"is not a setting; valid keys are {', '.join(fields)}"
        return Problem(path=path, message=message, fixes=(removal,))
    examples = _example_commands((*path[:-1], nearest[0]), fields[nearest[0]], project, stack)
    message = f"is not a setting; did you mean {nearest[0]}?"
    return Problem(path=path, message=message, fixes=(removal, *examples))


def section_of(field: FieldInfo | None) -> type[Section] | None:
    """Return the section type of a field; None if the field is not a section."""
    annotation = field.annotation if field is not None else None
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return None


def _problem(detail: Any, project: str, stack: str) -> Problem:
    path, section, field = _resolve(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return unknown_key(path, section.model_fields, project, stack)
    message = _message(detail)
    is_mapping = field is not None and typing.get_origin(field.annotation) is dict
    if is_mapping and detail["type"] != "dict_type":
        # An entry of a mapping has no example.
        return Problem(path=path, message=message, fixes=(remove_command(project, stack, path),))
    examples = _example_commands(path, field, project, stack)
    if detail["type"] in CONTAINER_ERRORS:
        # `pulumi config set --path` cannot replace a scalar by a list or a mapping.
        return Problem(
            path=path,
            message=message,
            fixes=(remove_command(project, stack, path), *examples),
        )
    return Problem(path=path, message=message, fixes=tuple(examples))


def _message(detail: Any) -> str:
    if detail["type"] == "missing":
        return "is missing"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    if detail["type"] in {"model_type", "model_attributes_type"}:
        return "must be a section with keys of its own"
    message = str(detail["msg"])
    for text, replacement in MESSAGES:
        message = message.replace(text, replacement)
    return message


def _example_commands(
    path: Path, field: FieldInfo | None, project: str, stack: str
) -> Iterator[str]:
    """Commands that set an example: one for a value, one per required key of a section."""
    section = section_of(field)
    if section is not None:
        for name, inner in section.model_fields.items():
            if inner.is_required():
                yield from _example_commands((*path, name), inner, project, stack)
    elif field is None or not field.examples:
        yield remove_command(project, stack, path)
    else:
        example = field.examples[0]
        if isinstance(path[-1], int) and isinstance(example, list):
            example = example[0]
        yield set_command(project, stack, path, example)


def _resolve(location: Sequence[str | int]) -> tuple[Path, type[Section], FieldInfo | None]:
    """Resolve a pydantic location to path, surrounding section and field in the stack file.

    Skips the alternatives of unions and the keys of mappings, which pydantic names too.
    """
    path: list[str | int] = []
    section: type[Section] = Settings
    field: FieldInfo | None = None
    for part in location:
        inner = section_of(field)
        if field is None or inner is not None:
            section = inner or section
            field = section.model_fields.get(str(part))
            path.append(part)
            if field is None:
                break
        elif part != "[key]" and _is_container(field.annotation):
            path.append(part)
            if (entry := _section_of_entries(field)) is not None:
                field = FieldInfo(annotation=entry)
    return tuple(path), section, field


def _section_of_entries(field: FieldInfo) -> type[Section] | None:
    """Return the section type of a mapping's entries; None for other fields."""
    if typing.get_origin(field.annotation) is not dict:
        return None
    return section_of(FieldInfo(annotation=typing.get_args(field.annotation)[1]))


def _is_container(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin in {typing.Union, types.UnionType}:
        return any(_is_container(part) for part in typing.get_args(annotation))
    return origin in {dict, tuple}
