"""Label and field selectors, as query strings and as objects."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.kubernetes.apimachinery.errors import bad_request

_SET = re.compile(r"^\s*([\w./-]+)\s+(in|notin)\s+\(([^)]*)\)\s*$")
_EQUAL = re.compile(r"^\s*([\w./-]+)\s*(==|=|!=)\s*([\w.-]*)\s*$")
_EXISTS = re.compile(r"^\s*(!?)\s*([\w./-]+)\s*$")


@dataclass(frozen=True)
class Requirement:
    """One condition on labels: operator is In, NotIn, Exists or DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether the labels satisfy it."""
        if self.operator == "In":
            return labels.get(self.key) in self.values
        if self.operator == "NotIn":
            return labels.get(self.key) not in self.values
        if self.operator in {"Gt", "Lt"}:
            found = labels.get(self.key, "")
            if not found.isdigit():
                return False
            return int(found) > int(self.values[0]) if self.operator == "Gt" else int(found) < int(self.values[0])
        return (self.key in labels) == (self.operator == "Exists")


def parse_labels(text: str) -> list[Requirement]:
    """Read a label selector query (`app=web,tier in (a,b),!old`)."""
    found = []
    for part in filter(str.strip, re.split(r",(?![^(]*\))", text)):
        if match := _SET.match(part):
            values = tuple(value.strip() for value in match.group(3).split(","))
            found.append(Requirement(match.group(1), "In" if match.group(2) == "in" else "NotIn", values))
        elif match := _EQUAL.match(part):
            found.append(Requirement(match.group(1), "NotIn" if match.group(2) == "!=" else "In", (match.group(3),)))
        elif match := _EXISTS.match(part):
            found.append(Requirement(match.group(2), "DoesNotExist" if match.group(1) else "Exists"))
        else:
            raise bad_request(f"unable to parse requirement: found '{part}', expected: a label selector")
    return found


def from_object(selector: Mapping[str, Any] | None) -> list[Requirement] | None:
    """Read a LabelSelector object; None (which selects nothing) stays None."""
    if selector is None:
        return None
    found = [Requirement(key, "In", (value,)) for key, value in (selector.get("matchLabels") or {}).items()]
    for item in selector.get("matchExpressions") or ():
        found.append(Requirement(item["key"], item["operator"], tuple(item.get("values") or ())))
    return found


def selects(requirements: Sequence[Requirement] | None, document: Mapping[str, Any]) -> bool:
    """Say whether an object's labels satisfy all requirements (None selects nothing)."""
    labels = document["metadata"].get("labels") or {}
    return requirements is not None and all(requirement.matches(labels) for requirement in requirements)


def parse_fields(text: str) -> list[tuple[str, bool, str]]:
    """Read a field selector query: (path, wanted equal, value)."""
    found = []
    for part in filter(None, text.split(",")):
        match = re.match(r"^([\w.]+)(==|=|!=)(.*)$", part)
        if not match:
            raise bad_request(f'invalid field selector "{part}"; can\'t understand it')
        found.append((match.group(1), match.group(2) != "!=", match.group(3)))
    return found


def fields_match(fields: Sequence[tuple[str, bool, str]], document: Mapping[str, Any]) -> bool:
    """Say whether an object's fields are as wanted; an absent field is the empty string."""
    return all((_text(document, path) == value) is equal for path, equal, value in fields)


def _text(document: Mapping[str, Any], path: str) -> str:
    value: Any = document
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
