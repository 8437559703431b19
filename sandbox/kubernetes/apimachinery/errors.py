"""Errors of the Kubernetes API in the API server's words, each convertible to a `Status`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.kubernetes.apimachinery.kinds import Kind


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One field's error: `reason` is Kubernetes' cause type, `field` a path as in
    spec.ports[0].port.
    """

    reason: str
    message: str
    field: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


def required(field: str, message: str = "") -> Cause:
    """Report a missing field."""
    return Cause(
        reason="FieldValueRequired",
        field=field,
        message="Required value" + (f": {message}" if message else ""),
    )


def invalid_value(field: str, value: object, message: str) -> Cause:
    """Report a value that breaks a rule."""
    return Cause(
        reason="FieldValueInvalid",
        field=field,
        message=f"Invalid value: {format_value(value)}: {message}",
    )


def forbidden_field(field: str, message: str) -> Cause:
    """Report a field that may not be set or changed."""
    return Cause(reason="FieldValueForbidden", field=field, message=f"Forbidden: {message}")


def unsupported(field: str, value: object, allowed: Sequence[str]) -> Cause:
    """Report a value that is not one of the allowed ones."""
    listed = ", ".join(format_value(item) for item in allowed)
    return Cause(
        reason="FieldValueNotSupported",
        field=field,
        message=f"Unsupported value: {format_value(value)}: supported values: {listed}",
    )


def too_long(field: str, limit: int, unit: str = "bytes") -> Cause:
    """Report a value that is too long; the message does not repeat it."""
    message = f"Too long: may not be more than {limit} {unit}"
    return Cause(reason="FieldValueTooLong", field=field, message=message)


def duplicate(field: str, value: object) -> Cause:
    """Report a repeated list entry."""
    return Cause(
        reason="FieldValueDuplicate", field=field, message=f"Duplicate value: {format_value(value)}"
    )


def format_value(value: object) -> str:
    """Format a value as Go's %v and %q do."""
    if isinstance(value, str):
        return f'"{value}"'
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return json.dumps(value, separators=(",", ":"))
    return str(value)


class ApiError(Exception):
    """An error with HTTP `code`, Kubernetes `reason` and optional `details`."""

    def __init__(
        self, code: int, reason: str, message: str, details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details

    def status(self) -> dict[str, Any]:
        """Return the `Status` object that the server sends."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        return status


def _details(kind: Kind, name: str, uid: str = "") -> dict[str, Any]:
    details: dict[str, Any] = {"name": name, "kind": kind.plural}
    if kind.group:
        details["group"] = kind.group
    if uid:
        details["uid"] = uid
    return details


def not_found(kind: Kind, name: str) -> ApiError:
    """The object does not exist."""
    return ApiError(
        404, "NotFound", f'{kind.group_resource} "{name}" not found', _details(kind, name)
    )


def no_such_path() -> ApiError:
    """The cluster does not serve this resource type or version."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(kind: Kind, name: str) -> ApiError:
    """The name is taken."""
    return ApiError(
        409, "AlreadyExists", f'{kind.group_resource} "{name}" already exists', _details(kind, name)
    )


def conflict(kind: Kind, name: str, why: str = "") -> ApiError:
    """The object has changed since the caller read it."""
    reason = (
        why
        or "the object has been modified; please apply your changes to the latest version and "
        "try again"
    )
    return ApiError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {kind.group_resource} "{name}": {reason}',
        _details(kind, name),
    )


def invalid(kind: Kind, name: str, causes: Sequence[Cause]) -> ApiError:
    """The object breaks validation rules; all are listed."""
    messages = dict.fromkeys(str(cause) for cause in causes)
    text = ", ".join(messages)
    text = text if len(messages) == 1 else f"[{text}]"
    details: dict[str, Any] = {**({"name": name} if name else {}), "kind": kind.kind}
    if kind.group:
        details["group"] = kind.group
    details["causes"] = [
        {"reason": c.reason, "message": c.message, "field": c.field} for c in causes
    ]
    title = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    return ApiError(422, "Invalid", f'{title} "{name}" is invalid: {text}', details)


def invalid_options(kind: str, *causes: Cause) -> ApiError:
    """The parameters of a request are invalid."""
    return ApiError(
        422,
        "Invalid",
        f'{kind}.meta.k8s.io "" is invalid: {", ".join(str(cause) for cause in causes)}',
        {
            "group": "meta.k8s.io",
            "kind": kind,
            "causes": [
                {"reason": c.reason, "message": c.message, "field": c.field} for c in causes
            ],
        },
    )


def forbidden(kind: Kind, name: str, why: str) -> ApiError:
    """Admission or authorization refuses the request."""
    subject = f'{kind.group_resource} "{name}"' if name else kind.group_resource
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {why}", _details(kind, name))


def bad_request(message: str) -> ApiError:
    """The request is malformed."""
    return ApiError(400, "BadRequest", message)


def invalid_resource_version(text: str) -> ApiError:
    """The resource version is no number."""
    return bad_request(
        f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid '
        "syntax"
    )


def unauthorized() -> ApiError:
    """The token is refused."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def method_not_allowed(why: str) -> ApiError:
    """The resource type does not support the method."""
    return ApiError(405, "MethodNotAllowed", why, {})


def expired(message: str) -> ApiError:
    """The resource version is no longer in the watch history."""
    return ApiError(410, "Expired", message)
