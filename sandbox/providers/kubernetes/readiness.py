"""Readiness conditions of each kind, and messages for objects that do not become ready.

The conditions are pulumi-kubernetes'. The default timeout is 2 minutes since the last progress,
instead of 10 minutes, because objects start faster in the sandbox; customTimeouts and
`pulumi.com/timeoutSeconds` apply as they are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.providers.kubernetes.client import ApiStatusError, Client, UnreachableError
from sandbox.providers.kubernetes.objects import path

DEFAULT_TIMEOUT = 120.0
_PAUSES = (0.05, 0.1, 0.2, 0.3, 0.5)
Document = Mapping[str, Any]


class NotReadyError(Exception):
    """The object exists but is not ready, for the reason in the message."""

    def __init__(self, message: str, document: Document) -> None:
        super().__init__(message)
        self.document = document


class Watcher:
    """Waits for one object."""

    def __init__(
        self, client: Client, kind: Kind, namespace: str, name: str, cancelled: threading.Event
    ) -> None:
        self.client, self.kind, self.namespace, self.name, self.cancelled = (
            client,
            kind,
            namespace,
            name,
            cancelled,
        )

    def get(self) -> Document | None:
        """Return the object's current state."""
        try:
            return dict(self.client.request("GET", path(self.kind, self.namespace, self.name))[0])
        except ApiStatusError as failure:
            if failure.code == 404:
                return None
            raise

    def until_ready(self, seconds: float, log: Callable[[str], None]) -> Document:
        """Return the object once it is ready. Raises NotReadyError after a timeout or failure."""
        check = _CHECKS.get((self.kind.group, self.kind.kind))
        deadline, last, tries = time.monotonic() + seconds, "", 0
        while True:
            document = self.get()
            if document is None:
                raise NotReadyError(
                    f"{self.kind.kind} {self.name} was deleted while it was waited for", {}
                )
            missing, final = check(self, document) if check else ("", False)
            if not missing:
                return document
            if missing != last:
                log(missing)
                last = missing
                if seconds == DEFAULT_TIMEOUT:  # progress extends the default only
                    deadline = time.monotonic() + seconds
            if final or time.monotonic() > deadline or self._pause(tries):
                raise NotReadyError(
                    self._explain(missing, document, seconds, failed=final), document
                )
            tries += 1

    def until_gone(self, seconds: float) -> None:
        """Return once the object is gone. Raises NotReadyError with its finalizers."""
        deadline, tries = time.monotonic() + seconds, 0
        while (document := self.get()) is not None:
            if time.monotonic() > deadline or self._pause(tries):
                finalizers = (
                    ", ".join(document["metadata"].get("finalizers") or ())
                    or "nothing that it names"
                )
                text = (
                    f"{self.kind.kind} {self.name} is still there after {seconds:.0f} s; "
                    f"finalizers: {finalizers}"
                )
                for item in (document.get("status") or {}).get("conditions") or ():
                    if item["type"] == "NamespaceContentRemaining":
                        text += f". {item['message']}"
                text += _append_reasons(self._events(document))
                raise NotReadyError(text, document)
            tries += 1

    def _pause(self, tries: int) -> bool:
        return self.cancelled.wait(_PAUSES[min(tries, len(_PAUSES) - 1)])

    def _explain(self, missing: str, document: Document, seconds: float, *, failed: bool) -> str:
        verdict = "failed" if failed else f"was not ready within {seconds:.0f} s"
        text = (
            f"{self.kind.kind} {self.namespace + '/' if self.namespace else ''}{self.name} "
            f"{verdict}: {missing}"
        )
        reasons = [*self._pods(document), *self._events(document)]
        return text + _append_reasons(
            [reason for reason in dict.fromkeys(reasons) if reason not in text]
        )

    def _pods(self, document: Document) -> list[str]:
        selector = (document.get("spec") or {}).get("selector") or {}
        labels = selector.get("matchLabels") if "matchLabels" in selector else selector
        if (
            not isinstance(labels, Mapping)
            or not labels
            or self.kind.kind in {"PersistentVolumeClaim"}
        ):
            return []
        query = {"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())}
        try:
            pods = self.client.request(
                "GET", f"/api/v1/namespaces/{self.namespace}/pods", query=query
            )[0]["items"]
        except (ApiStatusError, UnreachableError):
            return []
        problems = (
            f"pod {pod['metadata']['name']}: {problem}"
            for pod in pods
            if (problem := pod_problem(pod))
        )
        return list(problems)[:3]

    def _events(self, document: Document) -> list[str]:
        uid = (document.get("metadata") or {}).get("uid")
        if not uid:
            return []
        namespace = self.namespace or "default"
        query = {"fieldSelector": f"involvedObject.uid={uid},type=Warning"}
        try:
            events = self.client.request(
                "GET", f"/api/v1/namespaces/{namespace}/events", query=query
            )[0]["items"]
        except (ApiStatusError, UnreachableError):
            return []
        return [f"{item['reason']}: {item['message']}" for item in events][-3:]


def _append_reasons(reasons: list[str]) -> str:
    return "".join(f"; {reason}" for reason in reasons)


def pod_problem(pod: Document) -> str:
    """Return why a pod is not ready in one line, or ""."""
    status = pod.get("status") or {}
    # Containers wait for init containers, whose reason is more specific.
    for item in (
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ):
        state = item.get("state") or {}
        waiting, last = state.get("waiting"), (item.get("lastState") or {}).get("terminated")
        attempts = f"; its last of {item['restartCount']} attempts" if last else ""
        ending = f"{attempts} ended with exit code {last['exitCode']}" if last else ""
        if waiting:
            detail = f" ({waiting['message']})" if waiting.get("message") else ""
            reason = waiting.get("reason", "unknown")
            return f"container {item['name']} is waiting: {reason}{detail}{ending}"
        if state.get("running") and not item.get("ready"):
            return f"container {item['name']} runs and is not ready{ending}"
    for item in status.get("conditions") or ():
        if item["type"] == "PodScheduled" and item["status"] == "False":
            return f"{item.get('reason', 'Unschedulable')}: {item.get('message', '')}"
    return ""


def _conditions(document: Document) -> dict[str, Document]:
    return {item["type"]: item for item in (document.get("status") or {}).get("conditions") or ()}


def _is_outdated(document: Document) -> bool:
    observed = (document.get("status") or {}).get("observedGeneration", 0)
    return bool(observed < document["metadata"].get("generation", 0))


def _deployment(_: Watcher, document: Document) -> tuple[str, bool]:
    status, replicas = document.get("status") or {}, document["spec"].get("replicas", 1)
    if document["spec"].get("paused"):
        return "", False
    if _is_outdated(document):
        return "the controller has not seen the change yet", False
    conditions = _conditions(document)
    progress = conditions.get("Progressing", {})
    if progress.get("reason") == "ProgressDeadlineExceeded":
        return str(progress.get("message")), True
    failed = conditions.get("ReplicaFailure", {})
    reason = f": {failed['message']}" if failed.get("status") == "True" else ""
    if status.get("updatedReplicas", 0) < replicas or status.get("availableReplicas", 0) < replicas:
        return (
            f"{status.get('availableReplicas', 0)} of {replicas} replicas are available, "
            f"{status.get('updatedReplicas', 0)} up to date{reason}",
            False,
        )
    if status.get("replicas", 0) > status.get("updatedReplicas", 0):
        return "old replicas are still there", False
    return "", False


def _stateful_set(_: Watcher, document: Document) -> tuple[str, bool]:
    status, replicas = document.get("status") or {}, document["spec"].get("replicas", 1)
    if (
        _is_outdated(document)
        or status.get("readyReplicas", 0) < replicas
        or status.get("currentRevision") != status.get("updateRevision")
    ):
        return (
            f"{status.get('readyReplicas', 0)} of {replicas} replicas are ready, "
            f"{status.get('updatedReplicas', 0)} up to date",
            False,
        )
    return "", False


def _daemon_set(_: Watcher, document: Document) -> tuple[str, bool]:
    status = document.get("status") or {}
    replicas = status.get("desiredNumberScheduled", 0)
    if (
        _is_outdated(document)
        or status.get("numberAvailable", 0) < replicas
        or status.get("updatedNumberScheduled", 0) < replicas
    ):
        return f"{status.get('numberAvailable', 0)} of {replicas} pods are available", False
    return "", False


def _replica_set(_: Watcher, document: Document) -> tuple[str, bool]:
    ready, replicas = (
        (document.get("status") or {}).get("availableReplicas", 0),
        document["spec"].get("replicas", 1),
    )
    return ("" if ready >= replicas else f"{ready} of {replicas} replicas are available"), False


def _job(_: Watcher, document: Document) -> tuple[str, bool]:
    conditions = _conditions(document)
    if conditions.get("Failed", {}).get("status") == "True":
        return f"{conditions['Failed'].get('reason')}: {conditions['Failed'].get('message')}", True
    if conditions.get("Complete", {}).get("status") == "True" or document["spec"].get("suspend"):
        return "", False
    return (
        f"{(document.get('status') or {}).get('succeeded', 0)} of "
        f"{document['spec'].get('completions', 1)} pods have succeeded",
        False,
    )


def _pod(_: Watcher, document: Document) -> tuple[str, bool]:
    phase = (document.get("status") or {}).get("phase")
    if phase == "Failed":
        return "the pod has failed", True
    if phase == "Succeeded" or _conditions(document).get("Ready", {}).get("status") == "True":
        return "", False
    return pod_problem(document) or "the pod is not ready yet", False


def _service(watcher: Watcher, document: Document) -> tuple[str, bool]:
    spec = document["spec"]
    if spec.get("type") == "LoadBalancer" and not (
        (document.get("status") or {}).get("loadBalancer") or {}
    ).get("ingress"):
        return "the load balancer has no address yet", False
    if spec.get("type") == "ExternalName" or not spec.get("selector"):
        return "", False
    try:
        endpoints = watcher.client.request(
            "GET", path(_ENDPOINTS, watcher.namespace, watcher.name)
        )[0]
    except ApiStatusError as failure:
        if failure.code != 404:
            raise
        endpoints = {}
    if any(subset.get("addresses") for subset in endpoints.get("subsets") or ()):
        return "", False
    # As pulumi-kubernetes since 4.17: a selector that matches no pod is not awaited.
    labels = ",".join(f"{key}={value}" for key, value in spec["selector"].items())
    pods_path = f"/api/v1/namespaces/{watcher.namespace}/pods"
    pods = watcher.client.request("GET", pods_path, query={"labelSelector": labels})[0]["items"]
    return ("no pod that the selector matches is ready" if pods else ""), False


def _ingress(watcher: Watcher, document: Document) -> tuple[str, bool]:
    for rule in document["spec"].get("rules") or ():
        for item in (rule.get("http") or {}).get("paths") or ():
            name = ((item.get("backend") or {}).get("service") or {}).get("name")
            if name:
                try:
                    watcher.client.request(
                        "GET", f"/api/v1/namespaces/{watcher.namespace}/services/{name}"
                    )
                except ApiStatusError as failure:
                    if failure.code != 404:
                        raise
                    host = rule.get("host", "*")
                    return f"its rule for {host} names a missing service {name}", False
    if not ((document.get("status") or {}).get("loadBalancer") or {}).get("ingress"):
        return "it has no address yet", False
    return "", False


def _claim(watcher: Watcher, document: Document) -> tuple[str, bool]:
    if (document.get("status") or {}).get("phase") == "Bound":
        return "", False
    name = document["spec"].get("storageClassName")
    if name:
        try:
            storage_class = watcher.client.request(
                "GET", f"/apis/storage.k8s.io/v1/storageclasses/{name}"
            )[0]
        except ApiStatusError as failure:
            return f"storage class {name}: {failure}", False
        if storage_class.get("volumeBindingMode") == "WaitForFirstConsumer":
            return "", False  # Bound when a pod uses it.
    return "the claim is not bound to a volume yet", False


_ENDPOINTS = Kind(group="", version="v1", kind="Endpoints", plural="endpoints", namespaced=True)
_CHECKS: Mapping[tuple[str, str], Callable[[Watcher, Document], tuple[str, bool]]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "ReplicaSet"): _replica_set,
    ("batch", "Job"): _job,
    ("", "Pod"): _pod,
    ("", "Service"): _service,
    ("networking.k8s.io", "Ingress"): _ingress,
    ("", "PersistentVolumeClaim"): _claim,
}
