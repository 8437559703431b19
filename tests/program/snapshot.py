"""Snapshot of a program run: every URN with its inputs and the options that affect a diff."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.program.recording import Recording

FIXTURES = Path(__file__).parent / "fixtures"
# The tag is a hash of app/, which changes with every commit to the service.
_CONTENT_TAG = re.compile(r"content-[0-9a-f]{32}")


def snapshot(recording: Recording) -> dict[str, dict[str, Any]]:
    """Map types and name, `parent$type::name`, to inputs and options, without content hashes."""
    resources = {}
    for resource in recording.resources:
        parents = resource.parent.split("::")[2].removeprefix("pulumi:pulumi:Stack").lstrip("$")
        options = {
            "protect": resource.request.protect,
            "retainOnDelete": resource.request.retainOnDelete,
            "deleteBeforeReplace": resource.request.deleteBeforeReplace,
            "deletedWith": resource.request.deletedWith.rpartition("$")[2],
            "ignoreChanges": list(resource.request.ignoreChanges),
        }
        resources[f"{f'{parents}$' if parents else ''}{resource.type}::{resource.name}"] = {
            "inputs": _sanitized(resource.inputs),
            **{name: value for name, value in options.items() if value},
        }
    return dict(sorted(resources.items()))


def load_snapshot(stack: str) -> dict[str, dict[str, Any]]:
    """Read the stored snapshot of a stack."""
    resources: dict[str, dict[str, Any]] = json.loads(_file(stack).read_text(encoding="utf-8"))
    return resources


def store_snapshot(stack: str, resources: Mapping[str, Any]) -> None:
    """Write a snapshot, one resource per line."""
    lines = [
        f"{json.dumps(urn)}: {json.dumps(value, sort_keys=True)}"
        for urn, value in resources.items()
    ]
    _file(stack).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _file(stack: str) -> Path:
    return FIXTURES / f"{stack}.json"


def _sanitized(value: Any) -> Any:
    return json.loads(_CONTENT_TAG.sub("content-HASH", json.dumps(value)))
