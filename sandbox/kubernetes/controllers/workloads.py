"""The StatefulSet, DaemonSet and Job controllers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from sandbox.kubernetes.apimachinery.errors import ApiError
from sandbox.kubernetes.apiserver.object_meta import now, random_suffix
from sandbox.kubernetes.controllers import nodes, scheduler
from sandbox.kubernetes.controllers.context import (
    ControllerContext,
    seconds_since,
    set_condition,
    terminating,
)
from sandbox.kubernetes.controllers.deployments import create_pod, is_ready
from sandbox.kubernetes.storage.object_store import Json

_REVISION = "controller-revision-hash"


def _revision(document: Mapping[str, Any]) -> str:
    digest = sha256(json.dumps(document["spec"]["template"], sort_keys=True).encode()).hexdigest()[
        :10
    ]
    return f"{document['metadata']['name']}-{digest}"


def stateful_sets(context: ControllerContext) -> None:
    """Create pods by ordinal in order; replace outdated pods in reverse order."""
    for item in context.list_objects("statefulsets.apps"):
        if not terminating(item):
            _stateful_set(context, item)


def _stateful_set(context: ControllerContext, item: Json) -> None:
    name, spec, revision = item["metadata"]["name"], item["spec"], _revision(item)
    pods = {
        p["metadata"]["name"]: p
        for p in context.list_controlled("pods", item)
        if not terminating(p)
    }
    names = [f"{name}-{index}" for index in range(spec["replicas"])]
    parallel = spec["podManagementPolicy"] == "Parallel"
    for index, pod_name in enumerate(names):
        pod = pods.get(pod_name)
        if pod is None:
            _stateful_pod(context, item, pod_name, index, revision)
        if not parallel and (pod is None or not is_ready(pod)):
            break
    for pod_name in sorted(set(pods) - set(names), key=_ordinal, reverse=True)[
        : None if parallel else 1
    ]:
        context.delete(pods[pod_name])
    partition = (spec["updateStrategy"].get("rollingUpdate") or {}).get("partition", 0)
    if spec["updateStrategy"]["type"] == "RollingUpdate" and all(
        n in pods and is_ready(pods[n]) for n in names
    ):
        old = [
            n for n in names[partition:] if pods[n]["metadata"]["labels"].get(_REVISION) != revision
        ]
        if old:
            context.delete(pods[old[-1]])
    live = [p for p in context.list_controlled("pods", item) if not terminating(p)]
    updated = [p for p in live if p["metadata"]["labels"].get(_REVISION) == revision]
    ready = sum(is_ready(p) for p in live)
    before = item.get("status") or {}
    done = len(updated) == spec["replicas"] == ready
    context.update_status(
        item,
        {
            "observedGeneration": item["metadata"]["generation"],
            "replicas": len(live),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "currentReplicas": len(updated) if done else len(live) - len(updated),
            "updatedReplicas": len(updated),
            "updateRevision": revision,
            "currentRevision": revision if done else before.get("currentRevision", revision),
            "collisionCount": 0,
        },
    )


def _ordinal(name: str) -> int:
    return int(name.rsplit("-", 1)[-1])


def _stateful_pod(
    context: ControllerContext, item: Json, name: str, index: int, revision: str
) -> None:
    namespace = item["metadata"]["namespace"]
    owner = json.loads(json.dumps(item))
    spec = owner["spec"]["template"]["spec"]
    spec.update(hostname=name, subdomain=item["spec"].get("serviceName", ""))
    for template in item["spec"].get("volumeClaimTemplates") or ():
        claim = f"{template['metadata']['name']}-{name}"
        volumes = [
            v for v in spec.get("volumes") or () if v["name"] != template["metadata"]["name"]
        ]
        spec["volumes"] = [
            *volumes,
            {"name": template["metadata"]["name"], "persistentVolumeClaim": {"claimName": claim}},
        ]
        if context.get_object("persistentvolumeclaims", namespace, claim) is None:
            labels = {
                **(item["spec"]["selector"].get("matchLabels") or {}),
                **(template["metadata"].get("labels") or {}),
            }
            context.create(
                "v1",
                "PersistentVolumeClaim",
                namespace,
                {"metadata": {"name": claim, "labels": labels}, "spec": template["spec"]},
            )
    extra = {
        _REVISION: revision,
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(index),
    }
    try:
        create_pod(context, owner, name, extra)
    except ApiError as error:
        message = (
            f"create Pod {name} in StatefulSet {item['metadata']['name']} failed error: "
            f"{error.message}"
        )
        context.record_event(item, "FailedCreate", message, "statefulset-controller", warning=True)


def daemon_sets(context: ControllerContext) -> None:
    """Run one pod per node that the template fits."""
    available = context.list_objects("nodes")
    for item in context.list_objects("daemonsets.apps"):
        if terminating(item):
            continue
        spec, revision = item["spec"]["template"]["spec"], _revision(item)
        pods = {
            p["spec"].get("nodeName", ""): p
            for p in context.list_controlled("pods", item)
            if not terminating(p)
        }
        tolerations = [
            *(spec.get("tolerations") or ()),
            {"key": "node.kubernetes.io/unschedulable", "operator": "Exists"},
        ]
        node_names = [
            node["metadata"]["name"]
            for node in available
            if scheduler.matches_node(spec, node["metadata"]["labels"])
            and all(
                any(scheduler.tolerates(t, taint) for t in tolerations)
                for taint in nodes.taints(node)
                if taint.effect != "PreferNoSchedule"
            )
        ]
        for name in node_names:
            if name not in pods:
                try:
                    create_pod(
                        context,
                        item,
                        f"{item['metadata']['name']}-{random_suffix()}",
                        {_REVISION: revision},
                        name,
                    )
                except ApiError as error:
                    context.record_event(
                        item,
                        "FailedCreate",
                        f"Error creating: {error.message}",
                        "daemonset-controller",
                        warning=True,
                    )
        stale = [
            p
            for n, p in pods.items()
            if n in node_names and p["metadata"]["labels"].get(_REVISION) != revision
        ]
        for pod in [*stale[:1], *(p for n, p in pods.items() if n not in node_names)]:
            context.delete(pod)
        live = [p for p in context.list_controlled("pods", item) if not terminating(p)]
        ready = sum(is_ready(p) for p in live)
        context.update_status(
            item,
            {
                "observedGeneration": item["metadata"]["generation"],
                "desiredNumberScheduled": len(node_names),
                "currentNumberScheduled": len(live),
                "numberReady": ready,
                "numberMisscheduled": 0,
                **({"numberAvailable": ready} if ready else {}),
                **(
                    {"numberUnavailable": len(node_names) - ready}
                    if ready < len(node_names)
                    else {}
                ),
                "updatedNumberScheduled": sum(
                    p["metadata"]["labels"].get(_REVISION) == revision for p in live
                ),
            },
        )


def jobs(context: ControllerContext) -> None:
    """Run a Job's pods; each started pod completes."""
    for item in context.list_objects("jobs.batch"):
        if not terminating(item):
            _job(context, item)


# The job controller waits 10 s after the first failed pod, and twice as long after each other.
_BACKOFF_SECONDS, _MAX_BACKOFF_SECONDS = 10.0, 600.0


def _restarts(pod: Json) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return sum(item.get("restartCount", 0) for item in statuses)


def _backoff(failed: Sequence[Json]) -> float:
    """Return the seconds until a Job may start another pod."""
    ended = [
        item["state"]["terminated"]["finishedAt"]
        for pod in failed
        for item in (pod.get("status") or {}).get("containerStatuses") or ()
        if "finishedAt" in (item.get("state", {}).get("terminated") or {})
    ]
    if not ended:
        return 0.0
    wait: float = min(_BACKOFF_SECONDS * 2.0 ** (len(failed) - 1), _MAX_BACKOFF_SECONDS)
    return wait - seconds_since(max(ended))


def _job(context: ControllerContext, item: Json) -> None:  # noqa: PLR0912 - one branch per state
    spec, status = item["spec"], item.get("status") or {}
    conditions = status.get("conditions") or []
    finished = any(
        c["type"] in {"Complete", "Failed"} and c["status"] == "True" for c in conditions
    )
    if finished:
        lifetime = spec.get("ttlSecondsAfterFinished")
        if lifetime is not None:
            left = lifetime - seconds_since(conditions[-1]["lastTransitionTime"])
            if left <= 0:
                context.delete(item)
            else:
                context.requeue_after(left)
        return
    if spec.get("suspend"):
        context.update_status(
            item,
            {
                **status,
                "conditions": set_condition(
                    conditions, "Suspended", "True", "JobSuspended", "Job suspended"
                ),
            },
        )
        return
    pods = context.list_controlled("pods", item)
    succeeded = sum((p.get("status") or {}).get("phase") == "Succeeded" for p in pods)
    active = [
        p
        for p in pods
        if (p.get("status") or {}).get("phase") not in {"Succeeded", "Failed"}
        and not terminating(p)
    ]
    completions = spec.get("completions") or 1
    failed = [p for p in pods if (p.get("status") or {}).get("phase") == "Failed"]
    failures = len(failed) + sum(_restarts(p) for p in active)
    exceeded = failures > spec.get("backoffLimit", 6)
    delay = _backoff(failed) if failed else 0.0
    if delay > 0 and not exceeded:
        context.requeue_after(delay)
    missing = min(spec["parallelism"], completions - succeeded) - len(active)
    for _ in range(0 if exceeded or delay > 0 else missing):
        try:
            active.append(
                create_pod(context, item, f"{item['metadata']['name'][:240]}-{random_suffix()}")
            )
        except ApiError as error:
            context.record_event(
                item,
                "FailedCreate",
                f"Error creating: {error.message}",
                "job-controller",
                warning=True,
            )
            break
    new: Json = {
        **status,
        "startTime": status.get("startTime", now()),
        "ready": 0,
        "uncountedTerminatedPods": {},
    }
    if exceeded:
        for pod in active:
            context.delete(pod)
        active = []
    counts = {"active": len(active), "succeeded": succeeded, "failed": len(failed)}
    new = {k: v for k, v in new.items() if k not in counts} | {k: v for k, v in counts.items() if v}
    deadline = spec.get("activeDeadlineSeconds")
    if succeeded >= completions:
        new["completionTime"] = now()
        reason = "CompletionsReached", "Reached expected number of succeeded pods"
        new["conditions"] = set_condition(
            set_condition(conditions, "SuccessCriteriaMet", "True", *reason),
            "Complete",
            "True",
            *reason,
        )
    elif exceeded:
        reason = "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        new["conditions"] = set_condition(
            set_condition(conditions, "FailureTarget", "True", *reason), "Failed", "True", *reason
        )
    elif deadline is not None and seconds_since(new["startTime"]) >= deadline:
        for pod in active:
            context.delete(pod)
        reason = "DeadlineExceeded", "Job was active longer than specified deadline"
        new["conditions"] = set_condition(conditions, "Failed", "True", *reason)
    elif deadline is not None:
        context.requeue_after(deadline - seconds_since(new["startTime"]))
    context.update_status(item, new)
