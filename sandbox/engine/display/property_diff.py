"""Formats a changed property as `old => new`; JSON and lines of text by their parts.

Policies, pipelines and dashboards are JSON in a string, and buildspecs are many lines: as a whole
they would hide what differs. As in the Pulumi CLI, each part that differs has its own line.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from itertools import takewhile
from typing import Any

from rich.text import Text

from sandbox.engine.request import PropertyChange
from sandbox.engine.state.property_paths import Label

_STYLES = {"add": ("+", "green"), "delete": ("-", "red"), "update": ("~", "yellow")}
_UNQUOTED = ("[secret]", "output<computed>")  # stand for values
_CONTEXT = 16  # characters kept on both sides of a difference in a long value
_LONG = 100  # a longer value is reduced to where it differs
_ABSENT = object()


def describe_change(change: PropertyChange) -> list[Text]:
    """Format a change as lines, the first of them `~ path: old => new`; no difference is cut."""
    old, new = _parsed(change.old), _parsed(change.new)
    replaces = Text("  (replaces)", style="magenta") if change.replaces else Text()
    if change.kind == "update" and old is not None and new is not None:
        head = _head("update", change.path).append("(json)").append_text(replaces)
        return [head, *(Text("    ") + line for line in _compare(old, new, ""))]
    if change.kind == "update" and _has_lines(change.old) and _has_lines(change.new):
        head = _head("update", change.path).append("(text)").append_text(replaces)
        return [head, *(Text("    ") + line for line in _changed_lines(change.old, change.new))]
    if old is not None and change.kind == "update" and change.new in _UNQUOTED:
        line = _head("update", change.path).append(f"(json) => {change.new}")
        return [line.append_text(replaces)]
    if change.kind == "update":
        return [_update(change.path, change.old, change.new).append_text(replaces)]
    value = change.old if change.kind == "delete" else change.new
    return [_whole(change.kind, change.path, value).append_text(replaces)]


def _head(kind: str, path: str) -> Text:
    symbol, color = _STYLES.get(kind, _STYLES["update"])
    return Text(f"{symbol} {path}: ", style=color)


def _whole(kind: str, path: str, value: Any) -> Text:
    document = _parsed(value)
    text = formatted(value) if document is None else f"(json) {formatted(document)}"
    return _head(kind, path).append(text)


def _update(path: str, old: Any, new: Any) -> Text:
    before, after = _reduced(formatted(old), formatted(new))
    line = _head("update", path)
    return line.append(before, style="red").append(" => ", style="dim").append(after, style="green")


def _parsed(value: Any) -> Any:
    """Return the list or mapping that a string holds as JSON; None for anything else."""
    if not isinstance(value, str) or isinstance(value, Label) or value[:1] not in ("{", "["):
        return None
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict | list) else None


def _has_lines(value: Any) -> bool:
    return isinstance(value, str) and "\n" in value.rstrip("\n")


def _compare(old: Any, new: Any, path: str) -> Iterator[Text]:
    """Yield a line for each part that differs."""
    if old is _ABSENT:
        yield _whole("add", path, new)
    elif new is _ABSENT:
        yield _whole("delete", path, old)
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            before, after = old.get(key, _ABSENT), new.get(key, _ABSENT)
            if before != after:
                yield from _compare(before, after, f"{path}.{key}" if path else str(key))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _compare_lists(old, new, path)
    elif (before := _parsed(old)) is not None and (after := _parsed(new)) is not None:
        yield from _compare(before, after, path)
    else:
        yield _update(path, old, new)


def _compare_lists(old: list[Any], new: list[Any], path: str) -> Iterator[Text]:
    """Align the lists: an inserted element is one addition, not a change of all that follow."""
    before, after = ([json.dumps(item, sort_keys=True) for item in items] for items in (old, new))
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for operation, start, end, first, last in matcher.get_opcodes():
        if operation == "equal":
            continue
        for offset in range(max(end - start, last - first)):
            was = old[start + offset] if offset < end - start else _ABSENT
            is_now = new[first + offset] if offset < last - first else _ABSENT
            index = start + offset if is_now is _ABSENT else first + offset
            yield from _compare(was, is_now, f"{path}[{index}]")


def _changed_lines(old: str, new: str) -> Iterator[Text]:
    """Yield the removed and added lines of a text."""
    for line in difflib.ndiff(old.splitlines(), new.splitlines()):
        kind = {"-": "delete", "+": "add"}.get(line[:1])
        if kind:
            symbol, color = _STYLES[kind]
            yield Text(f"{symbol} {line[2:]}", style=color)


def formatted(value: object) -> str:
    """Return a value as JSON; what stands for a value is not quoted."""
    if isinstance(value, Label) or value in _UNQUOTED:
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _reduced(old: str, new: str) -> tuple[str, str]:
    """Replace what two long texts share at their start and end by an ellipsis."""
    if max(len(old), len(new)) <= _LONG:
        return old, new
    start = max(0, _shared_length(old, new) - _CONTEXT)
    shared = _shared_length(old[start:][::-1], new[start:][::-1])
    end = max(0, min(shared, len(old) - start, len(new) - start) - _CONTEXT)

    def reduced(text: str) -> str:
        middle = text[start : len(text) - end]
        return f"{'…' if start else ''}{middle}{'…' if end else ''}"

    return reduced(old), reduced(new)


def _shared_length(old: str, new: str) -> int:
    """Return the length of the common prefix."""
    pairs = zip(old, new, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
