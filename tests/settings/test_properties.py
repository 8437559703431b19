"""Validation of any input returns settings or one SettingsError that repeats no value."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from settings import SECRET, Settings, SettingsError, parse
from settings.sections import Section
from tests.program.recording import TODAY
from tests.program.running import stack_file

SENTINEL = "s3cr3t-Zq9"

names = st.sampled_from(sorted(Settings.model_fields)) | st.text(max_size=12)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.just(SENTINEL)
    | st.just(SECRET)
    | st.sampled_from(
        [
            "{",
            "[",
            '{"a": [1]}',
            "[" * 5000,
            "0.0.0.0/0",
            "10.0.0.0/33",
            "::/0",
            "1.35",
            "\x00",
            "\ud800",
        ]
    )
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=12,
)


def validate(raw: dict[str, Any]) -> None:
    try:
        result = parse(raw, "platform", "dev", today=TODAY)
    except SettingsError as error:
        assert error.problems
        assert SENTINEL not in str(error)
        assert all(letter.isprintable() or letter == "\n" for letter in str(error))
    else:
        assert isinstance(result, Settings)


@given(st.dictionaries(names, values, max_size=6))
def test_any_configuration_is_validated(raw: dict[str, Any]) -> None:
    validate(raw)


def paths_of(section: type[Section], parents: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of all keys of a stack file."""
    paths = []
    for name, field in section.model_fields.items():
        if name in {"project", "stack"}:
            continue
        paths.append((*parents, name))
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            paths += paths_of(field.annotation, (*parents, name))
    return paths


@given(
    st.sampled_from(["dev", "prod"]),
    st.lists(st.tuples(st.sampled_from(paths_of(Settings)), values), max_size=3),
)
def test_any_value_at_any_key_is_validated(
    stack: str, changes: list[tuple[tuple[str, ...], Any]]
) -> None:
    raw: Any = copy.deepcopy(stack_file(stack))
    for path, value in changes:
        section = raw
        for key in path[:-1]:
            section = section.setdefault(key, {}) if isinstance(section, dict) else None
        if isinstance(section, dict):
            section[path[-1]] = value
    validate(raw)
