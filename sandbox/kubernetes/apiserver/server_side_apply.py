"""Server-side apply: merges a manager's fields into an object, after structured-merge-diff."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.kubernetes.apimachinery.errors import ApiError, bad_request
from sandbox.kubernetes.apimachinery.schema import Schema
from sandbox.kubernetes.apiserver.managed_fields import (
    MISSING,
    FieldManager,
    Path,
    flatten,
    list_element,
    list_keys,
    manageable_fields,
    managers,
    owned_by_update,
    write,
)


def apply(
    schema: Schema,
    node: Mapping[str, Any],
    live: Mapping[str, Any] | None,
    applied: Mapping[str, Any],
    manager: FieldManager,
    *,
    force: bool,
) -> dict[str, Any]:
    """Merge an applied configuration into the live object and transfer ownership.

    Raises a conflict that names each other manager of a changed field, unless `force`.
    """
    fields = manageable_fields(schema, node, applied)
    entries = managers(live) if live is not None else []
    if live is not None and not entries:
        # Nobody owns an object whose managedFields were removed.
        entries = [
            FieldManager(
                "before-first-apply", "Update", manager.api_version, "", manager.time,
                set(owned_by_update(schema, node, live)),
            )
        ]  # fmt: skip
    current = flatten(schema, node, live) if live is not None else {}
    own = next((entry for entry in entries if entry.same_as(manager)), None)
    others = [entry for entry in entries if entry is not own]
    contested = [
        (
            entry,
            {
                path
                for path, value in fields.items()
                if path in entry.paths and current.get(path, MISSING) != value
            },
        )
        for entry in others
    ]
    clashes = [(entry, paths) for entry, paths in contested if paths]
    if clashes and not force:
        raise _conflict(clashes)
    for entry, paths in clashes:
        entry.paths -= paths
    merged: dict[str, Any] = _merge(schema, node, live or {}, applied)
    if own is not None:
        dropped = own.paths - set(fields)
        owned_by_others = set().union(*(entry.paths for entry in others))
        for path in sorted(dropped - owned_by_others, key=len, reverse=True):
            if not any(other[: len(path)] == path for other in (*owned_by_others, *fields)):
                _drop(merged, path)
        own.paths, own.time = (
            set(fields),
            own.time if not dropped and set(fields) == own.paths else manager.time,
        )
    else:
        manager.paths = set(fields)
        others.append(manager)
    write(merged, [*others, own] if own is not None else others)
    return merged


def duplicate_entry(schema: Schema, node: Mapping[str, Any], value: Any, path: Path = ()) -> str:
    """Return path and key of an entry that a keyed list has twice, or ""."""
    _, content = schema.resolve(node)
    if isinstance(value, Mapping):
        parts = [
            duplicate_entry(schema, schema.child(content, key), item, (*path, f"f:{key}"))
            for key, item in value.items()
        ]
        return next(filter(None, parts), "")
    keys = list_keys(node) if isinstance(value, list) else []
    elements: set[str] = set()
    for item in value if keys else ():
        if not isinstance(item, Mapping):
            return ""
        element = list_element(item, keys)
        if element in elements:
            return f"{format_path(path)}: duplicate entries for key {format_path((element,))}"
        elements.add(element)
        inside = duplicate_entry(schema, schema.items(node), item, (*path, element))
        if inside:
            return inside
    return ""


def _conflict(clashes: Sequence[tuple[FieldManager, set[Path]]]) -> ApiError:
    causes: list[dict[str, Any]] = []
    groups: list[tuple[str, list[str]]] = []
    for entry, paths in clashes:
        using = f'conflict with "{entry.name}"' + (
            f' with subresource "{entry.subresource}"' if entry.subresource else ""
        )
        if entry.operation == "Update":
            using += f" using {entry.api_version}"
        texts = [format_path(path) for path in sorted(paths)]
        causes += [
            {"reason": "FieldManagerConflict", "message": using, "field": message_text}
            for message_text in texts
        ]
        groups.append((using, texts))
    count = len(causes)
    if count == 1:
        message_text = f"{groups[0][0]}: {groups[0][1][0]}"
    else:
        message_text = "\n".join(
            f"{using.replace('conflict with', 'conflicts with', 1)}:\n"
            + "\n".join(f"- {item}" for item in texts)
            for using, texts in groups
        )
    message = f"Apply failed with {count} conflict{'s' if count > 1 else ''}: {message_text}"
    return ApiError(409, "Conflict", message, {"causes": causes})


def format_path(path: Path) -> str:
    """Format a path as the API server does (`.spec.containers[name="app"].image`)."""
    text = ""
    for part in path:
        if part.startswith("k:"):
            pairs = json.loads(part[2:]).items()
            text += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in pairs) + "]"
        elif part.startswith("v:"):
            text += f"[={part[2:]}]"
        else:
            text += "." + part[2:]
    return text


def _merge(schema: Schema, node: Mapping[str, Any], live: Any, applied: Any) -> Any:
    _, content = schema.resolve(node)
    atomic = "atomic" in (node.get("x-kubernetes-map-type"), content.get("x-kubernetes-map-type"))
    if isinstance(applied, Mapping) and isinstance(live, Mapping) and not atomic:
        result = copy.deepcopy(dict(live))
        for key, value in applied.items():
            result[key] = _merge(schema, schema.child(content, key), live.get(key, MISSING), value)
        return result
    if isinstance(applied, list) and isinstance(live, list):
        keys = list_keys(node)
        if keys:
            return _merge_keyed(schema, node, live, applied, keys)
        if node.get("x-kubernetes-list-type") == "set":
            return live + [item for item in applied if item not in live]
    return copy.deepcopy(applied)


def _merge_keyed(
    schema: Schema,
    node: Mapping[str, Any],
    live: list[Any],
    applied: list[Any],
    keys: Sequence[str],
) -> list[Any]:
    old = {list_element(item, keys): item for item in live}
    new: dict[str, Any] = {}
    for item in applied:
        part = list_element(item, keys)
        if part in new:
            raise bad_request(f"duplicate entries for key [{part[2:]}]")
        new[part] = _merge(schema, schema.items(node), old.get(part, MISSING), item)
    return [new.pop(part, None) or copy.deepcopy(item) for part, item in old.items()] + list(
        new.values()
    )


def _drop(document: Any, path: Path) -> None:
    head, rest = path[0], path[1:]
    if isinstance(document, list):
        for index, item in enumerate(document):
            if _matches(item, head):
                if rest:
                    # An entry keeps its key fields.
                    if not (
                        len(rest) == 1
                        and head.startswith("k:")
                        and rest[0][2:] in json.loads(head[2:])
                    ):
                        _drop(item, rest)
                else:
                    document.pop(index)
                return
    elif isinstance(document, dict):
        key = head[2:]
        if key not in document:
            return
        if not rest:
            del document[key]
            return
        _drop(document[key], rest)
        if document[key] in ({}, []):
            del document[key]


def _matches(item: Any, part: str) -> bool:
    if part.startswith("v:"):
        return bool(json.loads(part[2:]) == item)
    keys = json.loads(part[2:])
    return isinstance(item, Mapping) and list_element(item, list(keys)) == part
