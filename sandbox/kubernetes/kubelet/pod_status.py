"""The status of a pod from its containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.kubernetes.apiserver.object_meta import now
from sandbox.kubernetes.kubelet.container import Container
from sandbox.kubernetes.storage.object_store import Json


def pod_status(
    pod: Mapping[str, Any],
    node: Mapping[str, Any],
    initial: Sequence[Container],
    containers: Sequence[Container],
) -> Json:
    """Return phase, conditions and container statuses."""
    old = pod.get("status") or {}
    policy = pod["spec"].get("restartPolicy", "Always")
    initialized = all(item.succeeded or (_is_sidecar(item) and item.started) for item in initial)
    phase = _phase(initial, containers, policy)
    unready = [item.name for item in containers if not item.ready]
    reason: dict[str, str] = {}
    if phase == "Succeeded":
        reason = {"reason": "PodCompleted"}
    elif phase == "Failed":
        reason = {"reason": "PodFailed"}
    elif unready:
        text = f"containers with unready status: [{' '.join(unready)}]"
        reason = {"reason": "ContainersNotReady", "message": text}
    ready = "False" if reason else "True"
    pending = [item.name for item in initial if not item.succeeded]
    not_initialized = {
        "reason": "ContainersNotInitialized",
        "message": f"containers with incomplete status: [{' '.join(pending)}]",
    }
    previous = {item["type"]: item for item in old.get("conditions") or ()}

    def condition(kind: str, value: str, **extra: str) -> Json:
        before = previous.get(kind, {})
        same = before.get("status") == value and "lastTransitionTime" in before
        moment = before["lastTransitionTime"] if same else now()
        return {"type": kind, "status": value, "lastTransitionTime": moment, **extra}

    address = old.get("podIP") or pod_address(pod)
    status: Json = {
        "phase": phase,
        "conditions": [
            condition("PodReadyToStartContainers", "True"),
            condition("Initialized", "True")
            if initialized
            else condition("Initialized", "False", **not_initialized),
            condition("Ready", ready, **reason),
            condition("ContainersReady", ready, **reason),
            condition("PodScheduled", "True"),
        ],
        "hostIP": node["status"]["addresses"][0]["address"],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": old.get("startTime") or now(),
        "containerStatuses": [item.status() for item in containers],
        "qosClass": qos_class(pod),
    }
    if initial:
        status["initContainerStatuses"] = [item.status() for item in initial]
    return status


def _is_sidecar(container: Container) -> bool:
    return container.spec.get("restartPolicy") == "Always"


def _phase(initial: Sequence[Container], containers: Sequence[Container], policy: str) -> str:
    if policy == "Never" and any(item.ended and not item.succeeded for item in initial):
        return "Failed"
    if all(item.ended and not item.restarts(policy) for item in containers):
        return "Succeeded" if all(item.succeeded for item in containers) else "Failed"
    started = any(item.running or item.ended or item.attempt for item in containers)
    return "Running" if started else "Pending"


def pod_address(pod: Mapping[str, Any]) -> str:
    """Return a pod's address, derived from its uid without allocation (rarely not unique)."""
    number = int(str(pod["metadata"]["uid"]).replace("-", "")[:8], 16)
    return f"10.0.{64 + number % 128}.{1 + number // 128 % 254}"


def qos_class(pod: Mapping[str, Any]) -> str:
    """Return the quality-of-service class of a pod."""
    resources = [c.get("resources") or {} for c in pod["spec"]["containers"]]
    if all(
        r.get("limits")
        and r.get("requests") == r["limits"]
        and {"cpu", "memory"} <= set(r["limits"])
        for r in resources
    ):
        return "Guaranteed"
    return (
        "Burstable"
        if any(r.get("requests") or r.get("limits") for r in resources)
        else "BestEffort"
    )
