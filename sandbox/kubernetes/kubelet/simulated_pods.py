"""Pods that no runtime runs: ready at once, unless their image or configuration is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from sandbox.kubernetes.controllers.context import ControllerContext, now
from sandbox.kubernetes.kubelet.pod_status import pod_address, qos_class
from sandbox.kubernetes.storage.object_store import Json

_RETRY = 2.0  # Seconds until a missing image is checked again.


def images(context: ControllerContext) -> Iterator[tuple[str, str]]:
    """Yield (image, architecture) of the pods that have not started."""
    architectures = {
        n["metadata"]["name"]: n["metadata"]["labels"]["kubernetes.io/arch"]
        for n in context.list_objects("nodes")
    }
    for pod in context.list_objects("pods"):
        if (
            pod["spec"].get("nodeName") in architectures
            and (pod.get("status") or {}).get("phase") == "Pending"
        ):
            for container in [
                *(pod["spec"].get("initContainers") or ()),
                *pod["spec"]["containers"],
            ]:
                yield container["image"], architectures[pod["spec"]["nodeName"]]


def update_pod(
    context: ControllerContext,
    pod: Json,
    node: Json,
    pull_errors: Mapping[tuple[str, str], str | None],
) -> None:
    """Update the status; `pull_errors` has the reason per image and architecture."""
    old = pod.get("status") or {}
    if old.get("phase") == "Running" and len(old.get("containerStatuses") or ()) == len(
        pod["spec"]["containers"]
    ):
        running = {item["name"]: item["image"] for item in old["containerStatuses"]}
        if all(running.get(c["name"]) == c["image"] for c in pod["spec"]["containers"]):
            return
    architecture = node["metadata"]["labels"]["kubernetes.io/arch"]
    problem = _missing_volume(context, pod)
    statuses, waiting_for_start = [], bool(problem)
    for container in pod["spec"]["containers"]:
        waiting = (
            {"reason": "ContainerCreating"}
            if problem
            else _waiting_reason(context, pod, container, architecture, pull_errors)
        )
        waiting_for_start = waiting_for_start or waiting is not None
        statuses.append(_container_status(container, waiting))
    initial: list[Json] = []
    for container in pod["spec"].get("initContainers") or ():
        waiting = _waiting_reason(context, pod, container, architecture, pull_errors)
        if waiting is not None:
            waiting_for_start = True
            initial.append(_container_status(container, waiting))
            statuses = [
                _container_status(c, {"reason": "PodInitializing"})
                for c in pod["spec"]["containers"]
            ]
    if problem:
        context.record_event(pod, "FailedMount", problem, "kubelet", warning=True)
    if waiting_for_start:
        context.requeue_after(_RETRY)
    status = _status(pod, node, statuses, waiting_for_start=waiting_for_start)
    context.update_status(pod, {**status, "initContainerStatuses": initial} if initial else status)


def _waiting_reason(
    context: ControllerContext,
    pod: Json,
    container: Mapping[str, Any],
    architecture: str,
    pull_errors: Mapping[tuple[str, str], str | None],
) -> Json | None:
    reason = pull_errors.get((container["image"], architecture))
    if reason:
        context.record_event(
            pod,
            "Failed",
            f'Failed to pull image "{container["image"]}": {reason}',
            "kubelet",
            warning=True,
        )
        return {
            "reason": "ImagePullBackOff",
            "message": f'Back-off pulling image "{container["image"]}": {reason}',
        }
    namespace = pod["metadata"]["namespace"]
    for kind, name, key, optional in _references(container):
        referenced = context.get_object(kind, namespace, name)
        singular = kind.removesuffix("s")
        if referenced is None and not optional:
            return {
                "reason": "CreateContainerConfigError",
                "message": f'{singular} "{name}" not found',
            }
        if (
            referenced is not None
            and key
            and not optional
            and key
            not in {**(referenced.get("data") or {}), **(referenced.get("binaryData") or {})}
        ):
            title = "ConfigMap" if kind == "configmaps" else "Secret"
            return {
                "reason": "CreateContainerConfigError",
                "message": f"couldn't find key {key} in {title} {namespace}/{name}",
            }
    return None


def _references(container: Mapping[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    for entry in container.get("env") or ():
        source = entry.get("valueFrom") or {}
        for part, kind in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
            if part in source:
                item = source[part]
                yield kind, item.get("name", ""), item.get("key", ""), bool(item.get("optional"))
    for entry in container.get("envFrom") or ():
        for part, kind in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            if part in entry:
                yield kind, entry[part].get("name", ""), "", bool(entry[part].get("optional"))


def _missing_volume(context: ControllerContext, pod: Json) -> str:
    namespace = pod["metadata"]["namespace"]
    for volume in pod["spec"].get("volumes") or ():
        sources = [volume, *((volume.get("projected") or {}).get("sources") or ())]
        for source in sources:
            for part, kind in (("configMap", "configmaps"), ("secret", "secrets")):
                item = source.get(part)
                name = (item or {}).get("name") or (item or {}).get("secretName")
                # Each namespace of a real cluster contains it; the sandbox does not create it.
                if (
                    name
                    and name != "kube-root-ca.crt"
                    and not item.get("optional")
                    and context.get_object(kind, namespace, name) is None
                ):
                    singular = kind.removesuffix("s")
                    return (
                        f'MountVolume.SetUp failed for volume "{volume["name"]}" : '
                        f'{singular} "{name}" not found'
                    )
    return ""


def _container_status(container: Mapping[str, Any], waiting: Json | None) -> Json:
    status: Json = {
        "name": container["name"],
        "image": container["image"],
        "ready": waiting is None,
        "started": waiting is None,
        "restartCount": 0,
        "imageID": container["image"] if waiting is None and "@" in container["image"] else "",
        "state": {"waiting": waiting} if waiting is not None else {"running": {"startedAt": now()}},
    }
    if waiting is None:
        status["containerID"] = "sandbox://" + sha256(container["image"].encode()).hexdigest()[:12]
    return status


def _status(pod: Json, node: Json, statuses: list[Json], *, waiting_for_start: bool) -> Json:
    old = pod.get("status") or {}
    moment = now()
    job = any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences") or ())
    once = pod["spec"]["restartPolicy"] == "Never" or (
        job and pod["spec"]["restartPolicy"] == "OnFailure"
    )
    done = not waiting_for_start and once
    previous = {item["type"]: item for item in old.get("conditions") or ()}

    def state(kind: str, value: str, **extra: str) -> Json:
        before = previous.get(kind, {})
        same = before.get("status") == value and "lastTransitionTime" in before
        return {
            "type": kind,
            "status": value,
            "lastTransitionTime": before["lastTransitionTime"] if same else moment,
            **extra,
        }

    unready = [item["name"] for item in statuses if not item["ready"]]
    ready = "False" if waiting_for_start or done else "True"
    why: dict[str, str] = {}
    if waiting_for_start:
        why = {
            "reason": "ContainersNotReady",
            "message": f"containers with unready status: [{' '.join(unready)}]",
        }
    elif done:
        why = {"reason": "PodCompleted"}
    if done:
        for item in statuses:
            item.update(
                ready=False,
                started=False,
                state={
                    "terminated": {
                        "exitCode": 0,
                        "reason": "Completed",
                        "startedAt": moment,
                        "finishedAt": moment,
                    }
                },
            )
    if waiting_for_start and old.get("containerStatuses"):
        statuses = (
            statuses
            if [s["state"] for s in old["containerStatuses"]] != [s["state"] for s in statuses]
            else old["containerStatuses"]
        )
    address = old.get("podIP") or pod_address(pod)
    return {
        "phase": "Pending" if waiting_for_start else "Succeeded" if done else "Running",
        "conditions": [
            state("PodReadyToStartContainers", "True"),
            state("Initialized", "True", **({"reason": "PodCompleted"} if done else {})),
            state("Ready", ready, **why),
            state("ContainersReady", ready, **why),
            state("PodScheduled", "True"),
        ],
        "hostIP": node["status"]["addresses"][0]["address"],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": old.get("startTime", moment),
        "containerStatuses": statuses,
        "qosClass": qos_class(pod),
    }
