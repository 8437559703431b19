"""The Deployment and ReplicaSet controllers, with rolling updates."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from sandbox.kubernetes.apimachinery.errors import ApiError
from sandbox.kubernetes.apiserver.object_meta import random_suffix
from sandbox.kubernetes.controllers.context import (
    ControllerContext,
    condition,
    now,
    seconds_since,
    set_condition,
    terminating,
)
from sandbox.kubernetes.storage.object_store import Json

_REVISION = "deployment.kubernetes.io/revision"
_HASH = "pod-template-hash"
_SAFE = "bcdfghjklmnpqrstvwxz2456789"


def resolve_count(value: Any, total: int, *, up: bool) -> int:
    """Resolve a count or percentage."""
    if isinstance(value, str):
        share = int(value.rstrip("%")) * total / 100
        return math.ceil(share) if up else math.floor(share)
    return int(value)


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Return whether a pod is ready."""
    return condition(pod, "Ready").get("status") == "True" and not terminating(pod)


def is_available(context: ControllerContext, pod: Mapping[str, Any], min_ready: int) -> bool:
    """Return whether a pod has been ready for `min_ready` seconds; requeue until then."""
    if not is_ready(pod):
        return False
    left = (
        min_ready - seconds_since(condition(pod, "Ready")["lastTransitionTime"]) if min_ready else 0
    )
    if left > 0:
        context.requeue_after(left)
    return left <= 0


def deployments(context: ControllerContext) -> None:
    """Reconcile each Deployment."""
    for item in context.list_objects("deployments.apps"):
        if not terminating(item):
            _Deployment(context, item).reconcile()


class _Deployment:
    def __init__(self, context: ControllerContext, document: Json) -> None:
        self.context, self.document, self.spec = context, document, document["spec"]
        self.replicas = self.spec["replicas"]
        self.replica_sets = context.list_controlled("replicasets.apps", document)
        self.hash = _hash(self.spec["template"])
        self.new = next(
            (s for s in self.replica_sets if s["metadata"]["labels"].get(_HASH) == self.hash), None
        )
        self.old = [s for s in self.replica_sets if s is not self.new]

    def reconcile(self) -> None:
        if not self.spec.get("paused"):
            self._ensure_new_replica_set()
            if self.new is not None:
                recreate = self.spec["strategy"]["type"] == "Recreate"
                (self._recreate if recreate else self._rolling_update)(self.new)
                self._delete_old_replica_sets()
        self._write_status()

    def _ensure_new_replica_set(self) -> None:
        revision = max((_revision(s) for s in self.old), default=0) + 1
        if self.new is None:
            template = json.loads(json.dumps(self.spec["template"]))
            template.setdefault("metadata", {}).setdefault("labels", {})[_HASH] = self.hash
            selector = json.loads(json.dumps(self.spec["selector"]))
            selector.setdefault("matchLabels", {})[_HASH] = self.hash
            meta = self.document["metadata"]
            annotations = {
                k: v
                for k, v in (meta.get("annotations") or {}).items()
                if not k.startswith("kubectl.")
            }
            self.new = self.context.create(
                "apps/v1",
                "ReplicaSet",
                meta["namespace"],
                {
                    "metadata": {
                        "name": f"{meta['name'][:240]}-{self.hash}",
                        "labels": dict(template["metadata"]["labels"]),
                        "annotations": {**annotations, _REVISION: str(revision)},
                        "ownerReferences": [self.context.owner_reference(self.document)],
                    },
                    "spec": {
                        "replicas": 0,
                        "selector": selector,
                        "template": template,
                        **(
                            {"minReadySeconds": self.spec["minReadySeconds"]}
                            if self.spec.get("minReadySeconds")
                            else {}
                        ),
                    },
                },
            )
            self.replica_sets.append(self.new)
        elif _revision(self.new) < revision and self.old:
            self.new["metadata"].setdefault("annotations", {})[_REVISION] = str(revision)
            self.new = self.context.save(self.new)
        annotations = self.document["metadata"].setdefault("annotations", {})
        if annotations.get(_REVISION) != str(_revision(self.new)):
            annotations[_REVISION] = str(_revision(self.new))
            self.document = self.context.save(self.document)

    def _scale(self, target: Json, replicas: int) -> None:
        if target["spec"]["replicas"] == replicas:
            return
        verb = "up" if replicas > target["spec"]["replicas"] else "down"
        name, before = target["metadata"]["name"], target["spec"]["replicas"]
        target["spec"]["replicas"] = replicas
        target.update(self.context.save(target))
        message = f"Scaled {verb} replica set {name} from {before} to {replicas}"
        self.context.record_event(
            self.document, "ScalingReplicaSet", message, "deployment-controller"
        )

    def _recreate(self, new: Json) -> None:
        for item in self.old:
            self._scale(item, 0)
        if not any((item.get("status") or {}).get("replicas", 0) for item in self.old):
            self._scale(new, self.replicas)

    def _rolling_update(self, new: Json) -> None:
        rolling = self.spec["strategy"].get("rollingUpdate") or {}
        surge = resolve_count(rolling.get("maxSurge", "25%"), self.replicas, up=True)
        unavailable = resolve_count(rolling.get("maxUnavailable", "25%"), self.replicas, up=False)
        if not surge and not unavailable:
            unavailable = 1
        total = sum(item["spec"]["replicas"] for item in self.replica_sets)
        replicas = new["spec"]["replicas"]
        if replicas > self.replicas or not self.old:
            self._scale(new, self.replicas)
        elif replicas < self.replicas:
            room = self.replicas + surge - total
            if room > 0:
                self._scale(new, min(self.replicas, replicas + room))
        status = new.get("status") or {}
        new_missing = max(0, new["spec"]["replicas"] - status.get("availableReplicas", 0))
        total = sum(item["spec"]["replicas"] for item in self.replica_sets)
        removable = total - (self.replicas - unavailable) - new_missing
        for item in self.old:
            # Pods that are not ready are removed first.
            broken = item["spec"]["replicas"] - (item.get("status") or {}).get(
                "availableReplicas", 0
            )
            removed = min(removable, broken, item["spec"]["replicas"])
            if removed > 0:
                self._scale(item, item["spec"]["replicas"] - removed)
                removable -= removed
        available = sum(
            (item.get("status") or {}).get("availableReplicas", 0) for item in self.replica_sets
        )
        removable = min(removable, available - (self.replicas - unavailable))
        for item in self.old:
            removed = min(removable, item["spec"]["replicas"])
            if removed > 0:
                self._scale(item, item["spec"]["replicas"] - removed)
                removable -= removed

    def _delete_old_replica_sets(self) -> None:
        idle = sorted(
            (
                s
                for s in self.old
                if not s["spec"]["replicas"] and not (s.get("status") or {}).get("replicas")
            ),
            key=_revision,
        )
        for item in idle[: max(0, len(idle) - self.spec["revisionHistoryLimit"])]:
            self.context.delete(item)

    def _write_status(self) -> None:
        def total(sets: Sequence[Json], part: str) -> int:
            return sum((item.get("status") or {}).get(part, 0) for item in sets)

        new = [self.new] if self.new is not None else []
        old = self.document.get("status") or {}
        available, replicas = (
            total(self.replica_sets, "availableReplicas"),
            total(self.replica_sets, "replicas"),
        )
        updated = total(new, "replicas")
        counts = {
            "replicas": replicas,
            "updatedReplicas": updated,
            "readyReplicas": total(self.replica_sets, "readyReplicas"),
            "availableReplicas": available,
            "unavailableReplicas": max(
                0, sum(s["spec"]["replicas"] for s in self.replica_sets) - available
            ),
        }
        status: Json = {k: v for k, v in counts.items() if v}
        status["observedGeneration"] = self.document["metadata"]["generation"]
        done = updated == self.replicas == replicas == available
        progressed = {k: old.get(k, 0) for k in counts} != counts or old.get(
            "observedGeneration"
        ) != status["observedGeneration"]
        conditions = self._available_condition(old.get("conditions") or [], available)
        status["conditions"] = self._failure_condition(
            self._progressing_condition(conditions, done=done, progressed=progressed)
        )
        self.context.update_status(self.document, status)

    def _available_condition(
        self, conditions: Sequence[Mapping[str, Any]], available: int
    ) -> list[Json]:
        rolling = self.spec["strategy"].get("rollingUpdate") or {}
        unavailable = resolve_count(rolling.get("maxUnavailable", 0), self.replicas, up=False)
        if available >= self.replicas - unavailable:
            return set_condition(
                conditions,
                "Available",
                "True",
                "MinimumReplicasAvailable",
                "Deployment has minimum availability.",
                updated=True,
            )
        return set_condition(
            conditions,
            "Available",
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
            updated=True,
        )

    def _progressing_condition(
        self, conditions: Sequence[Mapping[str, Any]], *, done: bool, progressed: bool
    ) -> list[Json]:
        before = next((item for item in conditions if item["type"] == "Progressing"), None)
        if self.new is None:
            return [dict(item) for item in conditions]
        name = self.new["metadata"]["name"]
        if done:
            return set_condition(
                conditions,
                "Progressing",
                "True",
                "NewReplicaSetAvailable",
                f'ReplicaSet "{name}" has successfully progressed.',
                updated=True,
            )
        if before is None or before["reason"] == "NewReplicaSetAvailable" or progressed:
            new_conditions = set_condition(
                conditions,
                "Progressing",
                "True",
                "ReplicaSetUpdated",
                f'ReplicaSet "{name}" is progressing.',
                updated=True,
            )
            if progressed:
                new_conditions[-1]["lastUpdateTime"] = now()
            self.context.requeue_after(self.spec["progressDeadlineSeconds"])
            return new_conditions
        left = self.spec["progressDeadlineSeconds"] - seconds_since(before["lastUpdateTime"])
        if left > 0 and before["status"] == "True":
            self.context.requeue_after(left + 1)
            return [dict(item) for item in conditions]
        return set_condition(
            conditions,
            "Progressing",
            "False",
            "ProgressDeadlineExceeded",
            f'ReplicaSet "{name}" has timed out progressing.',
            updated=True,
        )

    def _failure_condition(self, conditions: list[Json]) -> list[Json]:
        failed = condition(self.new or {}, "ReplicaFailure")
        if failed:
            return set_condition(
                conditions,
                "ReplicaFailure",
                "True",
                failed["reason"],
                failed["message"],
                updated=True,
            )
        return [item for item in conditions if item["type"] != "ReplicaFailure"]


def _hash(template: Mapping[str, Any]) -> str:
    digest = sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(_SAFE[byte % len(_SAFE)] for byte in digest[:10])


def _revision(replica_set: Mapping[str, Any]) -> int:
    return int((replica_set["metadata"].get("annotations") or {}).get(_REVISION, 0))


def replica_sets(context: ControllerContext) -> None:
    """Reconcile each ReplicaSet's number of pods."""
    for item in context.list_objects("replicasets.apps"):
        if terminating(item):
            continue
        pods = [
            p
            for p in context.list_controlled("pods", item)
            if (p.get("status") or {}).get("phase") not in {"Failed", "Succeeded"}
        ]
        active = [p for p in pods if not terminating(p)]
        problem = scale_pods(context, item, active)
        _replica_set_status(
            context,
            item,
            [p for p in context.list_controlled("pods", item) if not terminating(p)],
            problem,
        )


def scale_pods(context: ControllerContext, owner: Json, active: list[Json]) -> str:
    """Create or delete pods up to the required number; return why a pod was refused."""
    replicas = owner["spec"]["replicas"]
    for _ in range(replicas - len(active)):
        try:
            create_pod(context, owner, f"{owner['metadata']['name'][:240]}-{random_suffix()}")
        except ApiError as error:
            message = f"Error creating: {error.message}"
            context.record_event(
                owner, "FailedCreate", message, "replicaset-controller", warning=True
            )
            return error.message
    # Deletes unready pods first, then the youngest.
    deletion_order = sorted(
        active, key=lambda pod: (is_ready(pod), bool(pod["spec"].get("nodeName")))
    )
    deletable = sorted(deletion_order, key=is_ready) if len(active) > replicas else []
    for pod in deletable[: max(0, len(active) - replicas)]:
        context.delete(pod)
    return ""


def create_pod(
    context: ControllerContext,
    owner: Json,
    name: str,
    extra: Mapping[str, str] | None = None,
    node: str = "",
) -> Json:
    """Create a pod from its owner's template. Raises ApiError."""
    template = json.loads(json.dumps(owner["spec"]["template"]))
    meta = template.get("metadata") or {}
    spec = template["spec"]
    if node:
        spec["nodeName"] = node
    return context.create(
        "v1",
        "Pod",
        owner["metadata"]["namespace"],
        {
            "metadata": {
                "name": name,
                "labels": {**(meta.get("labels") or {}), **(extra or {})},
                "annotations": dict(meta.get("annotations") or {}),
                "ownerReferences": [context.owner_reference(owner)],
            },
            "spec": spec,
            "status": {"phase": "Pending"},
        },
    )


def _replica_set_status(
    context: ControllerContext, item: Json, pods: Sequence[Json], problem: str
) -> None:
    ready = [pod for pod in pods if is_ready(pod)]
    available = [
        pod for pod in ready if is_available(context, pod, item["spec"].get("minReadySeconds", 0))
    ]
    status: Json = {"replicas": len(pods), "observedGeneration": item["metadata"]["generation"]}
    counts = {
        "fullyLabeledReplicas": len(pods),
        "readyReplicas": len(ready),
        "availableReplicas": len(available),
    }
    status |= {k: v for k, v in counts.items() if v}
    old = (item.get("status") or {}).get("conditions") or []
    if problem and len(pods) < item["spec"]["replicas"]:
        status["conditions"] = set_condition(old, "ReplicaFailure", "True", "FailedCreate", problem)
    context.update_status(item, status)
