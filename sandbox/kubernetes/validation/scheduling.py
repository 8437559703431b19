"""Validation of tolerations, node selectors and affinity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.kubernetes.apimachinery.errors import Cause, invalid_value, required, unsupported
from sandbox.kubernetes.validation.metadata import validate_labels, validate_qualified_name

_EFFECTS = ["NoSchedule", "PreferNoSchedule", "NoExecute"]
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def validate_scheduling(spec: Mapping[str, Any], path: str) -> Iterator[Cause]:
    """Validate where a pod may run."""
    yield from validate_labels(spec.get("nodeSelector") or {}, f"{path}.nodeSelector")
    for index, toleration in enumerate(spec.get("tolerations") or ()):
        yield from _toleration(toleration, f"{path}.tolerations[{index}]")
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(kind) or {}
        for index, term in enumerate(terms.get(_REQUIRED) or ()):
            yield from _topology_key(term, f"{path}.affinity.{kind}.{_REQUIRED}[{index}]")
        for index, weighted in enumerate(terms.get(_PREFERRED) or ()):
            field = f"{path}.affinity.{kind}.{_PREFERRED}[{index}]"
            weight = weighted.get("weight", 0)
            if not 1 <= weight <= 100:
                yield invalid_value(f"{field}.weight", weight, "must be in the range 1-100")
            yield from _topology_key(
                weighted.get("podAffinityTerm") or {}, f"{field}.podAffinityTerm"
            )


def _topology_key(term: Mapping[str, Any], path: str) -> Iterator[Cause]:
    key = term.get("topologyKey", "")
    if not key:
        yield required(f"{path}.topologyKey", "can not be empty")
    yield from validate_qualified_name(key, f"{path}.topologyKey")


def _toleration(toleration: Mapping[str, Any], path: str) -> Iterator[Cause]:
    operator, effect = toleration.get("operator", "Equal"), toleration.get("effect")
    if toleration.get("key"):
        yield from validate_qualified_name(toleration["key"], f"{path}.key")
    if operator not in {"Equal", "Exists"}:
        yield unsupported(f"{path}.operator", operator, ["Equal", "Exists"])
    elif operator == "Exists" and toleration.get("value"):
        text = "value must be empty when `operator` is 'Exists'"
        yield invalid_value(f"{path}.operator", toleration["value"], text)
    if effect and effect not in _EFFECTS:
        yield unsupported(f"{path}.effect", effect, _EFFECTS)
