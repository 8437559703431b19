"""What pydantic found, as this project would say it: where in the stack file, what is wrong, which command mends it."""

import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from settings.errors import Path, Problem, remove_command, set_command
from settings.sections import Section, Settings

# Pydantic's words and this project's; none of them holds what was typed.
WORDS = (
    ("Input should be a valid integer, unable to parse string as an integer", "must be a whole number"),
    ("Input should be a valid integer, got a number with a fractional part", "must be a whole number"),
    ("Input should be a valid integer", "must be a whole number"),
    ("Input should be a valid boolean, unable to interpret input", "must be true or false"),
    ("Input should be a valid boolean", "must be true or false"),
    ("Input should be a valid tuple", "must be a list"),
    ("Input should be a valid dictionary", "must be a section with keys of its own"),
    ("Tuple should have at least 1 item after validation, not 0", "must have at least one entry"),
    ("Input should be", "must be"),
)

_WRONG_CONTAINERS = {"model_type", "model_attributes_type", "dict_type", "tuple_type"}


def problems_of(error: ValidationError, project: str, stack: str) -> list[Problem]:
    """One problem for each key; where a key may be one of several things, all of them in one sentence."""
    found: dict[Path, Problem] = {}
    for detail in error.errors(include_input=False, include_url=False):
        problem = _problem(detail, project, stack)
        before = found.get(problem.path)
        if before is not None:
            problem = Problem(
                path=before.path,
                wrong=f"{before.wrong}, or {problem.wrong.removeprefix('must be ')}",
                mends=before.mends,
            )
        found[problem.path] = problem
    return list(found.values())


def stranger(path: Path, fields: Mapping[str, FieldInfo], project: str, stack: str) -> Problem:
    """A key that isn't a setting, with the nearest that is."""
    removal = remove_command(project, stack, path)
    nearest = get_close_matches(str(path[-1]), list(fields), n=1, cutoff=0.5)
    if not nearest:
        return Problem(path=path, wrong=f"is not a setting; there are {', '.join(fields)}", mends=(removal,))
    example = _examples((*path[:-1], nearest[0]), fields[nearest[0]], project, stack)
    wrong = f"is not a setting; did you mean {nearest[0]}?"
    return Problem(path=path, wrong=wrong, mends=(removal, *example))


def section_of(field: FieldInfo | None) -> type[Section] | None:
    """The section that a field holds, where it holds one."""
    annotation = field.annotation if field is not None else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def without_strangers(value: Any, field: FieldInfo) -> Any:
    """`value` without keys that aren't settings, so that one slip doesn't hide the contradictions behind it."""
    section = section_of(field)
    if section is None or not isinstance(value, dict):
        return value
    fields = section.model_fields
    return {key: without_strangers(item, fields[key]) for key, item in value.items() if key in fields}


def _problem(detail: Any, project: str, stack: str) -> Problem:
    path, section, field = _place(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return stranger(path, section.model_fields, project, stack)
    if detail["type"] == "missing":
        wrong = "is missing"
    elif detail["type"] == "value_error":
        wrong = str(detail["ctx"]["error"])
    elif detail["type"] in {"model_type", "model_attributes_type"}:
        wrong = "must be a section with keys of its own"
    else:
        wrong = str(detail["msg"])
        for theirs, ours in WORDS:
            wrong = wrong.replace(theirs, ours)
    if field is not None and typing.get_origin(field.annotation) is dict and detail["type"] != "dict_type":
        # An entry of a mapping: no example fits a name that nobody knows.
        return Problem(path=path, wrong=wrong, mends=(remove_command(project, stack, path),))
    # `pulumi config set --path` goes into a list or a mapping that is there, and refuses anything else in its place.
    first = (remove_command(project, stack, path),) if detail["type"] in _WRONG_CONTAINERS else ()
    return Problem(path=path, wrong=wrong, mends=(*first, *_examples(path, field, project, stack)))


def _examples(path: Path, field: FieldInfo | None, project: str, stack: str) -> Iterator[str]:
    """Commands that put an example in a place: one for a value, one for each key that a section must have."""
    section = section_of(field)
    if section is not None:
        for name, inner in section.model_fields.items():
            if inner.is_required():
                yield from _examples((*path, name), inner, project, stack)
    elif field is None or not field.examples:
        yield remove_command(project, stack, path)
    else:
        example = field.examples[0]
        if isinstance(path[-1], int) and isinstance(example, list):
            example = example[0]
        yield set_command(project, stack, path, example)


def _place(location: Sequence[str | int]) -> tuple[Path, type[Section], FieldInfo | None]:
    """Where a pydantic location is in the stack file: its path, the section around its last key, and that key's field.

    Pydantic names the alternatives of a union, and keys of mappings, as if they were places; those are left out.
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
        elif part != "[key]" and _holds_many(field.annotation):
            path.append(part)
    return tuple(path), section, field


def _holds_many(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin in {typing.Union, types.UnionType}:
        return any(_holds_many(part) for part in typing.get_args(annotation))
    return origin in {dict, tuple}


def nearest_of(name: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant."""
    return next(iter(get_close_matches(name, list(names), n=1)), None)
