"""Property paths (`a.b[0]["c.d"]`, `*`): parsing, matching, lookup, changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sandbox.engine.errors import EngineError
from sandbox.engine.request import PropertyChange
from sandbox.engine.state.property_values import (
    ASSET,
    SIGNATURE,
    Output,
    Secret,
    copied,
    equal,
    is_asset,
    masked,
    secret,
)

Path = tuple[str | int, ...]
_PART = re.compile(r"""\.?([^.\["\]]+)|\[(\d+)\]|\[\*\]|\["((?:[^"\\]|\\.)*)"\]""")
_ABSENT = object()


def parse_path(text: str) -> Path:
    """Parse a property path; `*` matches every key or element. Raises EngineError."""
    parts: list[str | int] = []
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            raise EngineError(f"{text!r} is not a property path (at character {position + 1}).")
        name, index, quoted = match.groups()
        if name is not None:
            parts.append(name)
        elif index is not None:
            parts.append(int(index))
        elif quoted is not None:
            parts.append(re.sub(r"\\(.)", r"\1", quoted))
        else:
            parts.append("*")
        position = match.end()
    return tuple(parts)


def format_path(path: Sequence[str | int]) -> str:
    """Format a path as Pulumi does."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z_$][\w$-]*", part):
            text += f".{part}" if text else part
        else:
            quoted = part.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{quoted}"]'
    return text


def covers(pattern: Path, path: Path) -> bool:
    """Whether a pattern matches a path or one of its ancestors."""
    return len(pattern) <= len(path) and all(
        one in ("*", other) for one, other in zip(pattern, path, strict=False)
    )


def _open(value: Any) -> Any:
    while isinstance(value, Secret | Output):
        value = value.value
    return value


def lookup(value: Any, path: Path) -> Any:
    """Return the value at a path, or None; a secret on the way makes the result secret."""
    hidden = False
    for part in path:
        hidden = hidden or isinstance(value, Secret)
        value = _open(value)
        if isinstance(value, dict):
            value = value.get(str(part))
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return (
        Secret(value) if hidden and value is not None and not isinstance(value, Secret) else value
    )


def ignore_changes(
    new: Mapping[str, Any], old: Mapping[str, Any], ignored: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the new inputs with the old values at the ignored paths, and the paths that fail.

    As in Pulumi's engine, a text that is no path is ignored.
    """
    result = dict(copied(new))
    failed = []
    for text in ignored:
        try:
            path = parse_path(text)
        except EngineError:
            continue
        if not path or not _reset(old, result, path, False, False):
            failed.append(text)
    return result, failed


def _reset(old: Any, new: Any, path: Path, old_secret: bool, new_secret: bool) -> bool:
    """Set `new` to the old value at a path, as the SDK's PropertyPath.reset does.

    Return False if that would add or remove an element of a list, or a part of the path. What the
    old inputs lack is removed; an old value from a secret stays secret.
    """
    old_secret, new_secret = (
        old_secret or isinstance(old, Secret),
        new_secret or isinstance(new, Secret),
    )
    old, new = _open(old), _open(new)
    part, rest = path[0], path[1:]
    flags = (old_secret, new_secret)
    wrap = secret if old_secret and not new_secret else _unchanged
    if isinstance(part, int):
        return _reset_element(old, new, part, rest, flags)
    if part == "*":
        return _reset_all(old, new, rest, flags)
    if not rest:
        return _reset_member(old, new, part, wrap)
    if not isinstance(old, dict) or not isinstance(new, dict):
        return not isinstance(old, dict) and not isinstance(new, dict)
    if part not in new:
        return part not in old
    return _reset(old.get(part), new[part], rest, *flags)


def _reset_member(old: Any, new: Any, key: str, wrap: Callable[[Any], Any]) -> bool:
    if isinstance(old, dict) and key in old:
        if not isinstance(new, dict):
            return False
        new[key] = wrap(old[key])
    elif isinstance(new, dict):
        new.pop(key, None)
    return True


def _reset_element(old: Any, new: Any, index: int, rest: Path, flags: tuple[bool, bool]) -> bool:
    lists = isinstance(old, list), isinstance(new, list)
    if not all(lists):
        return not any(lists)
    if not rest and index >= len(old) and index >= len(new):
        return True
    if index >= min(len(old), len(new)):
        return False
    if rest:
        return _reset(old[index], new[index], rest, *flags)
    new[index] = secret(old[index]) if flags[0] and not flags[1] else old[index]
    return True


def _reset_all(old: Any, new: Any, rest: Path, flags: tuple[bool, bool]) -> bool:
    wrap = secret if flags[0] and not flags[1] else _unchanged
    if not rest and isinstance(new, dict):
        if isinstance(old, dict):
            new.clear()
            new.update({key: wrap(item) for key, item in old.items()})
        return True
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and _reset(old[key], new[key], rest, *flags) for key in old)
    if not isinstance(new, list):
        return False
    if not isinstance(old, list):
        return not rest
    for index in range(min(len(old), len(new))):
        if not rest:
            new[index] = wrap(old[index])
        elif not _reset(old[index], new[index], rest, *flags):
            return False
    return len(old) == len(new)


def _unchanged(value: Any) -> Any:
    return value


class Label(str):
    """Text that represents a value and is not quoted."""

    __slots__ = ()


def displayed(value: Any) -> Any:
    """Return a value for display: masked secrets, assets as source and abbreviated hash."""
    if isinstance(value, list):
        return [displayed(item) for item in value]
    if not isinstance(value, dict):
        return masked(value)
    if not is_asset(value):
        return {key: displayed(item) for key, item in value.items()}
    what = "asset" if value[SIGNATURE] == ASSET else "archive"
    source = next((key for key in ("path", "uri", "assets") if key in value), "text")
    origin = {"path": "file", "uri": "uri", "assets": "assets", "text": "text"}[source]
    place = f" {value[source]}" if source in ("path", "uri") else ""
    return Label(f"{what}({origin}:{str(value.get('hash', ''))[:7]}){place}")


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[PropertyChange]:
    """Return the differences of two property maps, leaf by leaf; secrets are masked."""
    changes: list[PropertyChange] = []
    _compare(dict(old), dict(new), (), changes)
    return changes


def _compare(old: Any, new: Any, path: Path, changes: list[PropertyChange]) -> None:
    plain_old, plain_new = _open(old), _open(new)
    secretive = isinstance(old, Secret) or isinstance(new, Secret)
    if old is _ABSENT:
        changes.append(PropertyChange(format_path(path), "add", None, displayed(new)))
    elif new is _ABSENT:
        changes.append(PropertyChange(format_path(path), "delete", displayed(old), None))
    elif equal(old, new):
        return
    elif not secretive and is_asset(plain_old) and is_asset(plain_new):
        before, after = plain_old.get("assets"), plain_new.get("assets")
        if before is None or after is None:
            changes.append(
                PropertyChange(format_path(path), "update", displayed(old), displayed(new))
            )
        else:
            _compare(before, after, path, changes)
    elif not secretive and isinstance(plain_old, dict) and isinstance(plain_new, dict):
        for key in sorted({*plain_old, *plain_new}):
            _compare(
                plain_old.get(key, _ABSENT), plain_new.get(key, _ABSENT), (*path, key), changes
            )
    elif not secretive and isinstance(plain_old, list) and isinstance(plain_new, list):
        for index in range(max(len(plain_old), len(plain_new))):
            before = plain_old[index] if index < len(plain_old) else _ABSENT
            after = plain_new[index] if index < len(plain_new) else _ABSENT
            _compare(before, after, (*path, index), changes)
    else:
        one, other = ("[secret]", "[secret]") if secretive else (displayed(old), displayed(new))
        changes.append(PropertyChange(format_path(path), "update", one, other))


def described(
    detailed: Mapping[str, tuple[str, bool]],
    old_inputs: Mapping[str, Any],
    old_outputs: Mapping[str, Any],
    new_inputs: Mapping[str, Any],
) -> list[PropertyChange]:
    """Convert a provider's detailed diff to property changes with values."""
    changes = []
    for text, (kind, of_input) in sorted(detailed.items()):
        path = parse_path(text)
        before = lookup(old_inputs if of_input else old_outputs, path)
        if before is None and not kind.startswith("add"):
            before = lookup(old_outputs if of_input else old_inputs, path)
        after = None if kind.startswith("delete") else lookup(new_inputs, path)
        plain_kind, _, replaces = kind.partition("-")
        if (
            plain_kind == "update" and is_asset(before) and is_asset(after)
        ):  # one change for each member
            inner: list[PropertyChange] = []
            _compare(before, after, path, inner)
            changes += [replace(item, replaces=bool(replaces)) for item in inner]
            continue
        if isinstance(before, Secret) or isinstance(after, Secret):
            before = None if before is None else Secret(before)
            after = None if after is None else Secret(after)
        changes.append(
            PropertyChange(
                text,
                plain_kind,
                None if plain_kind == "add" else displayed(before),
                displayed(after),
                bool(replaces),
            )
        )
    return changes
