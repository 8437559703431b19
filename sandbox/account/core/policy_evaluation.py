"""Evaluates IAM policy statements for one action on one resource.

Logic: IAM User Guide, "Policy evaluation logic" and "IAM JSON policy elements".
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal
from urllib.parse import unquote

Statement = Mapping[str, Any]
Decision = Literal["allow", "deny", "none"]


@dataclass(frozen=True)
class Requirement:
    """A permission that a request needs; a resource None stands for an unknown one."""

    action: str
    resource: str | None
    conditions: Mapping[str, str] = field(default_factory=dict)
    """Condition keys in lower case, without the global ones."""


def parse(document: str | Mapping[str, Any]) -> list[Statement]:
    """Return the statements of a policy document, which may be percent-encoded as IAM's are."""
    content = json.loads(unquote(document)) if isinstance(document, str) else document
    return list(_list(content.get("Statement") or ()))


def allows(
    statements: Iterable[Statement],
    action: str,
    resource: str | None,
    conditions: Mapping[str, str],
) -> bool:
    """Return whether the statements allow an action; an explicit deny precedes every allow."""
    return decide(statements, action, resource, conditions) == "allow"


def decide(
    statements: Iterable[Statement],
    action: str,
    resource: str | None,
    conditions: Mapping[str, str],
) -> Decision:
    """Return what the statements decide about an action."""
    effects = {
        statement["Effect"]
        for statement in statements
        if _applies(statement, "Action", action.lower(), str.lower)
        and (resource is None or _applies(statement, "Resource", resource, str))
        and _conditions_hold(statement.get("Condition") or {}, conditions)
    }
    if "Deny" in effects:
        return "deny"
    return "allow" if "Allow" in effects else "none"


def for_principals(
    statements: Iterable[Statement],
    names: Sequence[str],
    kind: str = "AWS",
    *,
    anyone: bool = True,
) -> Iterator[Statement]:
    """Return the statements of a resource policy whose principal is one of `names`, or anyone."""
    for statement in statements:
        negated = "NotPrincipal" in statement
        principal = statement.get("NotPrincipal" if negated else "Principal") or {}
        listed = ["*"] if principal == "*" else _list(principal.get(kind, ()))
        matches = (anyone and "*" in listed) or any(name in listed for name in names)
        if matches is not negated and (anyone or not negated):
            yield statement


def _applies(
    statement: Statement, element: str, value: str, normalize: Callable[[str], str]
) -> bool:
    negated = f"Not{element}" in statement
    patterns = _list(statement.get(f"Not{element}" if negated else element, ()))
    matches = any(_matches(normalize(pattern), value) for pattern in patterns)
    return matches is not negated


def _matches(pattern: str, value: str) -> bool:
    # Of fnmatch's syntax, IAM has * and ? only.
    return fnmatchcase(value, pattern.replace("[", "[[]"))


def _conditions_hold(
    conditions: Mapping[str, Mapping[str, Any]], values: Mapping[str, str]
) -> bool:
    return all(
        _condition_holds(operator, key, _list(expected), values)
        for operator, keys in conditions.items()
        for key, expected in keys.items()
    )


def _condition_holds(
    operator: str, key: str, expected: Sequence[Any], values: Mapping[str, str]
) -> bool:
    """Evaluate one condition; a missing key fails every operator but Null, …IfExists and Not…."""
    value = values.get(key.lower())
    quantifier, _, name = operator.rpartition(":")
    optional = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if name == "Null":
        return (value is None) is (str(expected[0]).lower() == "true")
    negated = "Not" in name
    if value is None:
        return optional or negated or quantifier == "ForAllValues"
    test = _OPERATORS.get(name.replace("Not", ""))
    return test is not None and any(test(_text(item), value) for item in expected) is not negated


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _in_network(expected: str, value: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(expected, strict=False)
    except ValueError:
        return False


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda expected, value: expected == value,
    "StringEqualsIgnoreCase": lambda expected, value: expected.lower() == value.lower(),
    "StringLike": _matches,
    "ArnEquals": _matches,
    "ArnLike": _matches,
    "Bool": lambda expected, value: expected.lower() == value.lower(),
    "IpAddress": _in_network,
}


def _list(value: Any) -> list[Any]:
    return [value] if isinstance(value, (str, dict, bool, int)) else list(value)
