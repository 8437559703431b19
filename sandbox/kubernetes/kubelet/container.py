"""One container of a pod: its attempts, restarts with back-off, probes and status."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.contracts.container_runtime import ContainerState
from sandbox.kubernetes.kubelet.probes import Probe
from sandbox.kubernetes.storage.object_store import Json

# The kubelet's back-off: doubled from 10 s to 5 min, and reset after 10 min without a restart.
FIRST_BACK_OFF, MAX_BACK_OFF, RESET_AFTER = 10.0, 300.0, 600.0


class Container:
    """State of one container; `spec` is the pod's container.

    `waiting` is (reason, message) while it does not run. `attempt` is the number of restarts.
    """

    def __init__(self, pod_uid: str, spec: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        self.spec, self.name = spec, str(spec["name"])
        self._pod_uid = pod_uid
        self.attempt = int(status.get("restartCount") or 0)
        self.waiting: tuple[str, str] | None = ("ContainerCreating", "")
        self.state: ContainerState | None = None
        self.last: Json = dict(status.get("lastState") or {})
        self.retry_at = 0.0
        self._back_off = FIRST_BACK_OFF
        self.probes: dict[str, Probe] = {}
        self.stopping = False
        # A restarted kubelet keeps the readiness of running containers until their next probe.
        self.was_started, self.was_ready = bool(status.get("started")), bool(status.get("ready"))

    @property
    def id(self) -> str:
        """The ID of the current attempt."""
        return f"{self._pod_uid}_{self.name}_{self.attempt}"

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.state is not None and self.state.exit_code is None

    @property
    def ended(self) -> bool:
        """Whether the current attempt has ended."""
        return self.state is not None and self.state.exit_code is not None

    @property
    def succeeded(self) -> bool:
        """Whether the current attempt has ended with 0."""
        return self.state is not None and self.state.exit_code == 0

    @property
    def started(self) -> bool:
        """Whether it runs and its startup probe, if any, has succeeded."""
        startup = self.probes.get("startup")
        return self.running and (startup is None or startup.healthy is True)

    @property
    def ready(self) -> bool:
        """Whether it is started and its readiness probe, if any, succeeds."""
        readiness = self.probes.get("readiness")
        return self.started and (readiness is None or readiness.healthy is True)

    def restarts(self, policy: str) -> bool:
        """Return whether an ended container is started again under a restart policy."""
        return policy == "Always" or (policy == "OnFailure" and not self.succeeded)

    def wait(self, reason: str, message: str, seconds: float) -> None:
        """Wait for `seconds` before the next attempt to start."""
        self.waiting, self.retry_at = (reason, message), time.monotonic() + seconds

    def schedule_restart(self) -> None:
        """Make the next attempt due: at once for the first, then with back-off."""
        state = self.state
        assert state is not None  # noqa: S101 - it has ended
        self.last = {"terminated": self._terminated(state)}
        if state.finished_at - state.started_at > RESET_AFTER:
            self._back_off = FIRST_BACK_OFF
        first = self.attempt == 0
        self.attempt += 1
        self.state, self.probes, self.stopping = None, {}, False
        self.was_started = self.was_ready = False
        if first:
            self.waiting, self.retry_at = ("ContainerCreating", ""), 0.0
            return
        message = (
            f"back-off {self._back_off:g}s restarting failed container={self.name} "
            f"pod={self._pod_uid}"
        )
        self.wait("CrashLoopBackOff", message, self._back_off)
        self._back_off = min(2 * self._back_off, MAX_BACK_OFF)

    def status(self) -> Json:
        """Return the entry of `containerStatuses`."""
        image = self.spec["image"]
        status: Json = {
            "name": self.name,
            "image": image,
            "imageID": image if self.state is not None and "@" in image else "",
            "ready": self.ready or (self.succeeded and not self.running),
            "started": self.started,
            "restartCount": self.attempt,
            "state": self._state(),
            "lastState": self.last,
        }
        if self.state is not None:
            status["containerID"] = f"sandbox://{self.id}"
        return status

    def _state(self) -> Json:
        if self.state is None:
            reason, message = self.waiting or ("ContainerCreating", "")
            return {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        if self.state.exit_code is None:
            return {"running": {"startedAt": timestamp(self.state.started_at)}}
        return {"terminated": self._terminated(self.state)}

    def _terminated(self, state: ContainerState) -> Json:
        return {
            "exitCode": state.exit_code,
            "reason": state.reason or ("Completed" if state.exit_code == 0 else "Error"),
            "startedAt": timestamp(state.started_at),
            "finishedAt": timestamp(state.finished_at),
            "containerID": f"sandbox://{self.id}",
        }


def timestamp(seconds: float) -> str:
    """Return a time in Kubernetes's format."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
