"""Deletes resources that an interrupted run created without recording them in the state."""

from __future__ import annotations

from sandbox.engine.deployment import Deployment
from sandbox.engine.errors import EngineError
from sandbox.engine.state.resource import Resource


def delete_orphans(deployment: Deployment) -> None:
    """Delete the resources of the request's `created` that the state lacks, newest first."""
    journal = deployment.journal
    creating = {
        item.urn: item for operation, item in journal.interrupted if operation == "creating"
    }
    if deployment.preview or not creating:
        return
    recorded = {(item.urn, item.id) for item in journal.resources()}
    cleared: set[str] = set()
    for urn, identifier in reversed(deployment.request.created):
        if urn not in creating or (urn, identifier) in recorded:
            continue
        recorded.add((urn, identifier))
        try:
            if _delete(deployment, creating[urn], identifier):
                text = (
                    "An earlier run was interrupted while creating it; the new resource "
                    f"({identifier}) was deleted."
                )
                deployment.recorder.message("info", urn, text)
            cleared.add(urn)
        except EngineError as error:
            text = (
                "An earlier run was interrupted while creating it; the new resource "
                f"({identifier}) cannot be deleted: {error}"
            )
            deployment.recorder.message("warning", urn, text)
            del creating[urn]
            cleared.discard(urn)
    journal.interrupted = [
        (operation, item)
        for operation, item in journal.interrupted
        if operation != "creating" or item.urn not in cleared
    ]
    journal.write()


def _delete(deployment: Deployment, resource: Resource, identifier: str) -> bool:
    """Delete a resource if it exists; return whether it did."""
    plugin = deployment.providers.load(resource.provider, deployment.journal.resources)
    live = plugin.read(resource.urn, identifier, resource.inputs, {})
    if live is None:
        return False
    identifier, _, outputs = live
    plugin.delete(
        resource.urn,
        identifier,
        resource.inputs,
        outputs,
        timeout=resource.custom_timeouts.get("delete", 0),
    )
    return True
