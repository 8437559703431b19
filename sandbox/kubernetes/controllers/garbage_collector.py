"""Garbage: objects whose owners are gone, finalizers of cascading deletion, namespaces that are going away."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.kubernetes.apimachinery import custom_resources
from sandbox.kubernetes.controllers.context import Work, set_condition, terminating
from sandbox.kubernetes.storage.object_store import Json

_FOREGROUND, _ORPHAN = "foregroundDeletion", "orphan"


def collect(work: Work) -> None:
    """Delete what nobody owns any more, and finish foreground and orphaning deletions."""
    everything = [item for key in work.store.places() if (item := work.store.get(key)) is not None]
    uids = {item["metadata"]["uid"]: item for item in everything}
    for item in everything:
        owners = item["metadata"].get("ownerReferences") or ()
        if not owners or terminating(item):
            continue
        alive = [uids[o["uid"]] for o in owners if o["uid"] in uids]
        dying = [o for o in alive if terminating(o) and _FOREGROUND in (o["metadata"].get("finalizers") or ())]
        if len(dying) == len(alive):
            work.delete(item)
    for item in everything:
        if terminating(item):
            _finish(work, item, everything)


def _finish(work: Work, item: Json, everything: Sequence[Json]) -> None:
    finalizers = list(item["metadata"].get("finalizers") or ())
    uid = item["metadata"]["uid"]
    dependants = [
        other
        for other in everything
        if any(o["uid"] == uid for o in other["metadata"].get("ownerReferences") or ()) and _still(work, other)
    ]
    done = ""
    if _ORPHAN in finalizers:
        for other in dependants:
            rest = [o for o in other["metadata"]["ownerReferences"] if o["uid"] != uid]
            work.save({**other, "metadata": {**other["metadata"], "ownerReferences": rest}})
        done = _ORPHAN
    elif _FOREGROUND in finalizers and not any(_blocks(other, uid) for other in dependants):
        done = _FOREGROUND
    if done:
        finalizers.remove(done)
        saved = work.save({**item, "metadata": {**item["metadata"], "finalizers": finalizers}})
        if not finalizers and item["kind"] != "Namespace":
            _remove(work, saved)


def _blocks(other: Json, uid: str) -> bool:
    return any(o["uid"] == uid and o.get("blockOwnerDeletion") for o in other["metadata"]["ownerReferences"])


def _still(work: Work, item: Json) -> bool:
    kind = work.api.kind(item["apiVersion"], item["kind"])
    return work.store.exists(work.api.key(kind, item["metadata"].get("namespace", ""), item["metadata"]["name"]))


def _remove(work: Work, item: Json) -> None:
    if _still(work, item):
        kind = work.api.kind(item["apiVersion"], item["kind"])
        work.store.remove(work.api.key(kind, item["metadata"].get("namespace", ""), item["metadata"]["name"]))


def namespaces(work: Work) -> None:
    """Delete the content of namespaces that are going away, then the namespaces."""
    for item in work.listed("namespaces"):
        if not terminating(item):
            continue
        name = item["metadata"]["name"]
        for document in _content(work, name):
            if not terminating(document):
                work.delete(document)
        left = _content(work, name)
        if not left:
            if not item["metadata"].get("finalizers"):
                _remove(work, item)
            continue
        held = sorted({f for document in left for f in document["metadata"].get("finalizers") or ()})
        counted: dict[str, int] = {}
        for document in left:
            resource = work.api.kind(document["apiVersion"], document["kind"]).qualified
            counted[resource] = counted.get(resource, 0) + 1
        status = item.get("status") or {}
        remaining = ", ".join(
            f"{resource} has {count} resource instances" for resource, count in sorted(counted.items())
        )
        conditions = set_condition(
            status.get("conditions") or [],
            "NamespaceContentRemaining",
            "True",
            "SomeResourcesRemain",
            f"Some resources are remaining: {remaining}",
        )
        conditions = set_condition(
            conditions, "NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain",
            f"Some content in the namespace has finalizers remaining: {', '.join(held)}",
        )  # fmt: skip
        work.status(item, {**status, "phase": "Terminating", "conditions": conditions})


def _content(work: Work, namespace: str) -> list[Json]:
    found = (work.store.get(key) for key in work.store.places() if key.namespace == namespace)
    return [item for item in found if item is not None]


def custom_resource_definitions(work: Work) -> None:
    """Report CustomResourceDefinitions as established, and delete the objects of those that are going away."""
    for item in work.listed(custom_resources.DEFINITIONS):
        if terminating(item):
            continue
        conditions = (item.get("status") or {}).get("conditions") or []
        conditions = set_condition(conditions, "NamesAccepted", "True", "NoConflicts", "no conflicts found")
        conditions = set_condition(
            conditions, "Established", "True", "InitialNamesAccepted", "the initial names have been accepted"
        )
        stored = [version["name"] for version in item["spec"].get("versions") or () if version.get("storage")]
        work.status(item, {"conditions": conditions, "acceptedNames": item["spec"]["names"], "storedVersions": stored})
    served = {kind.qualified for kind in work.api.kinds.all()}
    for key in work.store.places():
        if key.resource not in served:
            work.store.remove(key)
