"""Validates the valid fields of a section, so that one error does not hide the next."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from settings.pydantic_errors import section_of
from settings.sections import Section

FieldPath = tuple[str, ...]
MAX_ROUNDS = 5


class InvalidFieldError(Exception):
    """An invalid field was read."""


class ValidPart:
    """A section with invalid fields; reading one of them raises InvalidFieldError.

    Fields only: a property may depend on any field.
    """

    def __init__(self, section: Section, invalid: Collection[FieldPath]) -> None:
        self._section, self._invalid = section, invalid

    def __getattr__(self, name: str) -> Any:
        invalid = [path[1:] for path in self._invalid if path[0] == name]
        if () in invalid:
            raise InvalidFieldError(name)
        value = getattr(self._section, name)
        return ValidPart(value, invalid) if invalid else value


def valid_part(section: type[Section], value: object) -> Section | ValidPart | None:
    """Return `value` as a section with its valid fields; None if it is not a mapping."""
    if not isinstance(value, Mapping):
        return None
    values = copy.deepcopy(dict(value))
    invalid: set[FieldPath] = set()
    # Each round replaces invalid values by examples; a missing section shows its keys in the next.
    for _ in range(MAX_ROUNDS):
        try:
            whole = section.model_validate(values)
        except ValidationError as error:
            for detail in error.errors(include_input=False, include_url=False):
                if (path := _replace_by_example(values, section, detail["loc"])) is not None:
                    invalid.add(path)
        else:
            return ValidPart(whole, invalid) if invalid else whole
    return None


def _replace_by_example(
    values: dict[str, Any], section: type[Section], location: tuple[int | str, ...]
) -> FieldPath | None:
    """Replace the value at a location; return None for a section, whose keys come next."""
    path: list[str] = []
    for part in location:
        name = str(part)
        path.append(name)
        field = section.model_fields[name]
        inner = section_of(field)
        if inner is None:
            values[name] = copy.deepcopy(field.examples[0]) if field.examples else None
            return tuple(path)
        if len(path) == len(location) or not isinstance(values.get(name), dict):
            values[name] = {}
            return None
        values, section = values[name], inner
    return None
