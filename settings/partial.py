"""What can still be judged of a section in which something is wrong: one slip must not hide the next."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from settings.sections import Section
from settings.translation import section_of

Place = tuple[str, ...]


class UnsoundError(Exception):
    """A field was read whose value can't be judged."""


class SoundPart:
    """A section by its sound fields; reading another raises UnsoundError. Fields only: a property may rest on any of them."""

    def __init__(self, section: Section, unsound: Collection[Place]) -> None:
        self._section, self._unsound = section, unsound

    def __getattr__(self, name: str) -> Any:
        within = [place[1:] for place in self._unsound if place[0] == name]
        if () in within:
            raise UnsoundError(name)
        value = getattr(self._section, name)
        return SoundPart(value, within) if within else value


def sound_part(section: type[Section], value: object) -> Section | SoundPart | None:
    """`value` as a section, as far as it goes; None where it isn't one at all."""
    if not isinstance(value, Mapping):
        return None
    stood_in = copy.deepcopy(dict(value))
    unsound: set[Place] = set()
    # Each round puts examples where something is wrong; a section that was missing shows its own keys in the next.
    for _ in range(5):
        try:
            whole = section.model_validate(stood_in)
        except ValidationError as error:
            for detail in error.errors(include_input=False, include_url=False):
                if (place := _stand_in(stood_in, section, detail["loc"])) is not None:
                    unsound.add(place)
        else:
            return SoundPart(whole, unsound) if unsound else whole
    return None


def _stand_in(values: dict[str, Any], section: type[Section], location: tuple[int | str, ...]) -> Place | None:
    """Put an example at a location; None where that was a section, whose keys are still to come."""
    place: list[str] = []
    for part in location:
        name = str(part)
        place.append(name)
        field = section.model_fields[name]
        inner = section_of(field)
        if inner is None:
            values[name] = copy.deepcopy(field.examples[0]) if field.examples else None
            return tuple(place)
        if len(place) == len(location) or not isinstance(values.get(name), dict):
            values[name] = {}
            return None
        values, section = values[name], inner
    return None
