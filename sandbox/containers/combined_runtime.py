"""Runs each pod with the first of several runtimes that can run its images."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from subprocess import Popen

from sandbox.contracts.container_runtime import (
    ContainerError,
    ContainerRuntime,
    ContainerSpec,
    ContainerState,
    ContainerStats,
)


class CombinedRuntime:
    """Implements `ContainerRuntime`: `runtimes` in order of preference.

    All containers of a pod run with the runtime of its first one.
    """

    def __init__(self, *runtimes: ContainerRuntime) -> None:
        self._runtimes = runtimes
        self.name = runtimes[0].name
        self._lock = threading.Lock()
        self._chosen = {uid: runtime for runtime in runtimes for uid in runtime.pods()}

    def can_run(self, image: str) -> bool:
        """Return whether one of the runtimes can run an image."""
        return any(runtime.can_run(image) for runtime in self._runtimes)

    def pod_address(self, pod_uid: str) -> str:
        """Return the pod's address on this machine; "" before its first start."""
        runtime = self._of_pod(pod_uid)
        return "" if runtime is None else runtime.pod_address(pod_uid)

    def start(self, spec: ContainerSpec) -> None:
        """Start a container. Raises ContainerError."""
        with self._lock:
            runtime = self._chosen.get(spec.pod_uid)
            if runtime is None:
                runtime = next((item for item in self._runtimes if item.can_run(spec.image)), None)
                if runtime is None:
                    raise ContainerError("ErrImagePull", f'no runtime has image "{spec.image}"')
                self._chosen[spec.pod_uid] = runtime
        runtime.start(replace(spec, address=runtime.pod_address(spec.pod_uid)))

    def state(self, container_id: str) -> ContainerState | None:
        """Return the state, or None for an unknown container."""
        for runtime in self._runtimes:
            if (state := runtime.state(container_id)) is not None:
                return state
        return None

    def stop(self, container_id: str, grace_seconds: float) -> None:
        """Send SIGTERM, and SIGKILL after the grace period; return when it has ended."""
        self._of_container(container_id).stop(container_id, grace_seconds)

    def log(self, container_id: str) -> Path:
        """Return the log in the CRI's format."""
        return self._of_container(container_id).log(container_id)

    def exec(self, container_id: str, command: Sequence[str], *, tty: bool = False) -> Popen[bytes]:
        """Start a process with three pipes in a running container. Raises ContainerError."""
        return self._of_container(container_id).exec(container_id, command, tty=tty)

    def stats(self, container_id: str) -> ContainerStats | None:
        """Return the use of CPU and memory, or None if it does not run."""
        return self._of_container(container_id).stats(container_id)

    def remove_pod(self, pod_uid: str) -> None:
        """Kill the pod's containers and delete its files; an unknown pod is ignored."""
        for runtime in self._runtimes:
            runtime.remove_pod(pod_uid)
        with self._lock:
            self._chosen.pop(pod_uid, None)

    def pods(self) -> Sequence[str]:
        """Return the UIDs of the pods of all runtimes."""
        return [uid for runtime in self._runtimes for uid in runtime.pods()]

    def _of_pod(self, pod_uid: str) -> ContainerRuntime | None:
        with self._lock:
            return self._chosen.get(pod_uid)

    def _of_container(self, container_id: str) -> ContainerRuntime:
        """Return the runtime that knows the container, or the last one."""
        owners = (item for item in self._runtimes if item.state(container_id) is not None)
        return next(owners, self._runtimes[-1])
