"""YAML documents as the Pulumi CLI reads them."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from sandbox.engine.errors import UsageError


class _Loader(yaml.SafeLoader):
    """Loads YAML as the Pulumi CLI does: `on`, `yes` and 22:30 are text, 0777 is octal, dates as in
    Go.
    """


def _number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | float:
    text = str(loader.construct_scalar(node)).replace("_", "")
    try:
        number: float = int(re.sub(r"^([-+]?)0(?=[0-7]+$)", r"\g<1>0o", text), 0)
        number = number if -(2**63) <= number < 2**64 else float(number)
    except ValueError:
        number = float(text)
    return (
        int(number)
        if isinstance(number, float) and number.is_integer() and abs(number) < 1e21
        else number
    )


def _time(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    try:
        timestamp: Any = loader.construct_yaml_timestamp(node)
    except ValueError:  # has a date's format, but is no calendar day
        return str(loader.construct_scalar(node))
    moment = (
        timestamp
        if isinstance(timestamp, datetime)
        else datetime(timestamp.year, timestamp.month, timestamp.day)
    )
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    zone = "+0000 UTC" if not moment.utcoffset() else f"{moment:%z %z}"
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} {zone}"


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (
        "int",
        r"[-+]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|"
        r"(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?)",
        "-+0123456789.",
    ),
    (
        "timestamp",
        r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
        r"(?:[Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]+)?(?:Z|[-+][0-9:]+)?)?",
        "0123456789",
    ),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first)
    )
_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _time)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return a file's mapping. Raises UsageError."""
    try:
        document = yaml.load(path.read_text(), Loader=_Loader) or {}  # noqa: S506 - a safe loader
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"{path} is unreadable: {error}") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path} must be a mapping of keys to values.")
    return document
