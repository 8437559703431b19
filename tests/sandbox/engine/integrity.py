"""The Pulumi CLI's snapshot integrity check: every resource follows what it refers to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any


def violations(resources: Sequence[dict[str, Any]]) -> list[str]:
    """Return the violations in a deployment's resources, as the CLI's check would."""
    result: list[str] = []
    urns: set[str] = set()
    providers: set[str] = set()
    for resource in resources:
        urn = resource["urn"]
        if resource["type"].startswith("pulumi:providers:"):
            providers.add(f"{urn}::{resource['id']}")
        provider = resource.get("provider")
        if provider and provider not in providers and not resource.get("pendingReplacement"):
            result.append(f"{urn}: its provider {provider} doesn't stand before it")
        result += [
            f"{urn}: its {kind} {other} doesn't stand before it"
            for kind, other in _needs(resource)
            if other not in urns
        ]
        urns.add(urn)
    living = Counter(item["urn"] for item in resources if not item.get("delete"))
    return result + [f"{urn} is there {count} times" for urn, count in living.items() if count > 1]


def _needs(resource: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for kind in ("parent", "deletedWith"):
        if resource.get(kind):
            yield kind, resource[kind]
    for kind in ("dependencies", "replaceWith"):
        for urn in resource.get(kind, []):
            yield kind, urn
    for key, urns in resource.get("propertyDependencies", {}).items():
        for urn in urns or []:
            yield f"property {key}'s dependency", urn
