"""Garbage collection: orphaned objects, cascading deletion, terminating namespaces."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.kubernetes.apimachinery import custom_resources
from sandbox.kubernetes.controllers.context import ControllerContext, set_condition, terminating
from sandbox.kubernetes.storage.object_store import Json

_FOREGROUND, _ORPHAN = "foregroundDeletion", "orphan"
_CLAIM = "kubernetes.io/pvc-protection"


def collect(context: ControllerContext) -> None:
    """Delete objects without owners; finish foreground and orphaning deletions."""
    everything = [
        item for key in context.store.list_keys() if (item := context.store.get(key)) is not None
    ]
    uids = {item["metadata"]["uid"]: item for item in everything}
    for item in everything:
        owners = item["metadata"].get("ownerReferences") or ()
        if not owners or terminating(item):
            continue
        alive = [uids[o["uid"]] for o in owners if o["uid"] in uids]
        dying = [
            o
            for o in alive
            if terminating(o) and _FOREGROUND in (o["metadata"].get("finalizers") or ())
        ]
        if len(dying) == len(alive):
            context.delete(item)
    for item in everything:
        if terminating(item):
            _finish(context, item, everything)


def _finish(context: ControllerContext, item: Json, everything: Sequence[Json]) -> None:
    finalizers = list(item["metadata"].get("finalizers") or ())
    uid = item["metadata"]["uid"]
    dependants = [
        other
        for other in everything
        if any(o["uid"] == uid for o in other["metadata"].get("ownerReferences") or ())
        and _exists(context, other)
    ]
    done = ""
    if _ORPHAN in finalizers:
        for other in dependants:
            rest = [o for o in other["metadata"]["ownerReferences"] if o["uid"] != uid]
            context.save({**other, "metadata": {**other["metadata"], "ownerReferences": rest}})
        done = _ORPHAN
    elif _FOREGROUND in finalizers and not any(_blocks(other, uid) for other in dependants):
        done = _FOREGROUND
    elif _CLAIM in finalizers and not _is_mounted(item, everything):
        done = _CLAIM
    if done:
        finalizers.remove(done)
        saved = context.save({**item, "metadata": {**item["metadata"], "finalizers": finalizers}})
        if not finalizers and item["kind"] != "Namespace":
            _remove(context, saved)


def _is_mounted(claim: Json, everything: Sequence[Json]) -> bool:
    """Whether a pod that has not ended has the claim's volume."""
    return any(
        item["kind"] == "Pod"
        and item["metadata"]["namespace"] == claim["metadata"]["namespace"]
        and (item.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
        and any(
            (volume.get("persistentVolumeClaim") or {}).get("claimName")
            == claim["metadata"]["name"]
            for volume in item["spec"].get("volumes") or ()
        )
        for item in everything
    )


def _blocks(other: Json, uid: str) -> bool:
    return any(
        o["uid"] == uid and o.get("blockOwnerDeletion")
        for o in other["metadata"]["ownerReferences"]
    )


def _exists(context: ControllerContext, item: Json) -> bool:
    kind = context.api.kind(item["apiVersion"], item["kind"])
    return context.store.exists(
        context.api.key(kind, item["metadata"].get("namespace", ""), item["metadata"]["name"])
    )


def _remove(context: ControllerContext, item: Json) -> None:
    if _exists(context, item):
        kind = context.api.kind(item["apiVersion"], item["kind"])
        context.store.remove(
            context.api.key(kind, item["metadata"].get("namespace", ""), item["metadata"]["name"])
        )


def namespaces(context: ControllerContext) -> None:
    """Delete the content of terminating namespaces, then the namespaces."""
    for item in context.list_objects("namespaces"):
        if not terminating(item):
            continue
        name = item["metadata"]["name"]
        for document in _content(context, name):
            if not terminating(document):
                context.delete(document)
        left = _content(context, name)
        if not left:
            if not item["metadata"].get("finalizers"):
                _remove(context, item)
            continue
        finalizers = sorted(
            {f for document in left for f in document["metadata"].get("finalizers") or ()}
        )
        counted: dict[str, int] = {}
        for document in left:
            resource = context.api.kind(document["apiVersion"], document["kind"]).group_resource
            counted[resource] = counted.get(resource, 0) + 1
        status = item.get("status") or {}
        remaining = ", ".join(
            f"{resource} has {count} resource instances"
            for resource, count in sorted(counted.items())
        )
        conditions = set_condition(
            status.get("conditions") or [],
            "NamespaceContentRemaining",
            "True",
            "SomeResourcesRemain",
            f"Some resources are remaining: {remaining}",
        )
        conditions = set_condition(
            conditions,
            "NamespaceFinalizersRemaining",
            "True",
            "SomeFinalizersRemain",
            f"Some content in the namespace has finalizers remaining: {', '.join(finalizers)}",
        )
        context.update_status(item, {**status, "phase": "Terminating", "conditions": conditions})


def _content(context: ControllerContext, namespace: str) -> list[Json]:
    objects = (
        context.store.get(key) for key in context.store.list_keys() if key.namespace == namespace
    )
    return [item for item in objects if item is not None]


def custom_resource_definitions(context: ControllerContext) -> None:
    """Set CustomResourceDefinitions established; delete objects of deleted ones."""
    for item in context.list_objects(custom_resources.CUSTOM_RESOURCE_DEFINITIONS):
        if terminating(item):
            continue
        conditions = (item.get("status") or {}).get("conditions") or []
        conditions = set_condition(
            conditions, "NamesAccepted", "True", "NoConflicts", "no conflicts found"
        )
        conditions = set_condition(
            conditions,
            "Established",
            "True",
            "InitialNamesAccepted",
            "the initial names have been accepted",
        )
        stored = [
            version["name"]
            for version in item["spec"].get("versions") or ()
            if version.get("storage")
        ]
        context.update_status(
            item,
            {
                "conditions": conditions,
                "acceptedNames": item["spec"]["names"],
                "storedVersions": stored,
            },
        )
    served = {kind.group_resource for kind in context.api.kinds.all()}
    for key in context.store.list_keys():
        if key.resource not in served:
            context.store.remove(key)
