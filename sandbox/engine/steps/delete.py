"""Deletes resources in reverse dependency order, as many at a time as possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from sandbox.engine.deployment import Deployment
from sandbox.engine.errors import EngineError, StepError
from sandbox.engine.request import Op
from sandbox.engine.state.resource import Resource, is_provider
from sandbox.engine.steps.replace_dependents import dependents_to_replace

_PROTECTED = (
    "It is protected and cannot be deleted. Remove `protect` in the program and run `up`, then "
    "delete it."
)


def pending_deletions(deployment: Deployment) -> list[Resource]:
    """Return replaced resources and those that the program no longer registers."""
    gone = set(map(id, deployment.journal.resources())) if not deployment.preview else None
    deletions = []
    for resource in deployment.journal.base:
        if gone is not None and id(resource) not in gone:
            continue
        if resource.delete or resource.urn not in deployment.claimed:
            deletions.append(resource)
    return deletions


def within_targets(deployment: Deployment, resources: Sequence[Resource]) -> list[Resource]:
    """Limit deletions to the targets; EngineError if another resource depends on a target."""
    if not deployment.has_targets:
        return list(resources)
    selected = [
        item
        for item in resources
        if deployment.targeted(item.urn) or (item.delete and item.urn in deployment.replaced)
    ]
    selected_ids = set(map(id, selected))
    remaining = [item for item in deployment.journal.base if id(item) not in selected_ids]
    used_providers = {
        (deployment.registered.get(item.urn, item) if not item.delete else item).provider
        for item in remaining
    }
    # A replaced resource's successor has its URN; unchanged resources still use its old provider.
    selected = [
        item
        for item in selected
        if not item.delete or f"{item.urn}::{item.id}" not in used_providers
    ]
    if deployment.request.kind == "destroy":
        for item in selected:  # Pulumi's engine asks the providers too, and ignores the answers
            dependents_to_replace(deployment, item)
    urns = {item.urn for item in selected}
    removed = {item.urn for item in selected if item.urn not in deployment.registered}
    blocked = []
    for resource in remaining:
        registered = deployment.registered.get(resource.urn)
        if registered is not None:
            if registered.needs() & removed:
                blocked.append(resource.urn)
        elif not resource.needs() & urns:
            continue
        elif deployment.request.target_dependents:
            selected.append(resource)
            urns.add(resource.urn)
        else:
            blocked.append(resource.urn)
    if blocked:
        raise EngineError(
            f"Deleting the targets would break {', '.join(blocked)}, which depend on them. "
            "Target them too, or add --target-dependents."
        )
    position = {id(item): index for index, item in enumerate(deployment.journal.base)}
    return sorted(selected, key=lambda item: position.get(id(item), len(position)))


def refuse_protected(deployment: Deployment, resources: Sequence[Resource]) -> None:
    """Refuse all deletions if one is of a protected resource: the request's `refuse_protected`."""
    protected = [
        item.urn
        for item in resources
        if item.protect and not (item.delete and item.urn in deployment.replaced)
    ]
    for urn in protected:
        deployment.recorder.message("error", urn, _PROTECTED)
    if protected:
        raise EngineError(f"Nothing was deleted: {len(protected)} of the resources are protected.")


def refuse_hooks_without_program(deployment: Deployment, resources: Sequence[Resource]) -> None:
    """Refuse all deletions if one resource has delete hooks, which only the program can run."""
    with_hooks = 0
    for resource in resources:
        names = [
            name
            for kind in ("BeforeDelete", "AfterDelete")
            for name in resource.resource_hooks.get(kind, ())
        ]
        if names:
            with_hooks += 1
            text = f"It has delete hooks: {', '.join(dict.fromkeys(names))}."
            deployment.recorder.message("error", resource.urn, text)
    if with_hooks:
        raise EngineError(
            f"Nothing was deleted: {with_hooks} resource(s) have hooks, which are functions of "
            "the program. `destroy --run-program` runs it for them."
        )


def delete_resources(deployment: Deployment, resources: Sequence[Resource]) -> None:
    """Delete resources, dependents first. If a deletion fails, its dependencies stay."""
    selected = {item.urn: item for item in resources}
    dependencies, holders = _order(resources)
    ready = [item for item in resources if not holders[id(item)]]
    remaining, failed = len(resources), False
    running: dict[Future[None], Resource] = {}
    ended: SimpleQueue[Future[None]] = SimpleQueue()
    with ThreadPoolExecutor(max_workers=max(1, deployment.request.parallel)) as pool:
        while ready or running:
            for resource in ready:
                future = pool.submit(_delete, deployment, resource, selected)
                running[future] = resource
                future.add_done_callback(ended.put)
            ready = []
            future = ended.get()
            resource = running.pop(future)
            error = future.exception()
            if error is not None:
                failed = True
                deployment.failed.add(resource.urn)
                deployment.recorder.message("error", resource.urn, str(error))
                continue
            remaining -= 1
            for dependency in dependencies[id(resource)]:
                holders[id(dependency)] -= 1
                if not holders[id(dependency)]:
                    ready.append(dependency)
    if remaining and not failed:
        names = ", ".join(item.urn for item in resources if holders[id(item)])
        raise EngineError(
            f"These resources depend on each other, so none can be deleted first: {names}."
        )


def _order(resources: Sequence[Resource]) -> tuple[dict[int, list[Resource]], dict[int, int]]:
    """Return the dependencies of each resource, and how many must be deleted before it.

    A dependency on a component includes its descendants that precede the dependent in the state;
    later ones may depend on the dependent.
    """
    position = {id(resource): index for index, resource in enumerate(resources)}
    by_urn: dict[str, list[Resource]] = {}
    for resource in resources:
        by_urn.setdefault(resource.urn, []).append(resource)
    parents = {resource.urn: resource.parent for resource in resources}
    components = {resource.urn for resource in resources if not resource.custom}
    inside: dict[str, list[Resource]] = {}
    for resource in resources:
        for ancestor in _ancestors(resource.urn, parents) & components:
            inside.setdefault(ancestor, []).append(resource)
    dependencies: dict[int, list[Resource]] = {}
    holders = dict.fromkeys(position, 0)
    for resource in resources:
        needed = {id(other): other for urn in resource.needs() for other in by_urn.get(urn, ())}
        for component in resource.depends_on() & inside.keys():
            needed |= {
                id(other): other
                for other in inside[component]
                if position[id(other)] < position[id(resource)]
            }
        needed.pop(id(resource), None)
        dependencies[id(resource)] = list(needed.values())
        for key in needed:
            holders[key] += 1
    return dependencies, holders


def _ancestors(urn: str, parents: Mapping[str, str]) -> set[str]:
    ancestors: set[str] = set()
    while (urn := parents.get(urn, "")) and urn not in ancestors:
        ancestors.add(urn)
    return ancestors


def _delete(
    deployment: Deployment, resource: Resource, selected_ids: Mapping[str, Resource]
) -> None:
    if resource.provider:
        deployment.providers.load(resource.provider, deployment.journal.resources)
    if resource.pending_replacement:
        deployment.journal.drop(resource)
        return
    op: Op = "discard" if resource.external or resource.delete else "delete"
    with deployment.step(op, resource):
        deployment.hooks.before("Delete", None, resource)
        if resource.protect and not resource.delete:
            raise StepError(resource.urn, _PROTECTED)
        if not deployment.preview:
            carrier = selected_ids.get(resource.deleted_with)
            managed = resource.custom and not resource.external and not is_provider(resource.type)
            if managed and not resource.retain_on_delete and carrier is None:
                deployment.delete(resource)
            deployment.journal.drop(resource, carrier=carrier if managed else None)
        deployment.hooks.after("Delete", None, resource)
