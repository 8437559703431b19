"""The controllers' view of the cluster: objects, status, owned objects, events and requeues."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sandbox.contracts.cluster_host import ClusterFacts
from sandbox.kubernetes.apimachinery.errors import ApiError
from sandbox.kubernetes.apiserver.object_meta import now
from sandbox.kubernetes.apiserver.verbs import Api, WriteOptions
from sandbox.kubernetes.ports import ExternalServices, LoadBalancerSpec
from sandbox.kubernetes.storage.object_store import Json, Key

__all__ = [
    "ControllerContext",
    "condition",
    "controller_of",
    "now",
    "seconds_since",
    "set_condition",
    "terminating",
]


class ControllerContext:
    """The cluster as controllers use it."""

    def __init__(self, api: Api, facts: ClusterFacts, external: ExternalServices) -> None:
        self.api, self.facts, self.external, self.store = api, facts, external, api.store
        self.next_run = float("inf")
        # The last applied spec of each load balancer by its object's uid; a restart applies all
        # again.
        self.load_balancers: dict[str, LoadBalancerSpec] = {}
        # The host names of each certificate of a load balancer, by its ARN.
        self.certificate_names: dict[str, tuple[str, ...]] = {}
        # The use of CPU (cores) and memory (bytes) of a running pod by its uid; empty if unknown.
        self.pod_usage: Callable[[str], Mapping[str, float]] = lambda _uid: {}
        # The autoscalers' recommendations by uid.
        self.recommendations: dict[str, Any] = {}

    def requeue_after(self, seconds: float) -> None:
        """Run the controllers again after this many seconds, even without a change."""
        self.next_run = min(self.next_run, time.monotonic() + max(seconds, 0.05))

    def list_objects(self, resource: str, namespace: str = "") -> list[Json]:
        """Return the objects of a group resource."""
        return self.store.list_objects(resource, namespace)

    def get_object(self, resource: str, namespace: str, name: str) -> Json | None:
        """Return an object, or None."""
        return self.store.get(Key(resource, namespace, name))

    def create(self, api_version: str, kind: str, namespace: str, document: Json) -> Json:
        """Create an object with full admission. Raises ApiError."""
        return self.api.create(
            self.api.kind(api_version, kind), namespace, document, WriteOptions()
        )

    def delete(self, document: Mapping[str, Any], *, grace_seconds: int | None = None) -> None:
        """Delete an object, by default a pod with its own grace period; skip a deleted one."""
        kind = self.api.kind(document["apiVersion"], document["kind"])
        meta = document["metadata"]
        try:
            self.api.delete(
                kind,
                meta.get("namespace", ""),
                meta["name"],
                {
                    "preconditions": {"uid": meta["uid"]},
                    **({} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}),
                },
            )
        except ApiError as error:
            if error.code not in {404, 409}:
                raise

    def update_status(self, document: Json, status: Mapping[str, Any]) -> None:
        """Update an object's status if it differs."""
        if document.get("status") != status:
            self.save({**document, "status": dict(status)})

    def save(self, document: Json) -> Json:
        """Store an object without admission if it differs."""
        kind = self.api.kind(document["apiVersion"], document["kind"])
        meta = document["metadata"]
        key = self.api.key(kind, meta.get("namespace", ""), meta["name"])
        live = self.store.get(key)
        if live is None or live["metadata"]["uid"] != meta["uid"]:
            return document
        if live.get("spec") != document.get("spec") and "generation" in meta:
            meta["generation"] = live["metadata"]["generation"] + 1
        return live if live == document else self.store.put(key, document)

    def list_controlled(self, resource: str, owner: Mapping[str, Any]) -> list[Json]:
        """Return the objects that `owner` controls, oldest first."""
        uid = owner["metadata"]["uid"]
        controlled = [
            item
            for item in self.store.list_objects(resource, owner["metadata"].get("namespace", ""))
            if controller_of(item) == uid
        ]
        return sorted(
            controlled,
            key=lambda item: (item["metadata"]["creationTimestamp"], item["metadata"]["name"]),
        )

    def owner_reference(self, owner: Mapping[str, Any]) -> Json:
        """Return a controller's ownerReference."""
        meta = owner["metadata"]
        return {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": meta["name"],
            "uid": meta["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }

    def record_event(
        self,
        about: Mapping[str, Any],
        reason: str,
        message: str,
        source: str,
        *,
        warning: bool = False,
    ) -> None:
        """Record an Event, once per reason and message."""
        meta = about["metadata"]
        namespace = meta.get("namespace") or "default"
        digest = sha256(f"{meta['uid']}{reason}{message}".encode()).hexdigest()[:16]
        name = f"{meta['name'][:230]}.{digest}"
        holder = self.store.get(Key("namespaces", "", namespace))
        if (
            holder is None
            or terminating(holder)
            or self.store.exists(Key("events", namespace, name))
        ):
            return
        moment = now()
        self.create(
            "v1",
            "Event",
            namespace,
            {
                "metadata": {"name": name},
                "involvedObject": {
                    "apiVersion": about["apiVersion"],
                    "kind": about["kind"],
                    "name": meta["name"],
                    "uid": meta["uid"],
                    **({"namespace": meta["namespace"]} if meta.get("namespace") else {}),
                },
                "reason": reason,
                "message": message,
                "type": "Warning" if warning else "Normal",
                "count": 1,
                "firstTimestamp": moment,
                "lastTimestamp": moment,
                "source": {"component": source},
                "reportingComponent": source,
            },
        )


def controller_of(document: Mapping[str, Any]) -> str:
    """Return the uid of an object's controller, or ""."""
    for reference in document["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference["uid"])
    return ""


def terminating(document: Mapping[str, Any]) -> bool:
    """Return whether an object is being deleted."""
    return bool(document["metadata"].get("deletionTimestamp"))


def seconds_since(moment: str) -> float:
    """Return the age of a timestamp."""
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()


def condition(document: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return one of an object's conditions, or an empty one."""
    for item in (document.get("status") or {}).get("conditions") or ():
        if item["type"] == kind:
            match: Mapping[str, Any] = item
            return match
    return {}


def set_condition(
    old: Sequence[Mapping[str, Any]],
    kind: str,
    status: str,
    reason: str,
    message: str,
    *,
    updated: bool = False,
) -> list[Json]:
    """Return conditions with one set; times change with it (`updated` adds lastUpdateTime)."""
    moment = now()
    before = next((item for item in old if item["type"] == kind), None)
    new: Json = {"type": kind, "status": status, "reason": reason, "message": message}
    moved = before is None or before["status"] != status
    new["lastTransitionTime"] = moment if before is None or moved else before["lastTransitionTime"]
    if updated:
        same = (
            before is not None
            and not moved
            and (before.get("reason"), before.get("message")) == (reason, message)
        )
        new["lastUpdateTime"] = before["lastUpdateTime"] if before is not None and same else moment
    return [dict(item) for item in old if item["type"] != kind] + [new]
