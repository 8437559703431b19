"""Label and field selectors as query strings and objects."""

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
    """A condition on labels; `operator` is In, NotIn, Exists, DoesNotExist, Gt or Lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the labels satisfy the condition."""
        if self.operator == "In":
            return labels.get(self.key) in self.values
        if self.operator == "NotIn":
            return labels.get(self.key) not in self.values
        if self.operator in {"Gt", "Lt"}:
            value = labels.get(self.key, "")
            if not value.isdigit():
                return False
            return (
                int(value) > int(self.values[0])
                if self.operator == "Gt"
                else int(value) < int(self.values[0])
            )
        return (self.key in labels) == (self.operator == "Exists")


def parse_labels(text: str) -> list[Requirement]:
    """Parse a label selector query (`app=web,tier in (a,b),!old`)."""
    requirements = []
    for part in filter(str.strip, re.split(r",(?![^(]*\))", text)):
        if match := _SET.match(part):
            values = tuple(value.strip() for value in match.group(3).split(","))
            requirements.append(
                Requirement(match.group(1), "In" if match.group(2) == "in" else "NotIn", values)
            )
        elif match := _EQUAL.match(part):
            requirements.append(
                Requirement(
                    match.group(1), "NotIn" if match.group(2) == "!=" else "In", (match.group(3),)
                )
            )
        elif match := _EXISTS.match(part):
            requirements.append(
                Requirement(match.group(2), "DoesNotExist" if match.group(1) else "Exists")
            )
        else:
            raise bad_request(_label_problem(part))
    return requirements


def _label_problem(part: str) -> str:
    """Return the message of Kubernetes's parser."""
    words = re.findall(r"[\w./-]+|==|=|!=|[()]|\S", part)
    if not re.match(r"[\w./-]", words[0]):
        return f"found '{words[0]}', expected: !, identifier, or 'end of string'"
    if len(words) > 1 and re.match(r"\w", words[1]):
        operators = "in, notin, =, ==, !=, gt, lt"
        return f"unable to parse requirement: found '{words[1]}', expected: {operators}"
    token = words[2] if len(words) > 2 else ""
    return f"unable to parse requirement: found '{token}', expected: identifier"


def from_object(selector: Mapping[str, Any] | None) -> list[Requirement] | None:
    """Parse a LabelSelector object; None, which selects nothing, stays None."""
    if selector is None:
        return None
    requirements = [
        Requirement(key, "In", (value,))
        for key, value in (selector.get("matchLabels") or {}).items()
    ]
    for item in selector.get("matchExpressions") or ():
        requirements.append(
            Requirement(item["key"], item["operator"], tuple(item.get("values") or ()))
        )
    return requirements


def selects(requirements: Sequence[Requirement] | None, document: Mapping[str, Any]) -> bool:
    """Return whether an object's labels satisfy all requirements; None selects nothing."""
    labels = document["metadata"].get("labels") or {}
    return requirements is not None and all(
        requirement.matches(labels) for requirement in requirements
    )


# Fields by which lists can be selected, besides metadata.name and metadata.namespace.
_FIELDS = {
    "Pod": frozenset({
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
        "spec.hostNetwork", "status.phase", "status.podIP", "status.podIPs",
        "status.nominatedNodeName",
    }),
    "Event": frozenset({
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name",
        "involvedObject.uid", "involvedObject.apiVersion", "involvedObject.resourceVersion",
        "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type",
    }),
    "Namespace": frozenset({"status.phase"}),
    "Node": frozenset({"spec.unschedulable"}),
    "ReplicaSet": frozenset({"status.replicas"}),
    "ReplicationController": frozenset({"status.replicas"}),
    "Job": frozenset({"status.successful"}),
    "Secret": frozenset({"type"}),
    "Service": frozenset({"spec.clusterIP", "spec.type"}),
}  # fmt: skip


def _unknown_field(path: str, kind: str) -> str:
    if kind in _FIELDS:
        return f"field label not supported: {path}"
    return f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def parse_fields(text: str, kind: str) -> list[tuple[str, bool, str]]:
    """Parse a field selector query for objects of a kind into (path, whether equal, value)."""
    fields = []
    for part in filter(None, text.split(",")):
        match = re.match(r"^([\w.]+)(==|=|!=)(.*)$", part)
        if not match:
            raise bad_request(f'invalid field selector "{part}"; can\'t understand it')
        selectable = {"metadata.name", "metadata.namespace"} | _FIELDS.get(kind, frozenset())
        if match.group(1) not in selectable:
            raise bad_request(_unknown_field(match.group(1), kind))
        fields.append((match.group(1), match.group(2) != "!=", match.group(3)))
    return fields


def fields_match(fields: Sequence[tuple[str, bool, str]], document: Mapping[str, Any]) -> bool:
    """Return whether an object's fields match; an absent field is the empty string."""
    return all((_text(document, path) == value) is equal for path, equal, value in fields)


def _text(document: Mapping[str, Any], path: str) -> str:
    value: Any = document
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
