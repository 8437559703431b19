"""Compares a registration with the state: unchanged, update or replacement, and why."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.engine.deployment import Deployment
from sandbox.engine.monitor.register_request import RegisterRequest
from sandbox.engine.plugins.provider_client import Difference, ProviderClient
from sandbox.engine.plugins.provider_registry import Providers, configuration_of
from sandbox.engine.request import PropertyChange
from sandbox.engine.state import property_paths
from sandbox.engine.state.property_values import equal
from sandbox.engine.state.resource import Resource, split_reference, urn_type


@dataclass(slots=True)
class Registration:
    """A registration in progress: request, old and new state, provider (None: a component)."""

    request: RegisterRequest
    old: Resource | None
    new: Resource
    handler: ProviderClient | Providers | None
    changes: list[PropertyChange] = field(default_factory=list)
    keeps_old: bool = False  # `old` is replaced, and deleted at the end of the operation
    imported: bool = False  # `old` was imported by this step and counts as that, not as unchanged


def diff_resource(deployment: Deployment, registration: Registration, old: Resource) -> Difference:
    """Compare an existing resource with its new state; sets `registration.changes` for display."""
    request, new, handler = registration.request, registration.new, registration.handler
    forced = _forced_replacement(deployment, request, old, new)
    if forced:
        registration.changes = [PropertyChange(forced, "update", replaces=True)]
        return Difference(changes=True, replaces=[forced])
    if handler is None:
        registration.changes = property_paths.compare(old.inputs, new.inputs)
        return Difference(changes=bool(registration.changes))
    difference = handler.diff(
        new.urn, old.id, old.inputs, old.outputs, new.inputs, request.ignore_changes
    )
    if difference.changes is None:
        registration.changes = property_paths.compare(old.inputs, new.inputs)
        difference.changes = bool(registration.changes)
        difference.changed = sorted(
            {str(property_paths.parse_path(item.path)[0]) for item in registration.changes}
        )
    _force_by_option(request, old, difference)
    registration.changes = describe(old, new, difference)
    return difference


def _forced_replacement(
    deployment: Deployment, request: RegisterRequest, old: Resource, new: Resource
) -> str:
    """Return the reasons for a replacement other than the resource's inputs."""
    if old.taint:
        return "id"
    if any(urn in deployment.replaced for urn in request.replace_with):
        return "replaceWith"
    if new.deleted_with and new.deleted_with in deployment.replaced:
        return "deletedWith"
    if request.replacement_trigger is not None and not equal(
        old.replacement_trigger, request.replacement_trigger
    ):
        return "replacementTrigger"
    if old.provider != new.provider and _provider_replaces(deployment, old, new):
        return "provider"
    return ""


def _provider_replaces(deployment: Deployment, old: Resource, new: Resource) -> bool:
    if not old.provider or not new.provider:
        return True
    (old_urn, old_id), (new_urn, _) = split_reference(old.provider), split_reference(new.provider)
    if deployment.aliases.get(new_urn) == old_urn:
        return False
    if urn_type(old_urn) != urn_type(new_urn):
        return True
    before = next(
        (item for item in deployment.journal.base if item.urn == old_urn and item.id == old_id),
        None,
    )
    after, plugin = deployment.registered.get(new_urn), deployment.providers.get(new.provider)
    if before is None or after is None or plugin is None:
        return False
    return plugin.diff_config(
        new_urn, configuration_of(before.inputs), before.outputs, configuration_of(after.inputs)
    ).replace


def _force_by_option(request: RegisterRequest, old: Resource, difference: Difference) -> None:
    """Apply `replace_on_changes`."""
    patterns = [property_paths.parse_path(text) for text in request.replace_on_changes]
    if not patterns or not (difference.changes or old.init_errors):
        return
    for text, (kind, of_input) in difference.detailed.items():
        path = property_paths.parse_path(text)
        if not kind.endswith("replace") and any(
            property_paths.covers(pattern, path) for pattern in patterns
        ):
            difference.detailed[text] = (f"{kind}-replace", of_input)
    for key in difference.changed:
        if key not in difference.replaces and any(
            property_paths.covers(item, property_paths.parse_path(key)) for item in patterns
        ):
            difference.replaces.append(key)
    if old.init_errors and any(
        property_paths.covers(pattern, ("#initerror",)) for pattern in patterns
    ):
        difference.changes = True
        difference.replaces.append("#initerror")


def describe(old: Resource, new: Resource, difference: Difference) -> list[PropertyChange]:
    """Return the changed properties for display, with the provider's details if it has any."""
    if not difference.changes:
        return []
    if difference.detailed:
        changes = property_paths.described(difference.detailed, old.inputs, old.outputs, new.inputs)
    else:
        replaces = set(difference.replaces)
        changes = [
            PropertyChange(
                item.path,
                item.kind,
                item.old,
                item.new,
                str(property_paths.parse_path(item.path)[0]) in replaces,
            )
            for item in property_paths.compare(old.inputs, new.inputs)
        ]
    hidden = [property_paths.parse_path(text) for text in new.hide_diff]
    return [
        item
        for item in changes
        if not any(
            property_paths.covers(path, property_paths.parse_path(item.path)) for path in hidden
        )
    ]
