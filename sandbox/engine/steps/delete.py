"""Deleting what is no longer wanted, in reverse dependency order, as much at a time as may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from sandbox.engine.deployment import Deployment
from sandbox.engine.errors import EngineError
from sandbox.engine.request import Op
from sandbox.engine.state.resource import Resource, is_provider


def leftovers(deployment: Deployment) -> list[Resource]:
    """What the program didn't register any more, and what was replaced."""
    gone = set(map(id, deployment.journal.resources())) if not deployment.preview else None
    found = []
    for resource in deployment.journal.base:
        if gone is not None and id(resource) not in gone:
            continue
        if resource.delete or resource.urn not in deployment.claimed:
            found.append(resource)
    return found


def within_targets(deployment: Deployment, resources: Sequence[Resource]) -> list[Resource]:
    """Limit deletions to the targets; EngineError where something else stands on a targeted resource."""
    if not deployment.has_targets:
        return list(resources)
    chosen = [
        item for item in resources if deployment.targeted(item.urn) or (item.delete and item.urn in deployment.replaced)
    ]
    going = set(map(id, chosen))
    left = [item for item in deployment.journal.base if id(item) not in going]
    held = {(deployment.registered.get(item.urn, item) if not item.delete else item).provider for item in left}
    # What was replaced has its successor under its URN; but what is kept as it was refers to the very provider it had.
    chosen = [item for item in chosen if not item.delete or f"{item.urn}::{item.id}" not in held]
    urns = {item.urn for item in chosen}
    lost = {item.urn for item in chosen if item.urn not in deployment.registered}
    blocked = []
    for resource in left:
        registered = deployment.registered.get(resource.urn)
        if registered is not None:
            if registered.needs() & lost:
                blocked.append(resource.urn)
        elif not resource.needs() & urns:
            continue
        elif deployment.request.target_dependents:
            chosen.append(resource)
            urns.add(resource.urn)
        else:
            blocked.append(resource.urn)
    if blocked:
        raise EngineError(
            f"Deleting the targets would leave {', '.join(blocked)} without what they need. "
            "Target them too, or add --target-dependents."
        )
    return chosen


def refuse_protected(deployment: Deployment, resources: Sequence[Resource]) -> None:
    """Refuse the whole deletion if any resource in it is protected."""
    protected = [
        item.urn for item in resources if item.protect and not (item.delete and item.urn in deployment.replaced)
    ]
    for urn in protected:
        deployment.recorder.message(
            "error",
            urn,
            "It can't be deleted because it is protected. Take `protect` off it in the program and run `up`, then delete it.",
        )
    if protected:
        raise EngineError(f"Nothing was deleted: {len(protected)} protected resource(s) would have been.")


def refuse_hooked(deployment: Deployment, resources: Sequence[Resource]) -> None:
    """Refuse the whole deletion if any resource in it has hooks to be called, which only the program can run."""
    hooked = 0
    for resource in resources:
        names = [name for kind in ("BeforeDelete", "AfterDelete") for name in resource.resource_hooks.get(kind, ())]
        if names:
            hooked += 1
            text = f"It has hooks to be called when it is deleted: {', '.join(dict.fromkeys(names))}."
            deployment.recorder.message("error", resource.urn, text)
    if hooked:
        raise EngineError(
            f"Nothing was deleted: the hooks of {hooked} resource(s) are functions of the program. "
            "`destroy --run-program` runs it for them."
        )


def remove(deployment: Deployment, resources: Sequence[Resource]) -> None:
    """Delete resources, dependents first. What a failed deletion's resource needs stays; all else is still deleted."""
    going = {item.urn: item for item in resources}
    holders = _holders(resources)
    present: dict[int, Resource] = {id(item): item for item in resources}  # neither gone nor given up
    waiting = dict(present)
    stuck: set[int] = set()
    running: dict[Future[None], Resource] = {}
    with ThreadPoolExecutor(max_workers=max(1, deployment.request.parallel)) as pool:
        while waiting or running:
            for key, resource in list(waiting.items()):
                left = holders[key] & present.keys()
                if not left:
                    running[pool.submit(_delete, deployment, resource, going)] = waiting.pop(key)
                elif left <= stuck:
                    del waiting[key]
                    stuck.add(key)
            if not running:
                if waiting and not any(holders[key] & stuck for key in waiting):
                    names = ", ".join(item.urn for item in waiting.values())
                    raise EngineError(f"These resources need each other, so none can be deleted first: {names}.")
                continue
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                resource = running.pop(future)
                error = future.exception()
                if error is None:
                    del present[id(resource)]
                else:
                    stuck.add(id(resource))
                    deployment.failed.add(resource.urn)
                    deployment.recorder.message("error", resource.urn, str(error))


def _holders(resources: Sequence[Resource]) -> dict[int, set[int]]:
    """For each resource, those that must be deleted before it. Who needs a component needs all that is in it."""
    by_urn: dict[str, list[Resource]] = {}
    for resource in resources:
        by_urn.setdefault(resource.urn, []).append(resource)
    parents = {resource.urn: resource.parent for resource in resources}
    inside: dict[str, set[str]] = {}
    for urn in parents:
        for ancestor in _ancestors(urn, parents):
            inside.setdefault(ancestor, set()).add(urn)
    holders: dict[int, set[int]] = {id(resource): set() for resource in resources}
    for resource in resources:
        around = _ancestors(resource.urn, parents)
        needed = set(resource.needs())
        for urn in list(needed):
            if urn not in around:
                needed |= inside.get(urn, set())
        for urn in needed:
            for other in by_urn.get(urn, ()):
                if other is not resource:
                    holders[id(other)].add(id(resource))
    return holders


def _ancestors(urn: str, parents: Mapping[str, str]) -> set[str]:
    found: set[str] = set()
    while (urn := parents.get(urn, "")) and urn not in found:
        found.add(urn)
    return found


def _delete(deployment: Deployment, resource: Resource, going: Mapping[str, Resource]) -> None:
    if resource.pending_replacement:
        deployment.journal.drop(resource)
        return
    op: Op = "discard" if resource.external or resource.delete else "delete"
    with deployment.step(op, resource):
        deployment.hooks.before("Delete", None, resource)
        if not deployment.preview:
            carrier = going.get(resource.deleted_with)
            managed = resource.custom and not resource.external and not is_provider(resource.type)
            if managed and not resource.retain_on_delete and carrier is None:
                deployment.delete(resource)
            deployment.journal.drop(resource, carrier=carrier if managed else None)
        deployment.hooks.after("Delete", None, resource)
