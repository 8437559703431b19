"""Turning properties into boto3 requests and answers into properties: absent values, moments, and spellings of keys."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any


def given(**values: Any) -> dict[str, Any]:
    """The values that are there; boto3 refuses None."""
    return {key: value for key, value in values.items() if value is not None}


def filled(**values: Any) -> dict[str, Any]:
    """The values that say something: neither None, nor empty text, list or map."""
    return {key: value for key, value in values.items() if value not in (None, "", [], {})}


def moment(value: Any) -> str | None:
    """A time of an answer in RFC 3339, as the AWS provider writes it."""
    if not isinstance(value, datetime.datetime):
        return value if isinstance(value, str) else None
    return value.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pascal(value: Any) -> Any:
    """A structure with every key's first letter raised (`arn` → `Arn`)."""
    return _spelled(value, lambda key: key[:1].upper() + key[1:])


def camel(value: Any) -> Any:
    """A structure with every key's first letter lowered (`Arn` → `arn`)."""
    return _spelled(value, lambda key: key[:1].lower() + key[1:])


def tag_map(pairs: Any, key: str = "Key", value: str = "Value") -> dict[str, str]:
    """Tags as a map, from AWS's list of pairs."""
    return {pair[key]: pair[value] for pair in pairs or ()}


def tag_list(tags: Mapping[str, str], key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """Tags as AWS's list of pairs."""
    return [{key: name, value: content} for name, content in tags.items()]


def _spelled(value: Any, spell: Callable[[str], str]) -> Any:
    if isinstance(value, Mapping):
        return {spell(key): _spelled(item, spell) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_spelled(item, spell) for item in value]
    return value
