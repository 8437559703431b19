"""Updates the state from the actual resources."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sandbox.engine.deployment import Deployment
from sandbox.engine.errors import EngineError
from sandbox.engine.request import Step
from sandbox.engine.state import property_paths
from sandbox.engine.state.backend import now
from sandbox.engine.state.property_values import annotate_secrets, copied, equal, same_secrecy
from sandbox.engine.state.resource import Resource, is_provider


def refresh(deployment: Deployment) -> None:
    """Read every resource of the stack; record changes and deletions."""
    resources = deployment.journal.resources()
    with ThreadPoolExecutor(max_workers=max(1, deployment.request.parallel)) as pool:
        refreshed = list(pool.map(lambda item: _refresh(deployment, item), resources))
    existing = [item for item in refreshed if item is not None]
    present = {item.urn for item in existing}
    for resource in existing:
        resource.forget_missing(present)
    deployment.journal.replace_all(existing)


def _refresh(deployment: Deployment, resource: Resource) -> Resource | None:
    if resource.delete or not deployment.targeted(resource.urn):
        return resource
    if resource.pending_replacement and resource.provider:
        deployment.providers.load(resource.provider, deployment.journal.resources)
    nothing_to_read = (
        resource.pending_replacement or not resource.custom or is_provider(resource.type)
    )
    if nothing_to_read:  # but counted as the CLI does
        deployment.same(resource)
        return resource
    return read_live(deployment, resource)


def read_live(deployment: Deployment, resource: Resource) -> Resource | None:
    """Return the resource as its provider reads it, None if it does not exist.

    One that cannot be read is returned unchanged and recorded as failed.
    """
    step = Step("refresh", resource.urn, resource.id, resource.parent)
    try:
        with deployment.quietly(step):
            plugin = deployment.providers.load(resource.provider, deployment.journal.resources)
            live = plugin.read(
                resource.urn,
                resource.id,
                resource.inputs or None,
                resource.outputs,
                timeout=resource.custom_timeouts.get("read", 0),
            )
            if live is None:
                step.op = "delete"
                return None
            identifier, inputs, outputs = live
            inputs = inputs or resource.inputs
            live_inputs, live_outputs = inputs, outputs
            inputs, outputs = copied(inputs), copied(outputs)
            if deployment.request.deviations.keep_secrets:
                annotate_secrets(inputs, resource.inputs)
                annotate_secrets(outputs, resource.outputs)
            live_state = resource.copy(id=identifier, inputs=inputs, outputs=outputs)
            live_state.mark_secret_outputs()
            outputs = live_state.outputs
            if resource.external:
                drifted = not equal(outputs, resource.outputs)
            else:  # as the CLI does: count what `up` would revert, not every output
                difference = plugin.diff(
                    resource.urn,
                    identifier,
                    live_inputs,
                    live_outputs,
                    resource.inputs,
                    resource.ignore_changes,
                )
                drifted = (
                    difference.changes
                    if difference.changes is not None
                    else not equal(inputs, resource.inputs)
                )
            step.op = "update" if drifted else "same"
            step.changes = property_paths.compare(resource.inputs, inputs) if drifted else []
            unchanged = (
                equal(outputs, resource.outputs)
                and equal(inputs, resource.inputs)
                and same_secrecy(outputs, resource.outputs)
            )
            if unchanged and identifier == resource.id and not resource.init_errors:
                return resource
            return live_state.copy(init_errors=[], modified=now())
    except EngineError as error:
        deployment.failed.add(resource.urn)
        deployment.recorder.message("error", resource.urn, f"It could not be read: {error}")
        return resource
