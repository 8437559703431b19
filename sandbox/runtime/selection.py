"""Selects the resources of an operation: `--exclude` as the targets that remain."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sandbox.engine.errors import UsageError


def remaining_targets(urns: Iterable[str], excluded: Sequence[str]) -> list[str]:
    """Return the URNs that no pattern excludes. Raises UsageError for a pattern without a match."""
    candidates = list(dict.fromkeys(urns))
    for pattern in excluded:
        if "*" not in pattern and pattern not in candidates:
            raise UsageError(
                f"No resource has the excluded URN {pattern}. `export` lists the stack's URNs."
            )
    patterns = [_pattern(text) for text in excluded]
    return [urn for urn in candidates if not any(item.fullmatch(urn) for item in patterns)]


def with_their_needs(resources: Sequence[Mapping[str, Any]], excluded: Sequence[str]) -> list[str]:
    """Return the excluded URNs of a state and what they need: it cannot be deleted before them."""
    excluded_urns = {item["urn"] for item in resources} - set(
        remaining_targets((item["urn"] for item in resources), excluded)
    )
    by_urn = {item["urn"]: item for item in resources}
    pending = list(excluded_urns)
    while pending:
        for urn in _needs(by_urn[pending.pop()]):
            if urn in by_urn and urn not in excluded_urns:
                excluded_urns.add(urn)
                pending.append(urn)
    return sorted(excluded_urns)


def _needs(resource: Mapping[str, Any]) -> set[str]:
    properties = (resource.get("propertyDependencies") or {}).values()
    return {
        *(resource.get("dependencies") or ()),
        *(urn for urns in properties for urn in urns or ()),
        resource.get("parent") or "",
        (resource.get("provider") or "").rpartition("::")[0],
        resource.get("deletedWith") or "",
    }


def _pattern(text: str) -> re.Pattern[str]:
    """Compile `*`, which matches within a part of a URN, and `**`, which matches anything."""
    parts = (re.escape(part).replace(r"\*", "[^:]*") for part in text.split("**"))
    return re.compile(".*".join(parts))
