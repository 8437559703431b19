"""`ignore_changes` with server-side apply: omits fields that another manager owns.

A pipeline that sets a Deployment's image with its own field manager keeps it after `pulumi up`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.kubernetes.apimachinery.schema import Schema
from sandbox.kubernetes.apiserver import managed_fields
from sandbox.kubernetes.storage.object_store import Json

_PART = re.compile(r'\["([^"]*)"\]|\[(\d+|\*)\]|([^.\[\]]+)')
Step = str | int


def parse(path: str) -> list[Step]:
    """Split a property path (`spec.containers[0].image`, `data["a.b"]`, `ports[*].port`)."""
    steps: list[Step] = []
    for quoted, index, name in _PART.findall(path):
        steps.append(int(index) if index.isdigit() else index or quoted or name)
    return steps


def without_foreign_fields(
    schema: Schema,
    kind: Kind,
    document: Json,
    live: Mapping[str, Any],
    manager: str,
    ignored: Iterable[str],
) -> Json:
    """Return `document` without the ignored fields that another manager owns in `live`."""
    result = copy.deepcopy(document)
    foreign_paths = {
        path
        for entry in managed_fields.managers(live)
        if entry.name != manager
        for path in entry.paths
    }
    node = schema.definition(kind.definition)
    # Longest paths and last entries first, so that a removal does not move another entry.
    for path in ignored:
        for steps in sorted(_expand(result, parse(path)), key=str, reverse=True):
            owned = _as_fields(schema, node, result, steps)
            if owned and any(other[: len(owned)] == owned for other in foreign_paths):
                _remove(result, steps)
    return result


def _expand(value: Any, steps: Sequence[Step]) -> Iterator[list[Step]]:
    if not steps:
        yield []
        return
    head, rest = steps[0], steps[1:]
    if head == "*":
        choices: list[Step] = (
            list(range(len(value)))
            if isinstance(value, list)
            else list(value)
            if isinstance(value, Mapping)
            else []
        )
    elif (isinstance(value, list) and isinstance(head, int) and head < len(value)) or (
        isinstance(value, Mapping) and head in value
    ):
        choices = [head]
    else:
        return
    for choice in choices:
        for below in _expand(value[choice], rest):
            yield [choice, *below]


def _as_fields(
    schema: Schema, node: Mapping[str, Any], value: Any, steps: Sequence[Step]
) -> managed_fields.Path:
    """Return the path in managedFields, up to an atomic list."""
    elements: list[str] = []
    for step in steps:
        if isinstance(step, int):
            keys = managed_fields.list_keys(node)
            if not keys:
                return tuple(elements)
            elements.append(managed_fields.list_element(value[step], keys))
            node = schema.items(node)
        else:
            elements.append(f"f:{step}")
            node = schema.child(node, step)
        value = value[step]
    return tuple(elements)


def _remove(document: Any, steps: Sequence[Step]) -> None:
    for step in steps[:-1]:
        document = document[step]
    del document[steps[-1]]
