"""The kubelet of all nodes of a cluster: runs each pod, or simulates it where no runtime can."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import Popen
from typing import Any

from sandbox.contracts.container_runtime import POD_IDENTITY_DIRECTORY, ContainerRuntime
from sandbox.kubernetes.controllers.context import ControllerContext, terminating
from sandbox.kubernetes.kubelet import logs, simulated_pods
from sandbox.kubernetes.kubelet.pod_worker import PodServices, PodWorker
from sandbox.kubernetes.storage.object_store import Json

_TERMINAL = {"Succeeded", "Failed"}
_PROBE_THREADS = 16
_SHUTDOWN_SECONDS = 10.0  # grace period of the pods when the sandbox stops


class Kubelet:
    """Runs the scheduled pods of a cluster; without a runtime, all of them are simulated."""

    def __init__(self, context: ControllerContext) -> None:
        self._context = context
        self._runtime: ContainerRuntime | None = context.external.runtime
        self._executor = ThreadPoolExecutor(_PROBE_THREADS, thread_name_prefix="probe")
        self._services = PodServices(
            pull_error=context.external.image_check,
            hosts=self._host_names,
            aws_identity=self._aws_identity,
            executor=self._executor,
            directory=context.external.pod_directory,
        )
        self.workers: dict[str, PodWorker] = {}

    def sync(self) -> None:
        """Start, update and end pods as the objects require."""
        context = self._context
        image_check = context.external.image_check
        # Without the store's lock: registries may be slow.
        pull_errors = {item: image_check(*item) for item in set(simulated_pods.images(context))}
        with context.store.lock:
            if context.store.closed:
                return
            nodes = {item["metadata"]["name"]: item for item in context.list_objects("nodes")}
            pods = {item["metadata"]["uid"]: item for item in context.list_objects("pods")}
            for uid, pod in pods.items():
                self._sync_pod(uid, pod, nodes, pull_errors)
            for uid, worker in list(self.workers.items()):
                if uid not in pods:
                    worker.kill()
                if not worker.alive:
                    del self.workers[uid]

    def _sync_pod(
        self,
        uid: str,
        pod: Json,
        nodes: Mapping[str, Json],
        pull_errors: Mapping[tuple[str, str], str | None],
    ) -> None:
        context, name = self._context, pod["spec"].get("nodeName")
        node = nodes.get(name or "")
        if name and node is None:
            # The pod's node was removed, and its processes with it.
            context.delete(pod, grace_seconds=0)
            return
        worker = self.workers.get(uid)
        if worker is not None:
            worker.update(pod, node or {})
            return
        if terminating(pod) and (not node or not self._runs(pod)):
            context.delete(pod, grace_seconds=0)
            return
        if node is None or (pod.get("status") or {}).get("phase") in _TERMINAL:
            if terminating(pod):
                context.delete(pod, grace_seconds=0)
            return
        if self._runtime is not None and self._runs(pod):
            self.workers[uid] = PodWorker(context, self._runtime, self._services, pod, node)
        else:
            simulated_pods.update_pod(context, pod, node, pull_errors)

    def _runs(self, pod: Mapping[str, Any]) -> bool:
        containers = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
        return self._runtime is not None and all(
            self._runtime.can_run(item["image"]) for item in containers
        )

    def _aws_identity(self, pod: Mapping[str, Any]) -> tuple[Mapping[str, str], Mapping[str, Path]]:
        """Return variables and mounts of EKS Pod Identity."""
        context = self._context
        if context.external.pod_identity is None:
            return {}, {}
        meta = pod["metadata"]
        directory = context.external.pod_directory / meta["uid"] / ".eks-pod-identity"
        variables = context.external.pod_identity.variables(
            context.facts.arn,
            meta["namespace"],
            pod["spec"].get("serviceAccountName", "default"),
            directory,
        )
        return variables, {POD_IDENTITY_DIRECTORY: directory} if variables else {}

    def _host_names(self) -> Mapping[str, str]:
        external = self._context.external
        services = external.service_proxy.host_names() if external.service_proxy else {}
        return {**services, **external.host_names()}

    def container_usage(self, pod_uid: str) -> Mapping[str, Mapping[str, float]]:
        """Return cpu (cores) and memory (bytes) of each running container; empty if unknown."""
        worker = self.workers.get(pod_uid)
        return dict(worker.usage) if worker is not None else {}

    def pod_usage(self, pod_uid: str) -> Mapping[str, float]:
        """Return the sum of the pod's containers; empty if unknown."""
        total: dict[str, float] = {}
        for usage in self.container_usage(pod_uid).values():
            for name, value in usage.items():
                total[name] = total.get(name, 0.0) + value
        return total

    def runs(self, pod_uid: str) -> bool:
        """Return whether a runtime runs the pod."""
        return pod_uid in self.workers

    def address(self, pod_uid: str) -> str:
        """Return the pod's address on this machine."""
        assert self._runtime is not None  # noqa: S101 - `runs` was true
        return self._runtime.pod_address(pod_uid)

    def log(self, pod_uid: str, name: str, query: Mapping[str, str]) -> Iterator[bytes]:
        """Return a container's log with the options of a request. Raises LookupError."""
        runtime, container_id = self._container_id(
            pod_uid, name, previous=query.get("previous") == "true"
        )
        tail, limit = query.get("tailLines"), query.get("limitBytes")
        options = logs.LogOptions(
            follow=query.get("follow") == "true",
            timestamps=query.get("timestamps") == "true",
            tail=int(tail) if tail and int(tail) >= 0 else None,
            since=logs.since(query.get("sinceSeconds", ""), query.get("sinceTime", "")),
            limit_bytes=int(limit) if limit else None,
        )

        return logs.read(runtime.log(container_id), options, _running(runtime, container_id))

    def attach(self, pod_uid: str, name: str) -> logs.LogProcess:
        """Return what a container writes from now on. Raises LookupError."""
        runtime, container_id = self._container_id(pod_uid, name, previous=False)
        return logs.LogProcess(runtime.log(container_id), _running(runtime, container_id))

    def exec(self, pod_uid: str, name: str, command: Sequence[str], *, tty: bool) -> Popen[bytes]:
        """Start a process in a container. Raises ContainerError."""
        runtime, container_id = self._container_id(pod_uid, name, previous=False)
        return runtime.exec(container_id, command, tty=tty)

    def _container_id(
        self, pod_uid: str, name: str, *, previous: bool
    ) -> tuple[ContainerRuntime, str]:
        worker = self.workers.get(pod_uid)
        container = worker.container(name) if worker is not None else None
        if container is None or self._runtime is None:
            raise LookupError(f'container "{name}" was not found')
        attempt = container.attempt - 1 if previous else container.attempt
        container_id = f"{pod_uid}_{name}_{attempt}"
        if self._runtime.state(container_id) is None and not previous:
            # It waits for its next attempt: the log is that of the last one.
            container_id = f"{pod_uid}_{name}_{attempt - 1}"
        if self._runtime.state(container_id) is None:
            reason = (container.waiting or ("ContainerCreating", ""))[0]
            raise LookupError(
                f'container "{name}" in pod is waiting to start: {reason}'
                if not previous
                else f'previous terminated container "{name}" in pod not found'
            )
        return self._runtime, container_id

    def stop(self, *, keep_pods: bool) -> None:
        """End the workers; `keep_pods` leaves the processes for the next kubelet."""
        for worker in self.workers.values():
            worker.abandon()
        if not keep_pods and self._runtime is not None:
            for worker in self.workers.values():
                worker.stop_containers(_SHUTDOWN_SECONDS)
        self.workers.clear()
        self._executor.shutdown(wait=False, cancel_futures=True)


def _running(runtime: ContainerRuntime, container_id: str) -> Callable[[], bool]:
    def running() -> bool:
        state = runtime.state(container_id)
        return state is not None and state.exit_code is None

    return running
