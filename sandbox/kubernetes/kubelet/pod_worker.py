"""One pod: starts its containers in order, probes and restarts them, and ends them gracefully."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.contracts.container_runtime import ContainerError, ContainerRuntime, ContainerSpec
from sandbox.kubernetes.apimachinery.errors import ApiError
from sandbox.kubernetes.controllers.context import ControllerContext, terminating
from sandbox.kubernetes.kubelet import container_options, environment, volumes
from sandbox.kubernetes.kubelet.container import Container
from sandbox.kubernetes.kubelet.pod_status import pod_status
from sandbox.kubernetes.kubelet.probes import Probe
from sandbox.kubernetes.storage.object_store import Json

LOG = logging.getLogger(__name__)
_TICK_SECONDS = 0.1
_RETRY_SECONDS = 2.0
SAMPLE_SECONDS = 5.0
_PROBES = {"startup": "startupProbe", "liveness": "livenessProbe", "readiness": "readinessProbe"}


@dataclass(frozen=True, kw_only=True)
class PodServices:
    """What a pod needs besides its runtime.

    `pull_error` returns why a node of an architecture cannot pull an image. `hosts` returns the
    host names that pods resolve, `aws_identity` the variables and mounts for AWS SDKs in a pod.
    """

    pull_error: Callable[[str, str], str | None]
    hosts: Callable[[], Mapping[str, str]]
    aws_identity: Callable[[Mapping[str, Any]], tuple[Mapping[str, str], Mapping[str, Path]]]
    executor: Executor
    directory: Path


class PodWorker:
    """Runs one pod in a thread until the pod is deleted, or `abandon` is called."""

    def __init__(
        self,
        context: ControllerContext,
        runtime: ContainerRuntime,
        services: PodServices,
        pod: Json,
        node: Json,
    ) -> None:
        self._context, self._runtime, self._services = context, runtime, services
        self._pod, self._node = pod, node
        self.uid = str(pod["metadata"]["uid"])
        status = pod.get("status") or {}
        self._initial = self._containers("initContainers", status.get("initContainerStatuses"))
        self.containers = self._containers("containers", status.get("containerStatuses"))
        self._volumes: dict[str, Path] | None = None
        self.usage: dict[str, dict[str, float]] = {}
        self._samples: dict[str, tuple[float, float]] = {}
        self._wake, self._abandoned, self._killed = threading.Event(), False, False
        self._thread = threading.Thread(target=self._run, name=f"pod-{self.uid[:8]}", daemon=True)
        self._thread.start()

    def _containers(
        self, part: str, statuses: Sequence[Mapping[str, Any]] | None
    ) -> list[Container]:
        by_name = {item["name"]: item for item in statuses or ()}
        return [
            Container(self.uid, spec, by_name.get(spec["name"], {}))
            for spec in self._pod["spec"].get(part) or ()
        ]

    @property
    def alive(self) -> bool:
        """Whether the worker still runs."""
        return self._thread.is_alive()

    def update(self, pod: Json, node: Json) -> None:
        """Take the pod's current object."""
        if pod["metadata"]["resourceVersion"] != self._pod["metadata"]["resourceVersion"]:
            self._pod, self._node = pod, node
            self._wake.set()

    def abandon(self) -> None:
        """End the worker; the containers keep running."""
        self._abandoned = True
        self._wake.set()
        self._thread.join(timeout=10)

    def stop_containers(self, grace_seconds: float) -> None:
        """End the containers of an abandoned worker; the pod's object stays, not ready."""
        for container in [*self.containers, *self._initial]:
            self._runtime.stop(container.id, grace_seconds)
            container.state, container.waiting = None, ("ContainerCreating", "")
        self._runtime.remove_pod(self.uid)
        self._publish()

    def kill(self) -> None:
        """End the worker and its containers without a grace period: the pod's object is gone."""
        self._killed = True
        self._wake.set()

    def container(self, name: str) -> Container | None:
        """Return a container by name; "" is the first."""
        everything = [*self.containers, *self._initial]
        return next((item for item in everything if name in {"", item.name}), None)

    def _run(self) -> None:
        while not self._abandoned:
            try:
                if self._killed:
                    self._runtime.remove_pod(self.uid)
                    return
                if terminating(self._pod):
                    self._terminate()
                    return
                self._sync()
                self._measure()
                self._publish()
            except Exception:
                # A defect in one pod must not stop it for good.
                if self._context.store.closed:
                    return
                LOG.exception("pod %s", self._pod["metadata"]["name"])
                time.sleep(_RETRY_SECONDS)
            self._wake.wait(_TICK_SECONDS)
            self._wake.clear()

    def _sync(self) -> None:
        if not self._mount():
            return
        policy = self._pod["spec"].get("restartPolicy", "Always")
        for container in self._initial:
            sidecar = container.spec.get("restartPolicy") == "Always"
            own = "Always" if sidecar else "Never" if policy == "Never" else "OnFailure"
            self._sync_container(container, own)
            if not (container.started if sidecar else container.succeeded):
                for later in self.containers:
                    later.waiting = ("PodInitializing", "")
                return
        for container in self.containers:
            self._sync_container(container, policy)

    def _measure(self) -> None:
        """Update the use of CPU and memory from two samples of each container."""
        for container in self.containers:
            before, moment = self._samples.get(container.id), time.monotonic()
            if before is not None and moment - before[0] < SAMPLE_SECONDS:
                continue
            stats = self._runtime.stats(container.id) if container.running else None
            if stats is None:
                self.usage.pop(container.name, None)
                continue
            self._samples[container.id] = (moment, stats.cpu_seconds)
            if before is not None:
                cores = max(0.0, stats.cpu_seconds - before[1]) / (moment - before[0])
                self.usage[container.name] = {"cpu": cores, "memory": float(stats.memory_bytes)}

    def _mount(self) -> bool:
        if self._volumes is not None:
            return True
        directory = self._services.directory / self.uid
        try:
            self._volumes = volumes.mount(
                self._pod,
                directory,
                self._context.get_object,
            )
        except volumes.VolumeError as error:
            self._event("FailedMount", str(error), warning=True)
            time.sleep(_TICK_SECONDS)
            return False
        return True

    def _sync_container(self, container: Container, policy: str) -> None:
        if container.stopping:
            return
        container.state = self._runtime.state(container.id)
        if container.running:
            container.waiting = None
            if not container.probes:
                container.probes = self._probes(container)
            self._probe(container)
        elif container.ended:
            if container.restarts(policy):
                container.schedule_restart()
        elif time.monotonic() >= container.retry_at:
            self._start(container)

    def _start(self, container: Container) -> None:
        if not self._context.external.available.is_set():
            return
        image = container.spec["image"]
        architecture = self._node["metadata"]["labels"]["kubernetes.io/arch"]
        if reason := self._services.pull_error(image, architecture):
            self._event("Failed", f'Failed to pull image "{image}": {reason}', warning=True)
            message = f'Back-off pulling image "{image}": {reason}'
            container.wait("ImagePullBackOff", message, _RETRY_SECONDS)
            return
        try:
            variables = environment.resolve(self._pod, container.spec, self._context.get_object)
            aws_variables, aws_mounts = self._services.aws_identity(self._pod)
            spec = container.spec
            self._runtime.start(
                ContainerSpec(
                    id=container.id,
                    pod_uid=self.uid,
                    image=image,
                    address=self._runtime.pod_address(self.uid),
                    command=[environment.expand(a, variables) for a in spec.get("command") or ()],
                    args=[environment.expand(a, variables) for a in spec.get("args") or ()],
                    environment={
                        "HOSTNAME": self._pod["metadata"]["name"],
                        **aws_variables,
                        **variables,
                    },
                    working_directory=spec.get("workingDir", ""),
                    mounts={**volumes.container_mounts(spec, self._volumes or {}), **aws_mounts},
                    read_only_mounts=container_options.read_only_mounts(self._pod, spec),
                    hosts=self._services.hosts(),
                    security=container_options.security(self._pod, spec),
                    resources=container_options.resources(spec),
                )
            )
        except ContainerError as error:
            self._event("Failed", f"Error: {error.message}", warning=True)
            container.wait(error.reason, error.message, _RETRY_SECONDS)
            return
        self._event("Started", f"Started container {container.name}")
        container.was_started = container.was_ready = False  # those of an adopted container
        # Before the state: a running container without probes would count as ready.
        container.probes = self._probes(container)
        container.state = self._runtime.state(container.id)

    def _probe(self, container: Container) -> None:
        for kind, probe in container.probes.items():
            if kind == "startup" and probe.healthy:
                continue
            if kind != "startup" and not container.started:
                continue
            if probe.poll(self._services.executor) and probe.message:
                title = kind.capitalize()
                self._event("Unhealthy", f"{title} probe failed: {probe.message}", warning=True)
            if kind != "readiness" and probe.healthy is False:
                text = f"Container {container.name} failed {kind} probe, will be restarted"
                self._event("Killing", text)
                self._stop_for_restart(container)
                return

    def _probes(self, container: Container) -> dict[str, Probe]:
        ports = {
            p["name"]: p["containerPort"] for p in container.spec.get("ports") or () if "name" in p
        }
        before = {"startup": container.was_started, "readiness": container.was_ready}
        return {
            kind: Probe(
                container.spec[part],
                self._runtime.pod_address(self.uid),
                ports,
                lambda command, seconds: self._execute(container, command, seconds),
                healthy=before.get(kind) or None,
            )
            for kind, part in _PROBES.items()
            if container.spec.get(part)
        }

    def _stop_for_restart(self, container: Container) -> None:
        container.stopping = True
        grace = float(self._pod["spec"].get("terminationGracePeriodSeconds", 30))

        def stop() -> None:
            self._runtime.stop(container.id, grace)
            container.stopping = False

        threading.Thread(target=stop, daemon=True).start()

    def _execute(
        self, container: Container, command: Sequence[str], seconds: float
    ) -> tuple[int, str]:
        process = self._runtime.exec(container.id, command)
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return process.returncode, (output + errors).decode(errors="replace").strip()

    def _terminate(self) -> None:
        """Run preStop hooks, send SIGTERM, delete the pod's object; within the grace period."""
        meta = self._pod["metadata"]
        deadline = time.monotonic() + float(meta.get("deletionGracePeriodSeconds") or 0)

        def end(container: Container) -> None:
            container.state = self._runtime.state(container.id)
            if not container.running:
                return
            self._event("Killing", f"Stopping container {container.name}")
            hook = (container.spec.get("lifecycle") or {}).get("preStop") or {}
            self._pre_stop(container, hook, deadline)
            self._runtime.stop(container.id, max(0.0, deadline - time.monotonic()))

        threads = [
            threading.Thread(target=end, args=(item,), daemon=True)
            for item in [*self.containers, *self._initial]
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and not self._abandoned:
                if self._killed:
                    self._runtime.remove_pod(self.uid)
                thread.join(_TICK_SECONDS)
        if self._abandoned:
            return
        self._runtime.remove_pod(self.uid)
        kind = self._context.api.kind("v1", "Pod")
        try:
            self._context.api.delete(
                kind,
                meta["namespace"],
                meta["name"],
                {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}},
            )
        except ApiError as error:
            if error.code not in {404, 409}:
                raise

    def _pre_stop(self, container: Container, hook: Mapping[str, Any], deadline: float) -> None:
        left = max(0.0, deadline - time.monotonic())
        try:
            if "sleep" in hook:
                moment = time.monotonic() + min(float(hook["sleep"]["seconds"]), left)
                while time.monotonic() < moment and not (self._killed or self._abandoned):
                    time.sleep(min(_TICK_SECONDS, max(0.0, moment - time.monotonic())))
            elif "exec" in hook:
                self._execute(container, hook["exec"]["command"], left)
            elif "httpGet" in hook:
                action = hook["httpGet"]
                host = action.get("host") or self._runtime.pod_address(self.uid)
                url = f"http://{host}:{action['port']}{action.get('path', '/')}"
                urllib.request.urlopen(url, timeout=max(left, 0.1)).close()
        except (OSError, ContainerError, subprocess.SubprocessError) as error:
            self._event("FailedPreStopHook", f"PreStopHook failed: {error}", warning=True)

    def _publish(self) -> None:
        status = pod_status(self._pod, self._node, self._initial, self.containers)
        old = self._pod.get("status") or {}
        if {**old, **status} == old:
            return
        with self._context.store.lock:
            if self._context.store.closed:
                return
            meta = self._pod["metadata"]
            live = self._context.get_object("pods", meta["namespace"], meta["name"])
            if live is None or live["metadata"]["uid"] != self.uid:
                return
            self._pod = self._context.save(
                {**live, "status": {**(live.get("status") or {}), **status}}
            )

    def _event(self, reason: str, message: str, *, warning: bool = False) -> None:
        with self._context.store.lock:
            if not self._context.store.closed:
                try:
                    self._context.record_event(
                        self._pod, reason, message, "kubelet", warning=warning
                    )
                except ApiError as error:
                    LOG.debug("event of %s: %s", self.uid, error.message)
