"""Former names of a resource: its aliases, and those it inherits from a renamed parent."""

from __future__ import annotations

from typing import Any

from sandbox.engine.deployment import Deployment
from sandbox.engine.monitor.register_request import Goal
from sandbox.engine.state.resource import STACK_TYPE, make_urn, urn_name, urn_qualified_type, urn_type


def aliased_urns(goal: Goal, deployment: Deployment) -> list[str]:
    """URNs under which the resource may stand in the state, best first; the rules are those of the Pulumi engine."""
    own = [*goal.alias_urns, *(_from_spec(alias, goal, deployment) for alias in goal.aliases)]
    found = list(dict.fromkeys(own))
    former_parent = deployment.aliases.get(goal.parent) if goal.parent else None
    if former_parent is not None:
        for kind, name in [(goal.type, goal.name), *((urn_type(urn), urn_name(urn)) for urn in own)]:
            inherited = _inherited(kind, name, urn_name(goal.parent), former_parent, deployment)
            if inherited not in found:
                found.append(inherited)
    return found


def _from_spec(alias: Any, goal: Goal, deployment: Deployment) -> str:
    if alias.WhichOneof("alias") == "urn":
        return str(alias.urn)
    spec = alias.spec
    parent = goal.parent
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
        spec.type or goal.type,
        spec.name or goal.name,
    )


def _inherited(kind: str, name: str, parent_name: str, former_parent: str, deployment: Deployment) -> str:
    # A child named after its parent ("app-role" under "app") was named after the parent's former name too.
    if name.startswith(parent_name):
        name = urn_name(former_parent) + name.removeprefix(parent_name)
    return make_urn(deployment.request.stack, deployment.project.name, former_parent, kind, name)
