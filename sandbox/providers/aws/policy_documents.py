"""Semantic equality of JSON and IAM policy documents, as AWS normalizes them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_ROOT = re.compile(r"^arn:aws[\w-]*:iam::(\d{12}):root$")
_SETS = ("Action", "NotAction", "Resource", "NotResource")


def same_json(one: str, other: str) -> bool:
    """Whether two JSON texts are the same document; other texts are compared literally."""
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return one == other


def same_policy(one: str, other: str) -> bool:
    """Whether two IAM policy documents are equivalent."""
    try:
        first, second = json.loads(one), json.loads(other)
    except ValueError:
        return one == other
    if not isinstance(first, dict) or not isinstance(second, dict):
        return bool(first == second)
    return bool(_canonical(first) == _canonical(second))


def _canonical(document: Mapping[str, Any]) -> Any:
    rest = {key: value for key, value in document.items() if key != "Statement"}
    statements = document.get("Statement", [])
    listed = statements if isinstance(statements, list) else [statements]
    return rest, [_statement(item) if isinstance(item, dict) else item for item in listed]


def _statement(statement: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in statement.items():
        if key in _SETS:
            result[key] = _strings(value)
        elif key in ("Principal", "NotPrincipal"):
            result[key] = (
                {kind: _strings(who) for kind, who in value.items()}
                if isinstance(value, dict)
                else {"AWS": _strings(value)}
            )
        elif key == "Condition" and isinstance(value, dict):
            result[key] = {
                operator: {name: _strings(values) for name, values in tests.items()}
                for operator, tests in value.items()
            }
        elif key != "Sid" or value:
            result[key] = value
    return result


def _strings(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return sorted({_ROOT.sub(r"\1", _text(item)) for item in listed})


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)
