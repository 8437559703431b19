"""The three kinds of PATCH that carry a difference: JSON patch (RFC 6902), merge patch (RFC 7386), strategic merge."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.kubernetes.apimachinery.errors import ApiError, bad_request
from sandbox.kubernetes.apimachinery.schema import Schema


def json_patch(document: Any, operations: Sequence[Mapping[str, Any]]) -> Any:
    """Apply RFC 6902 operations; a failed `test` or a missing path is refused as the API server does."""
    document = copy.deepcopy(document)
    for operation in operations:
        try:
            document = _operate(document, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise ApiError(
                422, "Invalid", f"the server rejected our request due to an error in our request: {operation}: {error}"
            ) from None
    return document


def _operate(document: Any, operation: Mapping[str, Any]) -> Any:
    action, path = operation["op"], _pointer(operation["path"])
    if action in {"move", "copy"}:
        value = copy.deepcopy(_at(document, _pointer(operation["from"])))
        if action == "move":
            document = _remove(document, _pointer(operation["from"]))
        return _add(document, path, value)
    if action == "add":
        return _add(document, path, operation["value"])
    if action == "remove":
        return _remove(document, path)
    if action == "replace":
        _at(document, path)
        return _add(_remove(document, path), path, operation["value"]) if path else operation["value"]
    if action == "test":
        if _at(document, path) != operation["value"]:
            raise ValueError(f"testing value {operation['path']} failed")
        return document
    raise ValueError(f"unexpected kind: {action}")


def _pointer(text: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _at(document: Any, path: Sequence[str]) -> Any:
    for part in path:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def _add(document: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    parent = _at(document, path[:-1])
    if isinstance(parent, list):
        parent.insert(len(parent) if path[-1] == "-" else int(path[-1]), value)
    else:
        parent[path[-1]] = value
    return document


def _remove(document: Any, path: Sequence[str]) -> Any:
    parent = _at(document, path[:-1])
    if isinstance(parent, list):
        parent.pop(int(path[-1]))
    else:
        del parent[path[-1]]
    return document


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply an RFC 7386 merge patch: null removes, objects merge, everything else replaces."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def strategic_merge(schema: Schema, node: Mapping[str, Any], target: Any, patch: Mapping[str, Any]) -> Any:  # noqa: PLR0912 - one per directive
    """Apply Kubernetes' strategic merge patch: lists of the schema's `merge` strategy merge by their key.

    Understands `$patch: replace|delete`, `$retainKeys`, `$setElementOrder/…` and `$deleteFromPrimitiveList/…`.
    """
    if patch.get("$patch") == "replace":
        return {key: copy.deepcopy(value) for key, value in patch.items() if key != "$patch"}
    if patch.get("$patch") == "delete":
        return {}
    result = dict(target) if isinstance(target, Mapping) else {}
    if "$retainKeys" in patch:
        result = {key: value for key, value in result.items() if key in patch["$retainKeys"]}
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None:
            result.pop(key, None)
            continue
        field = schema.child(node, key)
        if isinstance(value, Mapping):
            result[key] = strategic_merge(schema, field, result.get(key), value)
        elif isinstance(value, list) and "merge" in str(field.get("x-kubernetes-patch-strategy", "")):
            result[key] = _merge_list(schema, field, result.get(key) or [], value)
        else:
            result[key] = copy.deepcopy(value)
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.split("/", 1)[1]
            result[name] = [item for item in result.get(name) or [] if item not in value]
    for key, value in patch.items():
        if key.startswith("$setElementOrder/"):
            _order(result, key.split("/", 1)[1], value, schema.child(node, key.split("/", 1)[1]))
    return result


def _merge_list(schema: Schema, field: Mapping[str, Any], target: list[Any], patch: list[Any]) -> list[Any]:
    merge_key = field.get("x-kubernetes-patch-merge-key")
    if not merge_key:
        return target + [copy.deepcopy(item) for item in patch if item not in target]
    if any(item.get("$patch") == "replace" for item in patch):
        return [copy.deepcopy(item) for item in patch if item.get("$patch") != "replace"]
    result = list(target)
    for item in patch:
        if merge_key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {merge_key}")
        index = next((i for i, old in enumerate(result) if old.get(merge_key) == item[merge_key]), None)
        if item.get("$patch") == "delete":
            result = [old for old in result if old.get(merge_key) != item[merge_key]]
        elif index is None:
            result.append(strategic_merge(schema, schema.items(field), {}, item))
        else:
            result[index] = strategic_merge(schema, schema.items(field), result[index], item)
    return result


def _order(result: dict[str, Any], name: str, order: list[Any], field: Mapping[str, Any]) -> None:
    merge_key = field.get("x-kubernetes-patch-merge-key")
    wanted = [item[merge_key] if merge_key and isinstance(item, Mapping) else item for item in order]

    def place(item: Any) -> int:
        key = item.get(merge_key) if merge_key and isinstance(item, Mapping) else item
        return wanted.index(key) if key in wanted else len(wanted)

    if isinstance(result.get(name), list):
        result[name] = sorted(result[name], key=place)
