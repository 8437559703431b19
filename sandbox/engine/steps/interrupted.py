"""Resolves the operations that a killed run left unfinished, by reading their resources."""

from __future__ import annotations

from sandbox.engine.deployment import Deployment
from sandbox.engine.state.resource import Resource
from sandbox.engine.steps.refresh import read_live


def report_interrupted(deployment: Deployment) -> None:
    """Warn of each unfinished operation, and forget all but creations, as the CLI does."""
    forget_creations = deployment.request.deviations.forget_creations
    for operation, resource in deployment.journal.interrupted:
        if operation == "creating":
            text = (
                "An earlier run was interrupted while creating it, so it may exist without "
                "being in the state. If its creation now fails because it exists, import it or "
                "delete it."
            )
            if not forget_creations:
                text += " `refresh --clear-pending-creates` removes this warning."
        else:
            text = (
                f"An earlier run was interrupted while {operation} it; `refresh` reads its actual "
                "state."
            )
        deployment.recorder.message("warning", resource.urn, text)
    forgets = forget_creations and deployment.request.kind in ("refresh", "destroy")
    deployment.journal.interrupted = [
        (operation, item)
        for operation, item in deployment.journal.interrupted
        if operation == "creating" and not forgets
    ]


def resolve_interrupted(deployment: Deployment) -> None:
    """Read the resources of unfinished operations and record what exists, all in one write.

    A record stays until its resource was read, that of a creation until the state has the resource.
    """
    journal, recorder = deployment.journal, deployment.recorder
    resources = journal.resources()
    live: dict[int, Resource | None] = {}
    for operation, interrupted in journal.interrupted:
        if operation == "creating":
            continue
        for resource in resources:
            if (resource.urn, resource.id) == (interrupted.urn, interrupted.id):
                live[id(resource)] = read_live(deployment, resource)
                if resource.urn not in deployment.failed:
                    exists = "exists" if live[id(resource)] else "no longer exists"
                    text = f"An earlier run was interrupted while {operation} it; it {exists}."
                    recorder.message("info", resource.urn, text)
    existing = [item for old in resources if (item := live.get(id(old), old)) is not None]
    present = {item.urn for item in existing}
    if len(existing) < len(resources):
        for item in existing:
            item.forget_missing(present)
    missing = {item.urn for _, item in journal.interrupted} - present
    journal.interrupted = [
        (operation, item)
        for operation, item in journal.interrupted
        if item.urn in (deployment.failed if operation != "creating" else missing)
    ]
    journal.replace_all(existing)
