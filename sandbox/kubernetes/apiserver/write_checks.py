"""Refusals of writes beyond the validation of objects, and their messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sandbox.kubernetes.apimachinery import errors
from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.kubernetes.apimachinery.schema import Schema


def typed_problem(text: str) -> str:
    """Return a type error in the words of server-side apply."""
    match = re.search(r"unmarshal (\w+) into Go struct field \w+\.(\S+) of type (\S+)", text)
    if match is None:
        return text
    expected = {"int32": "numeric (int or float)", "int64": "numeric (int or float)"}
    actual = {"number": "int", "bool": "boolean", "array": "list", "object": "map"}
    value, path, field = match.groups()
    return f".{path}: expected {expected.get(field, field)}, got {actual.get(value, value)}"


def check_finalizers(kind: Kind, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuse new finalizers of an object that is being deleted; both are its metadata."""
    added = [f for f in new.get("finalizers") or () if f not in (old.get("finalizers") or ())]
    if added:
        listed = ", ".join(f'"{item}"' for item in added)
        text = (
            "no new finalizers can be added if the object is being deleted, found new finalizers "
            f"[]string{{{listed}}}"
        )
        # Kubernetes reports it twice.
        cause = errors.forbidden_field("metadata.finalizers", text)
        raise errors.invalid(kind, name, [cause, cause])


_PROPAGATION = ["Foreground", "Background", "Orphan", "nil"]


def check_deletion(kind: Kind, name: str, options: Mapping[str, Any]) -> None:
    """Refuse an unknown propagation policy, and the deletion of a system namespace."""
    policy = options.get("propagationPolicy")
    if policy is not None and policy not in _PROPAGATION:
        cause = errors.unsupported("propagationPolicy", policy, _PROPAGATION)
        raise errors.invalid_options("DeleteOptions", cause)
    if kind.kind == "Namespace" and name in {"default", "kube-system", "kube-public"}:
        raise errors.forbidden(kind, name, "this namespace may not be deleted")


def without_resource_version(kind: Kind, name: str) -> errors.ApiError:
    """The update of a kind that requires a resource version has none."""
    cause = errors.invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
    error = errors.invalid(kind, name, [cause])
    error.message = f'{kind.group_resource} "{name}" is invalid: {cause}'
    if error.details is not None:
        error.details["kind"] = kind.plural
    return error


def check_patched(
    schema: Schema, kind: Kind, new: Any, patch: Any, *, strict: bool, strategic: bool
) -> None:
    """Refuse a patch whose result has wrong types or, if `strict`, unknown fields."""
    if not isinstance(new, Mapping):
        return
    problems, reason = schema.check(kind, new), ""
    if problems.types:
        reason = problems.types[0]
        if strategic and reason.endswith((" int32", " int64")):
            reason = f"unrecognized type: {reason.rsplit(' ', 1)[-1]}"
    elif problems.unknown and strict:
        listed = ", ".join(f'unknown field "{path}"' for path in problems.unknown)
        reason = f"strict decoding error: {listed}"
    if reason:
        cause = errors.invalid_value("patch", patch if strategic else new, reason)
        detail = {"reason": cause.reason, "message": cause.message, "field": cause.field}
        raise errors.ApiError(422, "Invalid", f' "" is invalid: {cause}', {"causes": [detail]})
