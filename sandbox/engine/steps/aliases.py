"""Aliases of a resource: its own, and those inherited from a renamed parent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sandbox.engine.deployment import Deployment
from sandbox.engine.monitor.register_request import RegisterRequest
from sandbox.engine.state.resource import (
    STACK_TYPE,
    make_urn,
    urn_name,
    urn_qualified_type,
    urn_type,
)


def aliased_urns(request: RegisterRequest, deployment: Deployment) -> list[str]:
    """Return URNs of the resource in the state, best first, by the Pulumi engine's rules."""
    own = [
        *request.alias_urns,
        *(_from_spec(alias, request, deployment) for alias in request.aliases),
    ]
    others = [(urn_type(urn), urn_name(urn)) for urn in own]
    inherited = inherited_urns(request.type, request.name, request.parent, others, deployment)
    return list(dict.fromkeys([*own, *inherited]))


def inherited_urns(
    kind: str,
    name: str,
    parent: str,
    others: Sequence[tuple[str, str]],
    deployment: Deployment,
) -> list[str]:
    """Return the URNs of a resource, and of its other types and names, below its former parent."""
    former_parent = deployment.aliases.get(parent) if parent else None
    if former_parent is None:
        return []
    parent_name = urn_name(parent)
    return [
        _inherited(other_kind, other_name, parent_name, former_parent, deployment)
        for other_kind, other_name in [(kind, name), *others]
    ]


def _from_spec(alias: Any, request: RegisterRequest, deployment: Deployment) -> str:
    if alias.WhichOneof("alias") == "urn":
        return str(alias.urn)
    spec = alias.spec
    parent = request.parent
    if spec.WhichOneof("parent") == "parentUrn" and spec.parentUrn:
        parent = deployment.aliases.get(spec.parentUrn, spec.parentUrn)
    elif spec.WhichOneof("parent") == "noParent" and spec.noParent:
        parent = ""
    if parent and urn_qualified_type(parent) == STACK_TYPE:
        parent = ""
    return make_urn(
        spec.stack or deployment.request.stack,
        spec.project or deployment.project.name,
        parent,
        spec.type or request.type,
        spec.name or request.name,
    )


def _inherited(
    kind: str, name: str, parent_name: str, former_parent: str, deployment: Deployment
) -> str:
    # A child whose name starts with its parent's ("app-role" under "app") was renamed with it.
    if name.startswith(parent_name):
        name = urn_name(former_parent) + name.removeprefix(parent_name)
    return make_urn(deployment.request.stack, deployment.project.name, former_parent, kind, name)
