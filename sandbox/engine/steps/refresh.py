"""Updates the state from the actual resources."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sandbox.engine.deployment import Deployment
from sandbox.engine.errors import EngineError
from sandbox.engine.request import Step
from sandbox.engine.state import property_paths
from sandbox.engine.state.backend import now
from sandbox.engine.state.property_values import equal, secret
from sandbox.engine.state.resource import Resource, is_provider


def refresh(deployment: Deployment) -> None:
    """Read every resource of the stack; record changes and deletions."""
    resources = deployment.journal.resources()
    with ThreadPoolExecutor(max_workers=max(1, deployment.request.parallel)) as pool:
        found = list(pool.map(lambda item: _refresh(deployment, item), resources))
    kept = [item for item in found if item is not None]
    present = {item.urn for item in kept}
    parents = {item.urn: item.parent for item in resources}
    for resource in kept:
        resource.forget_missing(present, parents)
    deployment.journal.replace_all(kept)


def _refresh(deployment: Deployment, resource: Resource) -> Resource | None:
    if resource.pending_replacement or resource.delete or not deployment.targeted(resource.urn):
        return resource
    if not resource.custom or is_provider(
        resource.type
    ):  # nothing to read, but counted as the CLI does
        deployment.same(resource)
        return resource
    step = Step("refresh", resource.urn, resource.id, resource.parent)
    try:
        with deployment.quietly(step):
            plugin = deployment.providers.load(resource.provider, deployment.journal.resources())
            live = plugin.read(
                resource.urn, resource.id, resource.inputs, resource.outputs,
                timeout=resource.custom_timeouts.get("read", 0),
            )  # fmt: skip
            if live is None:
                step.op = "delete"
                return None
            identifier, inputs, outputs = live
            inputs = inputs or resource.inputs
            for key in resource.additional_secret_outputs:
                if key in outputs:
                    outputs[key] = secret(outputs[key])
            if resource.external:
                drifted = not equal(outputs, resource.outputs)
            else:  # as the CLI does: count what `up` would revert, not every output
                difference = plugin.diff(
                    resource.urn,
                    identifier,
                    inputs,
                    outputs,
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
            unchanged = equal(outputs, resource.outputs) and equal(inputs, resource.inputs)
            if unchanged and identifier == resource.id and not resource.init_errors:
                return resource
            return resource.copy(
                id=identifier, inputs=inputs, outputs=outputs, init_errors=[], modified=now()
            )
    except EngineError as error:
        deployment.failed.add(resource.urn)
        deployment.recorder.message("error", resource.urn, f"It could not be read: {error}")
        return resource
