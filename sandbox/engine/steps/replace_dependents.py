"""Finds the dependents that must be replaced with a resource that is deleted first."""

from __future__ import annotations

from sandbox.engine.deployment import Deployment
from sandbox.engine.state import property_paths
from sandbox.engine.state.property_values import UNKNOWN
from sandbox.engine.state.resource import Resource, is_provider, split_reference


def dependents_to_replace(deployment: Deployment, root: Resource) -> list[Resource]:
    """Return the dependents of `root` that its replacement replaces, in dependency order.

    The provider compares with unknown values for what comes from `root`; `depends_on` alone
    replaces nothing.
    """
    replaced = {root.urn}
    dependents: list[Resource] = []
    reached = {root.urn}
    for resource in deployment.journal.base:
        if resource is root or resource.delete or resource.urn in deployment.claimed:
            continue
        if not resource.needs() & reached:
            continue
        reached.add(resource.urn)
        if resource.custom and not resource.external and _must_go(deployment, resource, replaced):
            replaced.add(resource.urn)
            dependents.append(resource)
    return dependents


def _must_go(deployment: Deployment, resource: Resource, replaced: set[str]) -> bool:
    if resource.provider and split_reference(resource.provider)[0] in replaced:
        return True
    if resource.deleted_with in replaced or set(resource.replace_with) & replaced:
        return True
    affected = {key for key, urns in resource.property_dependencies.items() if set(urns) & replaced}
    if not affected & resource.inputs.keys():
        return False
    inputs = {key: UNKNOWN if key in affected else value for key, value in resource.inputs.items()}
    if is_provider(resource.type):
        deployment.providers.same(resource)
        handler = deployment.providers
        difference = handler.diff(
            resource.urn, resource.id, resource.inputs, resource.outputs, inputs, []
        )
    else:
        plugin = deployment.providers.load(resource.provider, deployment.journal.resources)
        difference = plugin.diff(
            resource.urn,
            resource.id,
            resource.inputs,
            resource.outputs,
            inputs,
            resource.ignore_changes,
        )
    patterns = [property_paths.parse_path(text) for text in resource.replace_on_changes]
    forced = any(
        property_paths.covers(pattern, property_paths.parse_path(key))
        for pattern in patterns
        for key in difference.changed
    )
    return difference.replace or forced
