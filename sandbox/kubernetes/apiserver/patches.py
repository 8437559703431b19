"""JSON patch (RFC 6902), merge patch (RFC 7386) and strategic merge patch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import jsonpatch

from sandbox.kubernetes.apimachinery.errors import ApiError, bad_request
from sandbox.kubernetes.apimachinery.schema import Schema


def json_patch(document: Any, operations: Any) -> Any:
    """Apply a JSON patch; a failed `test` or a missing path is refused as by the API server.

    As in Go, null is a list without operations; Pulumi's Kubernetes provider sends it.
    """
    if operations is None:
        operations = []
    if not isinstance(operations, list):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type "
            "[]handlers.jsonPatchOp"
        )
    try:
        return jsonpatch.apply_patch(document, operations)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError):
        message = "the server rejected our request due to an error in our request"
        raise ApiError(422, "Invalid", message, {}) from None


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a merge patch: null removes, objects merge, other values replace."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def strategic_merge(  # noqa: PLR0912 - one branch per directive
    schema: Schema, node: Mapping[str, Any], target: Any, patch: Mapping[str, Any]
) -> Any:
    """Apply a strategic merge patch: lists with the `merge` strategy merge by their key.

    Directives: `$patch: replace|delete`, `$retainKeys`, `$setElementOrder/…`,
    `$deleteFromPrimitiveList/…`.
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
        elif isinstance(value, list) and "merge" in str(
            field.get("x-kubernetes-patch-strategy", "")
        ):
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


def _merge_list(
    schema: Schema, field: Mapping[str, Any], target: list[Any], patch: list[Any]
) -> list[Any]:
    merge_key = field.get("x-kubernetes-patch-merge-key")
    if not merge_key:
        return target + [copy.deepcopy(item) for item in patch if item not in target]
    if any(item.get("$patch") == "replace" for item in patch):
        return [copy.deepcopy(item) for item in patch if item.get("$patch") != "replace"]
    result = list(target)
    for item in patch:
        if merge_key not in item:
            content = " ".join(f"{key}:{value}" for key, value in sorted(item.items()))
            text = f"map: map[{content}] does not contain declared merge key: {merge_key}"
            raise ApiError(500, "", text)
        index = next(
            (i for i, old in enumerate(result) if old.get(merge_key) == item[merge_key]), None
        )
        if item.get("$patch") == "delete":
            result = [old for old in result if old.get(merge_key) != item[merge_key]]
        elif index is None:
            result.append(strategic_merge(schema, schema.items(field), {}, item))
        else:
            result[index] = strategic_merge(schema, schema.items(field), result[index], item)
    return _in_patch_order(result, target, patch, merge_key)


def _in_patch_order(
    result: list[Any], target: list[Any], patch: list[Any], merge_key: str
) -> list[Any]:
    """Order entries as the patch does; others keep their place relative to those before."""
    positions = {item.get(merge_key): index for index, item in enumerate(target)}
    entries = {item.get(merge_key): item for item in result}
    first = [item[merge_key] for item in patch if item[merge_key] in entries]
    others = [key for key in entries if key not in first]
    ordered = []
    while first or others:
        after = first and others and positions.get(first[0], -1) > positions[others[0]]
        ordered.append(others.pop(0) if not first or after else first.pop(0))
    return [entries[key] for key in ordered]


def _order(result: dict[str, Any], name: str, order: list[Any], field: Mapping[str, Any]) -> None:
    merge_key = field.get("x-kubernetes-patch-merge-key")
    positions = [
        item[merge_key] if merge_key and isinstance(item, Mapping) else item for item in order
    ]

    def position(item: Any) -> int:
        key = item.get(merge_key) if merge_key and isinstance(item, Mapping) else item
        return positions.index(key) if key in positions else len(positions)

    if isinstance(result.get(name), list):
        result[name] = sorted(result[name], key=position)
