"""Validation of a pod's volumes."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from sandbox.kubernetes.apimachinery.errors import (
    Cause,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
)
from sandbox.kubernetes.validation.metadata import DNS_LABEL, LABEL_RULE

_NAMES = {"configMap": "name", "secret": "secretName"}


def validate_volumes(
    volumes: Sequence[Mapping[str, Any]], path: str
) -> Generator[Cause, None, set[str]]:
    """Validate volumes at `path`; return their names."""
    names: set[str] = set()
    for index, volume in enumerate(volumes):
        name, field = volume.get("name", ""), f"{path}[{index}]"
        if not DNS_LABEL.match(name):
            yield invalid_value(f"{field}.name", name, LABEL_RULE)
        if name in names:
            yield duplicate(f"{field}.name", name)
        names.add(name)
        sources = [key for key in volume if key != "name"]
        if not sources:
            yield required(field, "must specify a volume type")
        elif len(sources) > 1:
            text = "may not specify more than 1 volume type"
            # Kubernetes checks emptyDir first.
            later = [source for source in sources if source != "emptyDir"][-1]
            yield forbidden_field(f"{field}.{later}", text)
        for source, key in _NAMES.items():
            content = volume.get(source)
            if isinstance(content, Mapping):
                if not content.get(key):
                    yield required(f"{field}.{source}.{key}")
                yield from _mode(content.get("defaultMode"), f"{field}.{source}.defaultMode")
    return names


def _mode(mode: Any, path: str) -> Generator[Cause, None, None]:
    if isinstance(mode, int) and not 0 <= mode <= 0o777:
        text = "must be a number between 0 and 0777 (octal), both inclusive"
        yield invalid_value(path, mode, text)
