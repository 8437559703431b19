"""What kubelets would report: pods start at once and are ready, unless their image or configuration isn't there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from sandbox.kubernetes.controllers.context import Work, now, terminating
from sandbox.kubernetes.storage.object_store import Json

_RETRY = 2.0  # seconds until a missing image is looked for again
_DONE = {"Succeeded", "Failed"}


def run_pods(work: Work, checked: Mapping[tuple[str, str], str | None]) -> None:
    """Report the state of every pod that has a node; `checked` says which images can't be pulled, and why."""
    nodes = {item["metadata"]["name"]: item for item in work.listed("nodes")}
    for pod in work.listed("pods"):
        status = pod.get("status") or {}
        name = pod["spec"].get("nodeName")
        if not name or terminating(pod) or status.get("phase") in _DONE:
            continue
        node = nodes.get(name)
        if node is None:
            # The node is gone; so is what ran on it.
            work.delete(pod)
            continue
        _report(work, pod, node, checked)


def images(work: Work) -> Iterator[tuple[str, str]]:
    """Yield (image, architecture) of the pods that haven't started."""
    architectures = {n["metadata"]["name"]: n["metadata"]["labels"]["kubernetes.io/arch"] for n in work.listed("nodes")}
    for pod in work.listed("pods"):
        if pod["spec"].get("nodeName") in architectures and (pod.get("status") or {}).get("phase") == "Pending":
            for container in [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]:
                yield container["image"], architectures[pod["spec"]["nodeName"]]


def _report(work: Work, pod: Json, node: Json, checked: Mapping[tuple[str, str], str | None]) -> None:
    old = pod.get("status") or {}
    if old.get("phase") == "Running" and len(old.get("containerStatuses") or ()) == len(pod["spec"]["containers"]):
        running = {item["name"]: item["image"] for item in old["containerStatuses"]}
        if all(running.get(c["name"]) == c["image"] for c in pod["spec"]["containers"]):
            return
    architecture = node["metadata"]["labels"]["kubernetes.io/arch"]
    problem = _missing_volume(work, pod)
    statuses, stuck = [], bool(problem)
    for container in pod["spec"]["containers"]:
        waiting = {"reason": "ContainerCreating"} if problem else _obstacle(work, pod, container, architecture, checked)
        stuck = stuck or waiting is not None
        statuses.append(_container_status(container, waiting))
    initial: list[Json] = []
    for container in pod["spec"].get("initContainers") or ():
        waiting = _obstacle(work, pod, container, architecture, checked)
        if waiting is not None:
            stuck = True
            initial.append(_container_status(container, waiting))
            statuses = [_container_status(c, {"reason": "PodInitializing"}) for c in pod["spec"]["containers"]]
    if problem:
        work.event(pod, "FailedMount", problem, "kubelet", warning=True)
    if stuck:
        work.again_in(_RETRY)
    status = _status(pod, node, statuses, stuck=stuck)
    work.status(pod, {**status, "initContainerStatuses": initial} if initial else status)


def _obstacle(
    work: Work,
    pod: Json,
    container: Mapping[str, Any],
    architecture: str,
    checked: Mapping[tuple[str, str], str | None],
) -> Json | None:
    reason = checked.get((container["image"], architecture))
    if reason:
        work.event(pod, "Failed", f'Failed to pull image "{container["image"]}": {reason}', "kubelet", warning=True)
        return {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{container["image"]}": {reason}'}
    namespace = pod["metadata"]["namespace"]
    for kind, name, key, optional in _references(container):
        found = work.named(kind, namespace, name)
        singular = kind.removesuffix("s")
        if found is None and not optional:
            return {"reason": "CreateContainerConfigError", "message": f'{singular} "{name}" not found'}
        if (
            found is not None
            and key
            and not optional
            and key not in {**(found.get("data") or {}), **(found.get("binaryData") or {})}
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


def _missing_volume(work: Work, pod: Json) -> str:
    namespace = pod["metadata"]["namespace"]
    for volume in pod["spec"].get("volumes") or ():
        sources = [volume, *((volume.get("projected") or {}).get("sources") or ())]
        for source in sources:
            for part, kind in (("configMap", "configmaps"), ("secret", "secrets")):
                item = source.get(part)
                name = (item or {}).get("name") or (item or {}).get("secretName")
                # Every namespace of a real cluster has this one; here it would be an object without use.
                if (
                    name
                    and name != "kube-root-ca.crt"
                    and not item.get("optional")
                    and work.named(kind, namespace, name) is None
                ):
                    singular = kind.removesuffix("s")
                    return f'MountVolume.SetUp failed for volume "{volume["name"]}" : {singular} "{name}" not found'
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


def _status(pod: Json, node: Json, statuses: list[Json], *, stuck: bool) -> Json:
    old = pod.get("status") or {}
    moment = now()
    job = any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences") or ())
    once = pod["spec"]["restartPolicy"] == "Never" or (job and pod["spec"]["restartPolicy"] == "OnFailure")
    done = not stuck and once
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
    ready = "False" if stuck or done else "True"
    why: dict[str, str] = {}
    if stuck:
        why = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{' '.join(unready)}]"}
    elif done:
        why = {"reason": "PodCompleted"}
    if done:
        for item in statuses:
            item.update(
                ready=False,
                started=False,
                state={"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": moment, "finishedAt": moment}},
            )
    if stuck and old.get("containerStatuses"):
        statuses = (
            statuses
            if [s["state"] for s in old["containerStatuses"]] != [s["state"] for s in statuses]
            else old["containerStatuses"]
        )
    address = old.get("podIP") or pod_address(pod)
    return {
        "phase": "Pending" if stuck else "Succeeded" if done else "Running",
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
        "qosClass": _quality(pod),
    }


def pod_address(pod: Mapping[str, Any]) -> str:
    """Return an address for a pod; from its uid, so it needs no book-keeping (and, rarely, isn't the only one)."""
    number = int(str(pod["metadata"]["uid"]).replace("-", "")[:8], 16)
    return f"10.0.{64 + number % 128}.{1 + number // 128 % 254}"


def _quality(pod: Mapping[str, Any]) -> str:
    containers = pod["spec"]["containers"]
    resources = [c.get("resources") or {} for c in containers]
    if all(
        r.get("limits") and r.get("requests") == r["limits"] and {"cpu", "memory"} <= set(r["limits"])
        for r in resources
    ):
        return "Guaranteed"
    return "Burstable" if any(r.get("requests") or r.get("limits") for r in resources) else "BestEffort"
