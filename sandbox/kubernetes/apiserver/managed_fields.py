"""Field ownership (managedFields), after structured-merge-diff.

A path is a tuple of `fieldsV1` elements: `f:name` for a field or map entry, `k:{…}` for an entry of
a keyed list, `v:…` for a member of a set. Atomic lists and maps are one field.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
MISSING = object()
"""Stands for a value that does not exist, where None is a value."""
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


def owned_by_update(
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
    new = owned_by_update(schema, node, after)
    if before is None:
        old: dict[Path, Any] = {
            path: new[path] for path in _INITIAL if new.get(path, MISSING) in (None, {})
        }
    else:
        old = owned_by_update(schema, node, before)
    changed = {path for path, value in new.items() if old.get(path, MISSING) != value}
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
