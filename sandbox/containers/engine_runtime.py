"""Runs containers with Docker.

The engine holds running containers only: when one has ended, its log and its exit code are copied
to the pod's directory and it is removed. Containers and networks have labels with the sandbox's
home, by which a later process finds them.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from docker.errors import APIError, NotFound
from requests.exceptions import RequestException

from sandbox.containers import engine_options
from sandbox.containers.engine_client import ContainerEngine, reason
from sandbox.containers.engine_images import EngineImages, RegistryAccess
from sandbox.containers.engine_logs import EngineLogs
from sandbox.containers.engine_networks import EngineNetworks
from sandbox.containers.host_relays import Endpoints, HostRelays
from sandbox.contracts.container_runtime import (
    ContainerError,
    ContainerSpec,
    ContainerState,
    ContainerStats,
)
from sandbox.images import placeholder
from sandbox.runtime.pod_containers import HOME_LABEL

POD_LABEL, CONTAINER_LABEL = "sandbox.pod", "sandbox.container"
_OOM_SECONDS = 0.5
_EXEC = Path(__file__).with_name("engine_exec.py")
_SNAPSHOT_SECONDS = 0.2
_RELAY_SECONDS = 1.0
_ADDRESS_SECONDS = 10.0


class EngineRuntime:
    """Implements `ContainerRuntime`.

    `directory` holds the pods' files, `home` names the sandbox. `environment` returns variables
    that each container gets, `endpoints` the ports on loopback that containers reach.
    """

    def __init__(
        self,
        directory: Path,
        home: Path,
        engine: ContainerEngine,
        *,
        registry: RegistryAccess | None = None,
        environment: Callable[[], Mapping[str, str]] = dict,
        endpoints: Endpoints = dict,
    ) -> None:
        self.name = engine.name
        self._directory, self._home, self._engine, self._api = directory, home, engine, engine.api
        self._environment = environment
        self._images = EngineImages(engine.api, registry)
        self._networks = EngineNetworks(engine.api, home)
        self._relays = HostRelays(directory / "relays", self._networks, endpoints)
        self._logs = EngineLogs(engine.api)
        self._lock = threading.RLock()
        self._locks: dict[str, threading.Lock] = {}
        self._started: dict[str, float] = {}
        self._snapshot: tuple[float, dict[str, dict[str, Any]]] = (0.0, {})
        self._relaying: threading.Thread | None = None
        directory.mkdir(parents=True, exist_ok=True)
        # By which the engine is found after the end of this process.
        (directory / "engine.json").write_text(json.dumps({"url": f"unix://{engine.socket}"}))
        if self.pods():
            self._keep_relays()

    def can_run(self, image: str) -> bool:
        """Return whether the image was pushed to the sandbox's registry, or the engine has it."""
        digest = image.partition("@")[2]
        if digest and placeholder.exists(self._home, digest):
            return False
        return self._images.can_run(image)

    def pod_address(self, pod_uid: str) -> str:
        """Return the pod's address in the network; the first call allocates it."""
        file = self._pod(pod_uid) / "address"
        with self._lock:
            subnet = self._networks.pods().subnet
            addresses = {path: path.read_text() for path in self._directory.glob("pods/*/address")}
            if addresses.get(file, "") in {str(host) for host in subnet.hosts()}:
                return addresses[file]
            taken = {*addresses.values(), str(subnet[1])}
            free = (text for host in subnet.hosts() if (text := str(host)) not in taken)
            if (address := next(free, None)) is None:
                raise ContainerError(
                    "CreateContainerError", f"the network {subnet} has no free address for a pod"
                )
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(address)
            return address

    def start(self, spec: ContainerSpec) -> None:
        """Start a container. Raises ContainerError."""
        try:
            image = self._images.ensure(spec.image)
            directory = self._container(spec.id, spec.pod_uid)
            directory.mkdir(parents=True, exist_ok=True)
            engine_id = self._create(spec, image, self._owner(spec.pod_uid))
            self._start(spec, engine_id, directory)
        except (APIError, RequestException) as error:
            if isinstance(error, NotFound) and "network" in str(error):
                self._networks.forget()
            raise ContainerError("CreateContainerError", reason(error)) from None

    def _create(self, spec: ContainerSpec, image: Mapping[str, Any], owner: str | None) -> str:
        relays, config = self._relays, image.get("Config") or {}
        environment, mounts = engine_options.environment_and_mounts(
            spec, self._environment(), relays
        )
        options: dict[str, Any] = {"environment": environment}
        host = engine_options.host_config(spec, mounts, self._api.create_host_config)
        if owner is None:
            hosts = {name: relays.address(address) for name, address in spec.hosts.items()}
            network = self._networks.pods()
            endpoint = self._api.create_endpoint_config(ipv4_address=spec.address)
            host["NetworkMode"] = network.name
            host["ExtraHosts"] = [f"{name}:{address}" for name, address in sorted(hosts.items())]
            options["networking_config"] = self._api.create_networking_config(
                {network.name: endpoint}
            )
            if hostname := spec.environment.get("HOSTNAME"):
                options["hostname"] = hostname[:63].rstrip("-.")
        else:
            host["NetworkMode"] = f"container:{owner}"
        relays.apply()
        self._keep_relays()
        name = f"sandbox_{spec.id}"
        with contextlib.suppress(NotFound):  # of a process that was killed before the start
            self._api.remove_container(name, force=True)
        created = self._api.create_container(
            spec.image,
            name=name,
            entrypoint=list(spec.command) or None,
            command=list(spec.args) or None,
            user=engine_options.user(spec.security, config.get("User", "")),
            working_dir=spec.working_directory or None,
            labels={
                HOME_LABEL: str(self._home),
                POD_LABEL: spec.pod_uid,
                CONTAINER_LABEL: spec.id,
            },
            healthcheck={"Test": ["NONE"]},  # Kubernetes ignores an image's own
            host_config=host,
            **options,
        )
        return str(created["Id"])

    def _start(self, spec: ContainerSpec, engine_id: str, directory: Path) -> None:
        deadline = time.monotonic() + _ADDRESS_SECONDS
        while True:
            try:
                self._api.start(engine_id)
                break
            except APIError as error:
                # The engine frees the address of the pod's previous container after its end.
                taken = "address already in use" in reason(error).lower()
                if taken and time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
                with contextlib.suppress(APIError):
                    self._api.remove_container(engine_id, force=True)
                raise ContainerError("RunContainerError", reason(error)) from None
        started = _seconds(self._api.inspect_container(engine_id)["State"]["StartedAt"])
        with self._lock:
            self._started[spec.id] = time.monotonic()
        (directory / "log").touch()
        _write(directory / "running.json", {"engine_id": engine_id, "started_at": started})

    def _owner(self, pod_uid: str) -> str | None:
        """Return the running container whose network the pod's others share, or None.

        Containers whose owner has ended have no network: they are killed, to be restarted.
        """
        running = [
            item
            for item in self._containers(fresh=True).values()
            if item["Labels"][POD_LABEL] == pod_uid and item["State"] == "running"
        ]
        for item in running:
            if not item["HostConfig"]["NetworkMode"].startswith("container:"):
                return str(item["Id"])
        for item in running:
            with contextlib.suppress(APIError):
                self._api.kill(item["Id"])
        return None

    def state(self, container_id: str) -> ContainerState | None:
        """Return the state; a container that another program removed counts as killed."""
        directory = self._find(container_id)
        if directory is None:
            return None
        if (ended := _read(directory / "exit.json")) is not None:
            return ContainerState(**ended)
        running = _read(directory / "running.json")
        if running is None:
            return None
        item = self._containers().get(container_id)
        if item is None and self._snapshot[0] < self._started.get(container_id, 0.0):
            item = self._containers(fresh=True).get(container_id)
        if item is not None and item["State"] not in {"exited", "dead", "removing", "stopped"}:
            return ContainerState(started_at=running["started_at"])
        with self._lock:
            lock = self._locks.setdefault(container_id, threading.Lock())
        with lock:
            return self._finish(directory, running)

    def _finish(self, directory: Path, running: Mapping[str, Any]) -> ContainerState:
        """Record an ended container's state and log, and remove it from the engine."""
        if (ended := _read(directory / "exit.json")) is not None:
            return ContainerState(**ended)
        engine_id = running["engine_id"]
        try:
            facts = self._api.inspect_container(engine_id)["State"]
            if facts["ExitCode"] == 128 + signal.SIGKILL and not facts.get("OOMKilled"):
                time.sleep(_OOM_SECONDS)  # the engine may learn of it after the process's end
                facts = self._api.inspect_container(engine_id)["State"]
        except NotFound:
            state = ContainerState(
                started_at=running["started_at"],
                finished_at=time.time(),
                exit_code=128 + signal.SIGKILL,
                reason="ContainerStatusUnknown",
            )
        else:
            code = int(facts["ExitCode"])
            killed = bool(facts.get("OOMKilled")) and code == 128 + signal.SIGKILL
            state = ContainerState(
                started_at=running["started_at"],
                finished_at=_seconds(facts["FinishedAt"]),
                exit_code=code,
                reason="OOMKilled" if killed else "Completed" if code == 0 else "Error",
            )
            self._logs.finish(engine_id, directory / "log")
        _write(directory / "exit.json", asdict(state))
        with contextlib.suppress(APIError):
            self._api.remove_container(engine_id, v=True, force=True)
        with self._lock:
            self._locks.pop(directory.name, None)
            self._started.pop(directory.name, None)
        return state

    def stop(self, container_id: str, grace_seconds: float) -> None:
        """Send SIGTERM, and SIGKILL after the grace period, in whole seconds."""
        state = self.state(container_id)
        if state is None or state.exit_code is not None:
            return
        with contextlib.suppress(NotFound):
            self._api.stop(self._engine_id(container_id), timeout=math.ceil(grace_seconds))
        self._containers(fresh=True)
        self.state(container_id)

    def log(self, container_id: str) -> Path:
        """Return the path of the log's copy, which is written from now on."""
        directory = self._find(container_id)
        if directory is None:
            return self._directory / "log"
        running = _read(directory / "running.json")
        if running is not None and not (directory / "exit.json").exists():
            self._logs.follow(running["engine_id"], directory / "log")
        return directory / "log"

    def exec(
        self, container_id: str, command: Sequence[str], *, tty: bool = False
    ) -> subprocess.Popen[bytes]:
        """Start a process with the container's user and environment. Raises ContainerError.

        The end of the returned process does not end the one in the container.
        """
        state = self.state(container_id)
        if state is None or state.exit_code is not None:
            raise ContainerError("NotFound", f"container {container_id} is not running")
        mode, engine_id = "tty" if tty else "pipes", self._engine_id(container_id)
        fixed = [sys.executable, "-I", "-S", str(_EXEC), str(self._engine.socket)]
        return subprocess.Popen(
            [*fixed, engine_id, mode, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def stats(self, container_id: str) -> ContainerStats | None:
        """Return CPU time, and memory without the file cache that can be freed."""
        state = self.state(container_id)
        if state is None or state.exit_code is not None:
            return None
        try:
            sample = self._api.stats(self._engine_id(container_id), stream=False, one_shot=True)
        except (APIError, RequestException):
            return None
        memory = sample.get("memory_stats") or {}
        if "usage" not in memory:
            return None
        details = memory.get("stats") or {}
        cache = details.get("total_inactive_file", details.get("inactive_file", 0))
        cpu = sample["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
        return ContainerStats(cpu_seconds=cpu, memory_bytes=max(0, memory["usage"] - cache))

    def remove_pod(self, pod_uid: str) -> None:
        """Kill the pod's containers and delete its files; the last pod's networks too."""
        if not self._pod(pod_uid).is_dir():
            return
        label = f"{POD_LABEL}={pod_uid}"
        for item in self._api.containers(all=True, filters={"label": [label]}):
            with contextlib.suppress(NotFound):
                self._api.remove_container(item["Id"], v=True, force=True)
        with self._lock:
            if set(self.pods()) <= {pod_uid}:
                self._relays.end()
                self._networks.remove()
            shutil.rmtree(self._pod(pod_uid), ignore_errors=True)

    def pods(self) -> Sequence[str]:
        """Return the UIDs of all pods with files."""
        return [path.name for path in self._directory.glob("pods/*")]

    def _containers(self, *, fresh: bool = False) -> dict[str, dict[str, Any]]:
        """Return the engine's containers of this home by ID, at most 0.2 s old."""
        with self._lock:
            moment = time.monotonic()
            if fresh or moment - self._snapshot[0] > _SNAPSHOT_SECONDS:
                items = self._api.containers(
                    all=True, filters={"label": [f"{HOME_LABEL}={self._home}"]}
                )
                self._snapshot = (moment, {item["Labels"][CONTAINER_LABEL]: item for item in items})
            return self._snapshot[1]

    def _keep_relays(self) -> None:
        """Update the relays in a thread while there are pods: ports and databases change."""
        with self._lock:
            if self._relaying is not None and self._relaying.is_alive():
                return
            self._relaying = threading.Thread(target=self._relay, name="relays", daemon=True)
            self._relaying.start()

    def _relay(self) -> None:
        while True:
            with self._lock:
                if not self.pods():
                    self._relaying = None
                    return
                with contextlib.suppress(APIError, RequestException, ContainerError):
                    self._relays.apply()
            time.sleep(_RELAY_SECONDS)

    def _engine_id(self, container_id: str) -> str:
        directory = self._find(container_id)
        running = _read(directory / "running.json") if directory is not None else None
        if running is None:
            raise ContainerError("NotFound", f"container {container_id} is not running")
        return str(running["engine_id"])

    def _pod(self, pod_uid: str) -> Path:
        return self._directory / "pods" / pod_uid

    def _container(self, container_id: str, pod_uid: str) -> Path:
        return self._pod(pod_uid) / "containers" / container_id

    def _find(self, container_id: str) -> Path | None:
        return next(self._directory.glob(f"pods/*/containers/{container_id}"), None)


def _seconds(moment: str) -> float:
    """Return the engine's time, which has up to nine digits of a second, since the epoch."""
    whole, _, fraction = moment.removesuffix("Z").partition(".")
    parsed = datetime.fromisoformat(whole + "+00:00").timestamp()
    return parsed + (float(f"0.{fraction}") if fraction.isdigit() else 0.0)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return content


def _write(path: Path, content: object) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)
