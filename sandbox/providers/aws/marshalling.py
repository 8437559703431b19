"""Conversion of properties to boto3 requests and of responses to properties."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any


def without_none(**values: Any) -> dict[str, Any]:
    """Return the values that are not None, which boto3 refuses."""
    return {key: value for key, value in values.items() if value is not None}


def filled(**values: Any) -> dict[str, Any]:
    """Return the values that are neither None nor empty."""
    return {key: value for key, value in values.items() if value not in (None, "", [], {})}


def moment(value: Any) -> str | None:
    """Return a timestamp in RFC 3339, as the AWS provider does."""
    if not isinstance(value, datetime.datetime):
        return value if isinstance(value, str) else None
    return value.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pascal(value: Any) -> Any:
    """Return a structure with capitalized keys (`arn` → `Arn`)."""
    return _with_keys(value, lambda key: key[:1].upper() + key[1:])


def camel(value: Any) -> Any:
    """Return a structure with keys in lower camel case (`Arn` → `arn`)."""
    return _with_keys(value, lambda key: key[:1].lower() + key[1:])


def tag_map(pairs: Any, key: str = "Key", value: str = "Value") -> dict[str, str]:
    """Return AWS's list of tags as a map."""
    return {pair[key]: pair[value] for pair in pairs or ()}


def tag_list(
    tags: Mapping[str, str], key: str = "Key", value: str = "Value"
) -> list[dict[str, str]]:
    """Return tags as AWS's list."""
    return [{key: name, value: content} for name, content in tags.items()]


def _with_keys(value: Any, spell: Callable[[str], str]) -> Any:
    if isinstance(value, Mapping):
        return {
            spell(key): _with_keys(item, spell) for key, item in value.items() if item is not None
        }
    if isinstance(value, (list, tuple)):
        return [_with_keys(item, spell) for item in value]
    return value
