"""Property paths (`a.b[0]["c.d"]`, `*`): parsing, matching, lookup, ignored changes, differences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sandbox.engine.errors import EngineError
from sandbox.engine.request import PropertyChange
from sandbox.engine.state.property_values import (
    ASSET,
    SIGNATURE,
    Output,
    Secret,
    equal,
    is_asset,
    masked,
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
) -> dict[str, Any]:
    """Return the new inputs with the old values at the ignored paths."""
    result: Any = dict(new)
    for text in ignored:
        result = _reset(result, old, parse_path(text))
    return dict(result)


def _reset(new: Any, old: Any, path: Path) -> Any:
    if not path:
        return old
    if isinstance(new, Secret):
        inner = _reset(new.value, _open(old), path)
        return Secret(inner)
    old, part, rest = _open(old), path[0], path[1:]
    if isinstance(new, dict) and isinstance(old, dict):
        keys = {*new, *old} if part == "*" else {str(part)}
        changed = dict(new)
        for key in keys:
            if key in old and (key in new or not rest):
                changed[key] = _reset(new.get(key), old[key], rest)
            elif key in new and key not in old and not rest:
                del changed[key]
        return changed
    if isinstance(new, list) and isinstance(old, list):
        indexes = range(len(new)) if part == "*" else [part] if isinstance(part, int) else []
        changed_list = list(new)
        for index in indexes:
            if index < len(new) and index < len(old):
                changed_list[index] = _reset(new[index], old[index], rest)
        return changed_list
    return new


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
