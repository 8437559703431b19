"""Prints docs/settings.md: every key of a stack file, what it means, and what dev and prod say (`python -m settings.reference`)."""

from __future__ import annotations

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


def page() -> str:
    """The page's Markdown."""
    files = {stack: yaml.safe_load((PROJECT / f"Pulumi.{stack}.yaml").read_text())["config"] for stack in STACKS}
    lines = [
        "# Settings",
        "",
        "Every key of `Pulumi.<stack>.yaml`, made from `settings/sections.py` by `make settings`. A key that a stack doesn't name has its default; one without a default has to be there.",
        "`pulumi config set --path 'platform:network.zones' 3 --stack dev` sets one; `-c network.zones=3` overrides it for one run in the sandbox.",
        "",
        "| key | meaning | default | dev | prod |",
        "|---|---|---|---|---|",
    ]
    for path, field in _fields(Settings, ()):
        here = [_shown(_value(files[stack], path)) for stack in STACKS]
        default = "required" if field.is_required() else _shown(field.default)
        lines.append(f"| `platform:{'.'.join(path)}` | {_meaning(field)} | {default} | {' | '.join(here)} |")
    return "\n".join(lines) + "\n"


def _fields(model: type[BaseModel], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, (*above, name))
        else:
            yield (*above, name), field


def _meaning(field: FieldInfo) -> str:
    words = [" ".join((field.description or "").split())]
    if get_origin(field.annotation) is Literal:
        words.append("— " + " or ".join(f"`{choice}`" for choice in get_args(field.annotation)))
    return " ".join(word for word in words if word)


def _value(config: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    place: Any = config.get(f"platform:{path[0]}")
    for step in path[1:]:
        place = place.get(step) if isinstance(place, Mapping) else None
    return place


def _shown(value: Any) -> str:
    if value is None or value in ((), {}):
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`"


if __name__ == "__main__":
    (PROJECT / "docs" / "settings.md").write_text(page())
