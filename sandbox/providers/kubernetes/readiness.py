"""When an object counts as ready, and what to say when it doesn't get there.

The conditions are those of pulumi-kubernetes. Its ten minutes of patience are one here, because nothing in the sandbox
takes longer to start; a program's own timeout (customTimeouts, `pulumi.com/timeoutSeconds`) holds as it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.providers.kubernetes.client import Client, RefusedError, UnreachableError
from sandbox.providers.kubernetes.objects import path

PATIENCE = 60.0  # seconds
_PAUSES = (0.05, 0.1, 0.2, 0.3, 0.5)
Document = Mapping[str, Any]


class NotReadyError(Exception):
    """The object exists, but isn't ready; the text says what is wrong with it."""

    def __init__(self, message: str, document: Document) -> None:
        super().__init__(message)
        self.document = document


class Watcher:
    """Waits for one object."""

    def __init__(self, client: Client, kind: Kind, namespace: str, name: str, cancelled: threading.Event) -> None:
        self.client, self.kind, self.namespace, self.name, self.cancelled = client, kind, namespace, name, cancelled

    def get(self) -> Document | None:
        """Return the object as it is now."""
        try:
            return dict(self.client.request("GET", path(self.kind, self.namespace, self.name))[0])
        except RefusedError as failure:
            if failure.code == 404:
                return None
            raise

    def until_ready(self, seconds: float, log: Callable[[str], None]) -> Document:
        """Return the object once it is ready; raises NotReadyError at the end of patience, or when it has failed."""
        check = _CHECKS.get((self.kind.group, self.kind.kind))
        deadline, last, tries = time.monotonic() + seconds, "", 0
        while True:
            document = self.get()
            if document is None:
                raise NotReadyError(f"{self.kind.kind} {self.name} was deleted while it was waited for", {})
            missing, final = check(self, document) if check else ("", False)
            if not missing:
                return document
            if missing != last:
                log(missing)
                last = missing
            if final or time.monotonic() > deadline or self._pause(tries):
                raise NotReadyError(self._explain(missing, document, seconds, failed=final), document)
            tries += 1

    def until_gone(self, seconds: float) -> None:
        """Return once the object is gone; raises NotReadyError with what holds it."""
        deadline, tries = time.monotonic() + seconds, 0
        while (document := self.get()) is not None:
            if time.monotonic() > deadline or self._pause(tries):
                held = ", ".join(document["metadata"].get("finalizers") or ()) or "nothing that it names"
                text = f"{self.kind.kind} {self.name} is still there after {seconds:.0f} s; finalizers: {held}"
                for item in (document.get("status") or {}).get("conditions") or ():
                    if item["type"] == "NamespaceContentRemaining":
                        text += f". {item['message']}"
                text += _because(self._events(document))
                raise NotReadyError(text, document)
            tries += 1

    def _pause(self, tries: int) -> bool:
        return self.cancelled.wait(_PAUSES[min(tries, len(_PAUSES) - 1)])

    def _explain(self, missing: str, document: Document, seconds: float, *, failed: bool) -> str:
        verdict = "failed" if failed else f"wasn't ready within {seconds:.0f} s"
        text = f"{self.kind.kind} {self.namespace + '/' if self.namespace else ''}{self.name} {verdict}: {missing}"
        reasons = [*self._pods(document), *self._events(document)]
        return text + _because([reason for reason in dict.fromkeys(reasons) if reason not in text])

    def _pods(self, document: Document) -> list[str]:
        selector = (document.get("spec") or {}).get("selector") or {}
        labels = selector.get("matchLabels") if "matchLabels" in selector else selector
        if not isinstance(labels, Mapping) or not labels or self.kind.kind in {"PersistentVolumeClaim"}:
            return []
        query = {"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())}
        try:
            found = self.client.request("GET", f"/api/v1/namespaces/{self.namespace}/pods", query=query)[0]["items"]
        except (RefusedError, UnreachableError):
            return []
        problems = (f"pod {pod['metadata']['name']}: {problem}" for pod in found if (problem := pod_problem(pod)))
        return list(problems)[:3]

    def _events(self, document: Document) -> list[str]:
        uid = (document.get("metadata") or {}).get("uid")
        if not uid:
            return []
        namespace = self.namespace or "default"
        query = {"fieldSelector": f"involvedObject.uid={uid},type=Warning"}
        try:
            found = self.client.request("GET", f"/api/v1/namespaces/{namespace}/events", query=query)[0]["items"]
        except (RefusedError, UnreachableError):
            return []
        return [f"{item['reason']}: {item['message']}" for item in found][-3:]


def _because(reasons: list[str]) -> str:
    return "".join(f"; {reason}" for reason in reasons)


def pod_problem(pod: Document) -> str:
    """Return why a pod isn't ready, in one line, or nothing."""
    status = pod.get("status") or {}
    # The containers wait for the init containers, and say no more than that.
    for item in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (item.get("state") or {}).get("waiting")
        if waiting:
            detail = f" ({waiting['message']})" if waiting.get("message") else ""
            return f"container {item['name']} is waiting: {waiting.get('reason', 'unknown')}{detail}"
    for item in status.get("conditions") or ():
        if item["type"] == "PodScheduled" and item["status"] == "False":
            return f"{item.get('reason', 'Unschedulable')}: {item.get('message', '')}"
    return ""


def _conditions(document: Document) -> dict[str, Document]:
    return {item["type"]: item for item in (document.get("status") or {}).get("conditions") or ()}


def _behind(document: Document) -> bool:
    observed = (document.get("status") or {}).get("observedGeneration", 0)
    return bool(observed < document["metadata"].get("generation", 0))


def _deployment(_: Watcher, document: Document) -> tuple[str, bool]:
    status, wanted = document.get("status") or {}, document["spec"].get("replicas", 1)
    if document["spec"].get("paused"):
        return "", False
    if _behind(document):
        return "the controller hasn't seen the change yet", False
    conditions = _conditions(document)
    progress = conditions.get("Progressing", {})
    if progress.get("reason") == "ProgressDeadlineExceeded":
        return str(progress.get("message")), True
    failed = conditions.get("ReplicaFailure", {})
    reason = f": {failed['message']}" if failed.get("status") == "True" else ""
    if status.get("updatedReplicas", 0) < wanted or status.get("availableReplicas", 0) < wanted:
        return (
            f"{status.get('availableReplicas', 0)} of {wanted} replicas are available, {status.get('updatedReplicas', 0)} up to date{reason}",
            False,
        )
    if status.get("replicas", 0) > status.get("updatedReplicas", 0):
        return "old replicas are still there", False
    return "", False


def _stateful_set(_: Watcher, document: Document) -> tuple[str, bool]:
    status, wanted = document.get("status") or {}, document["spec"].get("replicas", 1)
    if (
        _behind(document)
        or status.get("readyReplicas", 0) < wanted
        or status.get("currentRevision") != status.get("updateRevision")
    ):
        return (
            f"{status.get('readyReplicas', 0)} of {wanted} replicas are ready, {status.get('updatedReplicas', 0)} up to date",
            False,
        )
    return "", False


def _daemon_set(_: Watcher, document: Document) -> tuple[str, bool]:
    status = document.get("status") or {}
    wanted = status.get("desiredNumberScheduled", 0)
    if (
        _behind(document)
        or status.get("numberAvailable", 0) < wanted
        or status.get("updatedNumberScheduled", 0) < wanted
    ):
        return f"{status.get('numberAvailable', 0)} of {wanted} pods are available", False
    return "", False


def _replica_set(_: Watcher, document: Document) -> tuple[str, bool]:
    ready, wanted = (document.get("status") or {}).get("availableReplicas", 0), document["spec"].get("replicas", 1)
    return ("" if ready >= wanted else f"{ready} of {wanted} replicas are available"), False


def _job(_: Watcher, document: Document) -> tuple[str, bool]:
    conditions = _conditions(document)
    if conditions.get("Failed", {}).get("status") == "True":
        return f"{conditions['Failed'].get('reason')}: {conditions['Failed'].get('message')}", True
    if conditions.get("Complete", {}).get("status") == "True" or document["spec"].get("suspend"):
        return "", False
    return (
        f"{(document.get('status') or {}).get('succeeded', 0)} of {document['spec'].get('completions', 1)} pods have succeeded",
        False,
    )


def _pod(_: Watcher, document: Document) -> tuple[str, bool]:
    phase = (document.get("status") or {}).get("phase")
    if phase == "Failed":
        return "the pod has failed", True
    if phase == "Succeeded" or _conditions(document).get("Ready", {}).get("status") == "True":
        return "", False
    return pod_problem(document) or "the pod isn't ready yet", False


def _service(watcher: Watcher, document: Document) -> tuple[str, bool]:
    spec = document["spec"]
    if spec.get("type") == "LoadBalancer" and not ((document.get("status") or {}).get("loadBalancer") or {}).get(
        "ingress"
    ):
        return "the load balancer has no address yet", False
    if spec.get("type") == "ExternalName" or not spec.get("selector"):
        return "", False
    try:
        found = watcher.client.request("GET", path(_ENDPOINTS, watcher.namespace, watcher.name))[0]
    except RefusedError as failure:
        if failure.code != 404:
            raise
        found = {}
    if any(subset.get("addresses") for subset in found.get("subsets") or ()):
        return "", False
    return "the service's selector matches no ready pod yet", False


def _ingress(watcher: Watcher, document: Document) -> tuple[str, bool]:
    for rule in document["spec"].get("rules") or ():
        for item in (rule.get("http") or {}).get("paths") or ():
            name = ((item.get("backend") or {}).get("service") or {}).get("name")
            if name:
                try:
                    watcher.client.request("GET", f"/api/v1/namespaces/{watcher.namespace}/services/{name}")
                except RefusedError as failure:
                    if failure.code != 404:
                        raise
                    return f"its rule for {rule.get('host', '*')} names a service {name} that isn't there", False
    if not ((document.get("status") or {}).get("loadBalancer") or {}).get("ingress"):
        return "it has no address yet", False
    return "", False


def _claim(watcher: Watcher, document: Document) -> tuple[str, bool]:
    if (document.get("status") or {}).get("phase") == "Bound":
        return "", False
    name = document["spec"].get("storageClassName")
    if name:
        try:
            found = watcher.client.request("GET", f"/apis/storage.k8s.io/v1/storageclasses/{name}")[0]
        except RefusedError as failure:
            return f"storage class {name}: {failure}", False
        if found.get("volumeBindingMode") == "WaitForFirstConsumer":
            return "", False  # it is bound when a pod uses it
    return "the claim isn't bound to a volume yet", False


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
