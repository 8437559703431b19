"""Field ownership (managedFields) and server-side apply, after structured-merge-diff.

A path is a tuple of `fieldsV1` elements: `f:name` for a field or map entry, `k:{…}` for an entry of
a keyed list, `v:…` for a member of a set. Atomic lists and maps are one field.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.kubernetes.apimachinery.errors import ApiError, bad_request
from sandbox.kubernetes.apimachinery.schema import Schema

Path = tuple[str, ...]
# Server-owned fields, which no manager owns.
_SERVER_OWNED: frozenset[Path] = frozenset(
    [("f:apiVersion",), ("f:kind",), ("f:metadata",)]
    + [
        ("f:metadata", f"f:{name}")
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "resourceVersion",
            "generation",
            "managedFields",
            "clusterName",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        )
    ]
)
_MISSING = object()
# Structures and lists that Kubernetes writes even when they are empty, so that a new object has
# them before its first manager: those without "omitempty" and those that are no pointers.
_TEMPLATE = ("f:metadata", "f:spec", "f:spec/f:containers")
_INITIAL_NAMES = (
    "f:metadata f:spec f:status f:roleRef f:spec/f:strategy f:spec/f:updateStrategy "
    "f:spec/f:template f:spec/f:containers f:spec/f:jobTemplate f:spec/f:jobTemplate/f:metadata "
    "f:spec/f:jobTemplate/f:spec f:spec/f:jobTemplate/f:spec/f:template f:spec/f:scaleTargetRef "
    "f:spec/f:podSelector f:spec/f:resources f:spec/f:limits f:spec/f:names f:spec/f:versions"
)
_INITIAL: frozenset[Path] = frozenset(
    tuple(text.split("/"))
    for text in (
        *_INITIAL_NAMES.split(),
        *(f"f:spec/f:template/{part}" for part in _TEMPLATE),
        *(f"f:spec/f:jobTemplate/f:spec/f:template/{part}" for part in _TEMPLATE),
    )
)
_DEFAULT_KEYS = {"protocol": "TCP"}


@dataclass
class FieldManager:
    """An entry of managedFields."""

    name: str
    operation: str
    api_version: str
    subresource: str
    time: str
    paths: set[Path] = field(default_factory=set)

    def same_as(self, other: FieldManager) -> bool:
        """Return whether both entries belong to one manager."""
        identity = (self.name, self.operation, self.api_version, self.subresource)
        return identity == (other.name, other.operation, other.api_version, other.subresource)


def list_keys(node: Mapping[str, Any]) -> list[str]:
    """Return the key fields of a list's entries; none for an atomic list."""
    if node.get("x-kubernetes-list-type") == "map":
        return list(node["x-kubernetes-list-map-keys"])
    if "x-kubernetes-list-type" not in node and node.get("x-kubernetes-patch-merge-key"):
        return [node["x-kubernetes-patch-merge-key"]]
    return []


def list_element(item: Mapping[str, Any], keys: Sequence[str]) -> str:
    """Return the path element of a keyed list's entry."""
    values = {key: item.get(key, _DEFAULT_KEYS.get(key)) for key in keys}
    return "k:" + json.dumps(
        {k: v for k, v in sorted(values.items()) if v is not None}, separators=(",", ":")
    )


def flatten(
    schema: Schema, node: Mapping[str, Any], value: Any, path: Path = ()
) -> dict[Path, Any]:
    """Return all fields of a value by path; an entry of a keyed list is a field with None."""
    _, content = schema.resolve(node)
    atomic = "atomic" in (node.get("x-kubernetes-map-type"), content.get("x-kubernetes-map-type"))
    if isinstance(value, Mapping) and value and not atomic:
        fields: dict[Path, Any] = {}
        for key, item in value.items():
            fields.update(flatten(schema, schema.child(content, key), item, (*path, f"f:{key}")))
        return fields
    if isinstance(value, list):
        keys = list_keys(node)
        if keys and all(isinstance(item, Mapping) for item in value):
            fields = {}
            for item in value:
                entry_path = (*path, list_element(item, keys))
                fields[entry_path] = None
                fields.update(flatten(schema, schema.items(node), item, entry_path))
            return fields
        if node.get("x-kubernetes-list-type") == "set":
            return {(*path, "v:" + json.dumps(item)): None for item in value}
    return {path: value}


def manageable_fields(
    schema: Schema, node: Mapping[str, Any], document: Mapping[str, Any]
) -> dict[Path, Any]:
    """Return the fields of a document that managers can own."""
    return {
        path: value
        for path, value in flatten(schema, node, document).items()
        if path not in _SERVER_OWNED
    }


def structures(
    schema: Schema, node: Mapping[str, Any], value: Any, path: Path = ()
) -> Iterator[Path]:
    """Yield the paths of all maps and keyed lists that are no single field."""
    _, content = schema.resolve(node)
    atomic = "atomic" in (node.get("x-kubernetes-map-type"), content.get("x-kubernetes-map-type"))
    if isinstance(value, Mapping) and value and not atomic:
        if path != ("f:status",):
            yield path
        for key, item in value.items():
            yield from structures(schema, schema.child(content, key), item, (*path, f"f:{key}"))
    elif isinstance(value, list) and value:
        keys = list_keys(node)
        if keys and all(isinstance(item, Mapping) for item in value):
            yield path
            for item in value:
                entry_path = (*path, list_element(item, keys))
                yield from structures(schema, schema.items(node), item, entry_path)
        elif node.get("x-kubernetes-list-type") == "set":
            yield path


def _owned_by_update(
    schema: Schema, node: Mapping[str, Any], document: Mapping[str, Any]
) -> dict[Path, Any]:
    """Return the fields and structures that an update can own."""
    paths: dict[Path, Any] = dict.fromkeys(
        path for path in structures(schema, node, document) if path and path not in _SERVER_OWNED
    )
    return {**paths, **manageable_fields(schema, node, document)}


def encode(paths: Iterable[Path]) -> dict[str, Any]:
    """Encode paths as `fieldsV1`."""
    tree: dict[str, Any] = {}
    everything = set(paths)
    for path in sorted(everything):
        node = tree
        for part in path:
            node = node.setdefault(part, {})
    for path in everything:
        node = tree
        for part in path:
            node = node[part]
        if node:
            node["."] = {}
    return tree


def decode(tree: Mapping[str, Any], path: Path = ()) -> set[Path]:
    """Decode `fieldsV1` to paths."""
    paths: set[Path] = set()
    for part, below in tree.items():
        if part == ".":
            paths.add(path)
        elif below:
            paths |= decode(below, (*path, part))
        else:
            paths.add((*path, part))
    return paths


def managers(document: Mapping[str, Any]) -> list[FieldManager]:
    """Decode an object's managedFields."""
    return [
        FieldManager(
            name=entry.get("manager", ""),
            operation=entry.get("operation", "Update"),
            api_version=entry.get("apiVersion", ""),
            subresource=entry.get("subresource", ""),
            time=entry.get("time", ""),
            paths=decode(entry.get("fieldsV1") or {}),
        )
        for entry in document["metadata"].get("managedFields") or ()
    ]


def write(document: dict[str, Any], entries: Iterable[FieldManager]) -> None:
    """Set an object's managedFields without empty entries."""
    written = [
        {
            "manager": entry.name,
            "operation": entry.operation,
            "apiVersion": entry.api_version,
            "time": entry.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": encode(entry.paths),
            **({"subresource": entry.subresource} if entry.subresource else {}),
        }
        for entry in entries
        if entry.paths
    ]
    if written:
        document["metadata"]["managedFields"] = written
    else:
        document["metadata"].pop("managedFields", None)


def record_update(
    schema: Schema,
    node: Mapping[str, Any],
    before: Mapping[str, Any] | None,
    after: dict[str, Any],
    manager: FieldManager,
) -> None:
    """Transfer the fields that an update changed to `manager`."""
    new = _owned_by_update(schema, node, after)
    if before is None:
        old: dict[Path, Any] = {
            path: new[path] for path in _INITIAL if new.get(path, _MISSING) in (None, {})
        }
    else:
        old = _owned_by_update(schema, node, before)
    changed = {path for path, value in new.items() if old.get(path, _MISSING) != value}
    removed = set(old) - set(new)
    entries = managers(before) if before is not None else []
    if not changed and not removed:
        write(after, entries)
        return
    own = next((entry for entry in entries if entry.same_as(manager)), None)
    for entry in entries:
        entry.paths -= removed if entry is own else removed | changed
    if own is None:
        own = manager
        entries.append(own)
    own.paths |= changed
    if changed:
        own.time = manager.time
    write(after, entries)


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
                set(_owned_by_update(schema, node, live)),
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
                if path in entry.paths and current.get(path, _MISSING) != value
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
            result[key] = _merge(schema, schema.child(content, key), live.get(key, _MISSING), value)
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
        new[part] = _merge(schema, schema.items(node), old.get(part, _MISSING), item)
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
