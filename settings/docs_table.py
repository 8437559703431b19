"""Generates docs/settings.md: every key with meaning, default and values of dev and prod."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from settings.sections import Settings

PROJECT = Path(__file__).resolve().parent.parent
STACKS = ("dev", "prod")
INTRODUCTION = """\
# Settings

Every key of `Pulumi.<stack>.yaml`, generated from `settings/sections.py` by `make settings`.
A key that a stack file omits has its default; a required key has none.
`pulumi config set --path 'platform:network.zones' 3 --stack dev` sets a key; in the sandbox,
`-c network.zones=3` overrides it for one run.

| key | meaning | default | dev | prod |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the page as Markdown."""
    configs = {
        stack: yaml.safe_load((PROJECT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))
        for stack in STACKS
    }
    rows = []
    for path, field in _fields(Settings, ()):
        values = [_formatted(_value(configs[stack]["config"], path)) for stack in STACKS]
        default = "required" if field.is_required() else _formatted(field.default)
        cells = (f"`platform:{'.'.join(path)}`", _meaning(field), default, *values)
        rows.append(f"| {' | '.join(cells)} |\n")
    return INTRODUCTION + "".join(rows)


def _fields(
    model: type[BaseModel], parents: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, (*parents, name))
        else:
            yield (*parents, name), field


def _meaning(field: FieldInfo) -> str:
    parts = [" ".join((field.description or "").split())]
    if get_origin(field.annotation) is Literal:
        choices = (f"`{choice}`" for choice in get_args(field.annotation))
        parts.append("— " + " or ".join(choices))
    return " ".join(part for part in parts if part)


def _value(config: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = config.get(f"platform:{path[0]}")
    for key in path[1:]:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _formatted(value: Any) -> str:
    if value is None or value in ((), {}):
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`"


if __name__ == "__main__":
    (PROJECT / "docs" / "settings.md").write_text(page(), encoding="utf-8")
