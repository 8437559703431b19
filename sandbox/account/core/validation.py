"""Validates requests against botocore's service models: types, enums, patterns, lengths, ranges."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from sandbox.account.core.errors import AwsError
from sandbox.account.core.wire import Call

# A botocore shape; its attributes depend on type_name.
Shape = Any

# Each service's error codes for an invalid and for a missing value. Source: "Common errors" of each
# API reference, and botocore's error shapes.
_CODES: dict[str, tuple[str, str]] = {
    "ec2": ("InvalidParameterValue", "MissingParameter"),
    "rds": ("InvalidParameterValue", "MissingParameter"),
    "iam": ("ValidationError", "ValidationError"),
    "sts": ("ValidationError", "ValidationError"),
    "cloudwatch": ("ValidationError", "MissingParameter"),
    "elbv2": ("ValidationError", "ValidationError"),
    "autoscaling": ("ValidationError", "ValidationError"),
    "sns": ("InvalidParameter", "InvalidParameter"),
    "s3": ("InvalidArgument", "InvalidRequest"),
    "eks": ("InvalidParameterException", "InvalidParameterException"),
    "ecr": ("InvalidParameterException", "InvalidParameterException"),
    "logs": ("InvalidParameterException", "InvalidParameterException"),
    "budgets": ("InvalidParameterException", "InvalidParameterException"),
    "codebuild": ("InvalidInputException", "InvalidInputException"),
    "route53": ("InvalidInput", "InvalidInput"),
    "wafv2": ("WAFInvalidParameterException", "WAFInvalidParameterException"),
}
_DEFAULT_CODES = ("ValidationException", "ValidationException")
_MANDATORY_RANGES = frozenset({"integer", "long", "float", "double"})
_PROPERTY_CLASSES = {
    r"\p{L}": r"\w",
    r"\p{M}": r"\w",
    r"\p{N}": r"\d",
    r"\p{Z}": r"\s",
    r"\p{Nd}": r"\d",
}
# EC2's and S3's models contain members that do not reach the parser.
_ENVELOPE = frozenset({"Action", "Version"})


def validate(call: Call) -> None:
    """Raise AwsError with the service's code if the request violates its model."""
    wrong_code, missing_code = _CODES.get(call.service, _DEFAULT_CODES)
    shape = call.model.input_shape
    if shape is None:
        return
    missing = list(_missing(shape, call.params, ""))
    if missing:
        if missing_code == "MissingParameter":
            raise AwsError(missing_code, f"The request must contain the parameter {missing[0]}")
        problems = [
            f"Value null at '{path}' failed to satisfy constraint: Member must not be null"
            for path in missing
        ]
        raise AwsError(missing_code, _sentence(problems))
    problems = [*_unknown(call, shape), *_problems(shape, call.params, "")]
    if problems:
        raise AwsError(wrong_code, _sentence(problems))


def _sentence(problems: list[str]) -> str:
    plural = "error" if len(problems) == 1 else "errors"
    return f"{len(problems)} validation {plural} detected: {'; '.join(problems)}"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _missing(shape: Shape, value: Any, path: str) -> Iterator[str]:
    """Yield the paths of missing required members."""
    if shape.type_name == "structure" and isinstance(value, dict):
        for name in shape.required_members:
            if value.get(name) is None:
                yield _join(path, name)
        for name, member in shape.members.items():
            if value.get(name) is not None:
                yield from _missing(member, value[name], _join(path, name))
    elif shape.type_name == "list" and isinstance(value, list):
        for index, item in enumerate(value, 1):
            yield from _missing(shape.member, item, f"{path}.{index}.member")
    elif shape.type_name == "map" and isinstance(value, dict):
        for key, item in value.items():
            yield from _missing(shape.value, item, _join(path, str(key)))


def _unknown(call: Call, shape: Shape) -> Iterator[str]:
    """Yield parameters that the model does not have; AWS mostly ignores them."""
    if call.raw_params is not None:
        payload = shape.serialization.get("payload")
        body_shape = shape.members[payload] if payload else shape
        yield from _unknown_json(body_shape, call.raw_params, "")
    elif call.protocol in {"query", "ec2"}:
        members = {
            _query_name(call.protocol, name, member) for name, member in shape.members.items()
        }
        sent = {key.split(".")[0] for key in _form_keys(call)}
        for name in sorted(sent - members - _ENVELOPE):
            if not name.startswith("X-Amz-"):
                yield f"Unknown parameter '{name}'"


def _form_keys(call: Call) -> Iterator[str]:
    for source in (call.environ.get("QUERY_STRING", ""), call.body.decode("utf-8", "replace")):
        yield from (key for key, _ in parse_qsl(source, keep_blank_values=True))


def _query_name(protocol: str, name: str, member: Shape) -> str:
    if protocol == "ec2":
        written = member.serialization.get("queryName") or member.serialization.get("name") or name
        return str(written[0].upper() + written[1:])
    if member.type_name == "list" and member.is_flattened:
        return str(
            member.member.serialization.get("name") or member.serialization.get("name", name)
        )
    return str(member.serialization.get("name", name))


def _unknown_json(shape: Shape, raw: Any, path: str) -> Iterator[str]:
    if (
        shape.type_name == "structure"
        and isinstance(raw, dict)
        and not getattr(shape, "is_document_type", False)
    ):
        members = {
            member.serialization.get("name", name): member for name, member in shape.members.items()
        }
        for name, value in raw.items():
            if name not in members:
                yield f"Unknown parameter '{_join(path, name)}'"
            else:
                yield from _unknown_json(members[name], value, _join(path, name))
    elif shape.type_name == "list" and isinstance(raw, list):
        for index, item in enumerate(raw, 1):
            yield from _unknown_json(shape.member, item, f"{path}.{index}")
    elif shape.type_name == "map" and isinstance(raw, dict):
        for key, item in raw.items():
            yield from _unknown_json(shape.value, item, _join(path, str(key)))


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "timestamp": (datetime.datetime,),
    "blob": (bytes, str),
}


def _problems(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if value is None or getattr(shape, "is_document_type", False):
        return
    kind = shape.type_name
    types: Any = _TYPES.get(kind, (object,))
    if not isinstance(value, types) or (isinstance(value, bool) and kind in _MANDATORY_RANGES):
        yield f"Value at '{path}' has the wrong type: {type(value).__name__}, expected {kind}"
        return
    if kind == "structure":
        for name, member in shape.members.items():
            yield from _problems(member, value.get(name), _join(path, name))
    elif kind == "list":
        yield from _bounds(shape, len(value), path, "length")
        for index, item in enumerate(value, 1):
            yield from _problems(shape.member, item, f"{path}.{index}.member")
    elif kind == "map":
        yield from _bounds(shape, len(value), path, "length")
        for key, item in value.items():
            yield from _problems(shape.key, key, f"{path}.key")
            yield from _problems(shape.value, item, _join(path, str(key)))
    elif kind == "string":
        yield from _string_problems(shape, value, path)
    elif kind in _MANDATORY_RANGES:
        yield from _bounds(shape, value, path, "value")


def _string_problems(shape: Shape, value: str, path: str) -> Iterator[str]:
    shown = "****" if shape.metadata.get("sensitive") else value
    if shape.enum and value not in shape.enum:
        choices = ", ".join(shape.enum)
        yield (
            f"Value '{shown}' at '{path}' failed to satisfy constraint: Member must satisfy enum "
            f"value set: [{choices}]"
        )
        return
    yield from _bounds(shape, len(value), path, "length")
    pattern = shape.metadata.get("pattern")
    if pattern and not _matches(pattern, value):
        yield (
            f"Value '{shown}' at '{path}' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {pattern}"
        )


def _bounds(shape: Shape, size: float, path: str, what: str) -> Iterator[str]:
    lowest, highest = shape.metadata.get("min"), shape.metadata.get("max")
    if lowest is not None and size < lowest:
        yield (
            f"Value at '{path}' failed to satisfy constraint: Member must have {what} greater than "
            f"or equal to {lowest}"
        )
    if highest is not None and size > highest:
        yield (
            f"Value at '{path}' failed to satisfy constraint: Member must have {what} less than or "
            f"equal to {highest}"
        )


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    for java, python in _PROPERTY_CLASSES.items():
        pattern = pattern.replace(java, python)
    try:
        return re.compile(pattern, re.DOTALL)
    except re.error:  # uses Java syntax that Python lacks
        return None


def _matches(pattern: str, value: str) -> bool:
    compiled = _compiled(pattern)
    if compiled is None:
        return True
    anchored = pattern.startswith("^") or pattern.endswith("$")
    return bool(compiled.search(value) if anchored else compiled.fullmatch(value))
