"""Reports keys that are not settings, with the nearest valid name."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic.fields import FieldInfo

from settings.errors import Path, Problem, remove_command, secret_command, set_command
from settings.pydantic_errors import section_of, unknown_key


def without_unknown_keys(value: Any, field: FieldInfo) -> Any:
    """Return `value` without unknown keys, so that they do not hide other problems."""
    section = section_of(field)
    if section is None or not isinstance(value, dict):
        return value
    fields = section.model_fields
    return {
        key: without_unknown_keys(item, fields[key]) for key, item in value.items() if key in fields
    }


def unknown_sections(
    keys: Iterable[str],
    secret_keys: Collection[str],
    secret_names: tuple[str, ...] | None,
    fields: Mapping[str, FieldInfo],
    project: str,
    stack: str,
) -> Iterator[Problem]:
    """Report top-level keys that are neither sections nor secrets of the workload.

    `secret_names` is None if the workload's list is invalid.
    """
    for key in keys:
        path: Path = (key,)
        removal = remove_command(project, stack, path)
        is_secret = key in secret_keys
        if key in fields:
            if is_secret:
                message = (
                    "is secret, but a section must not be: "
                    "a secret is a key of its own that workload.secrets names"
                )
                yield Problem(path=path, message=message, fixes=(removal,))
        elif not is_secret:
            if key not in (secret_names or ()):
                yield unknown_key(path, fields, project, stack)
        elif secret_names is not None and key not in secret_names:
            yield _unused_secret(key, secret_names, project, stack)


def _unused_secret(key: str, names: tuple[str, ...], project: str, stack: str) -> Problem:
    message = "is an unused secret: workload.secrets does not name it"
    removal = remove_command(project, stack, (key,))
    fixes: tuple[str, ...] = (removal,)
    nearest = _nearest(key, names)
    if nearest:
        message = f"{message}; did you mean {nearest}?"
        fixes = (secret_command(project, stack, nearest), removal)
    elif key.isidentifier() and key.isascii():
        path = ("workload", "secrets", len(names))
        fixes = (set_command(project, stack, path, key), removal)
    return Problem(path=(key,), message=message, fixes=fixes)


def unknown_namespaces(keys: Iterable[str], project: str, stack: str) -> Iterator[Problem]:
    """Report keys of other namespaces: misspelled prefixes and default providers."""
    for key in keys:
        namespace, _, name = key.partition(":")
        if _nearest(namespace, [project]):
            message = f"is not read; did you mean {project}:{name}?"
        elif namespace == "aws":
            message = (
                "is not read: the program creates its own AWS provider, "
                f"which {project}:aws configures"
            )
        else:
            message = f"is not read: settings of this program have the prefix {project}:"
        removal = remove_command(namespace, stack, (name,))
        yield Problem(path=(name,), message=message, fixes=(removal,), namespace=namespace)


def _nearest(name: str, names: Iterable[str]) -> str | None:
    return next(iter(get_close_matches(name, list(names), n=1)), None)
