"""Runs containers as processes from their image's sources, on machines without a container engine.

Environment, command and files come from the last stage of the image's Dockerfile, the packages from
its requirements. Each pod has its own loopback address; `0.0.0.0` in environment, command and
arguments becomes that address, and paths of the image and of volumes become the real ones. User,
read-only root filesystem, capabilities and limits are not applied.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sandbox.containers import image_config
from sandbox.containers.image_config import ImageConfig
from sandbox.contracts.container_runtime import (
    ContainerError,
    ContainerSpec,
    ContainerState,
    ContainerStats,
)
from sandbox.images import image_sources
from sandbox.runtime import process_table
from sandbox.runtime.virtual_environments import VirtualEnvironments

_MONITOR = Path(__file__).with_name("monitor.py")
_WILDCARD = re.compile(r"(?<![\d.])0\.0\.0\.0(?![\d.])")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_POLL_SECONDS = 0.05
_START_SECONDS = 10.0
# Addresses of pods: 127.64.0.1 to 127.79.255.254.
_PODS = ipaddress.ip_network("127.64.0.0/12")
# Binds the file of host names over /etc/hosts in the container's own mount namespace.
_BIND_HOSTS = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'


@dataclass(frozen=True, kw_only=True)
class _Image:
    config: ImageConfig
    root: Path
    environment: Path
    """The virtual environment."""


class ProcessRuntime:
    """Implements `ContainerRuntime`.

    `directory` holds pods and unpacked images, `home` the image sources, `cache` the virtual
    environments. `environment` returns variables that each container gets, such as the account's
    endpoint; the pod's own take precedence.
    """

    name = f"process://{sys.version_info[0]}.{sys.version_info[1]}"

    def __init__(
        self,
        directory: Path,
        home: Path,
        cache_directory: Path,
        environment: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._directory, self._home, self._environment = directory, home, environment
        self._environments = VirtualEnvironments(cache_directory)
        self._lock = threading.RLock()
        self._images: dict[str, _Image] = {}
        self._monitors: dict[str, subprocess.Popen[bytes]] = {}

    def can_run(self, image: str) -> bool:
        """Return whether the sandbox has the image's sources."""
        return self._source(image) is not None

    def pod_address(self, pod_uid: str) -> str:
        """Return the pod's loopback address; the first call allocates it."""
        file = self._pod(pod_uid) / "address"
        with self._lock:
            if file.exists():
                return file.read_text()
            taken = {other.read_text() for other in self._directory.glob("pods/*/address")}
            number = int(pod_uid.replace("-", "")[:5], 16) % (_PODS.num_addresses - 2)
            while (address := str(_PODS[1 + number])) in taken:
                number = (number + 1) % (_PODS.num_addresses - 2)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(address)
            return address

    def start(self, spec: ContainerSpec) -> None:
        """Start a container's process and its monitor. Raises ContainerError."""
        image = self._image(spec.image)
        directory = self._container(spec.id, spec.pod_uid)
        directory.mkdir(parents=True, exist_ok=True)
        paths = {path: str(host) for path, host in spec.mounts.items()}
        argv, environment, cwd = _process(spec, image, self._environment(), paths)
        prefix: list[str] = []
        if spec.hosts:
            hosts = directory / "hosts"
            hosts.write_text(
                "127.0.0.1\tlocalhost\n::1\tlocalhost\n"
                + "".join(f"{address}\t{name}\n" for name, address in sorted(spec.hosts.items()))
            )
            prefix = [*_mount_namespace(), *_bind(hosts)] if _mount_namespace() else []
        program = shutil.which(argv[0], path=environment["PATH"])
        if program is None:
            raise ContainerError(
                "RunContainerError",
                f'exec: "{argv[0]}": executable file not found in $PATH of this machine',
            )
        content = {
            "prefix": prefix,
            "argv": [program, *argv[1:]],
            "env": environment,
            "cwd": cwd,
        }
        (directory / "container.json").touch(mode=0o600)
        (directory / "container.json").write_text(json.dumps(content))
        with self._lock:
            self._monitors[spec.id] = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_MONITOR), str(directory)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._await_start(spec.id)

    def _await_start(self, container_id: str) -> None:
        directory = self._find(container_id)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and directory is not None:
            if (directory / "running.json").exists() or (directory / "exit.json").exists():
                return
            time.sleep(0.01)
        raise ContainerError("CreateContainerError", "the container's monitor did not start")

    def state(self, container_id: str) -> ContainerState | None:
        """Return the state; a process whose monitor was killed counts as killed."""
        directory = self._find(container_id)
        if directory is None:
            return None
        with self._lock:
            if (monitor := self._monitors.get(container_id)) is not None:
                monitor.poll()
        ended, running = _read(directory / "exit.json"), _read(directory / "running.json")
        if ended is not None:
            return ContainerState(
                started_at=ended["started_at"],
                finished_at=ended["finished_at"],
                exit_code=ended["exit_code"],
                reason=ended["reason"],
            )
        if running is None:
            return None
        if process_table.runs(running["monitor"], str(directory)):
            return ContainerState(started_at=running["started_at"])
        process_table.kill_group(running["pid"], signal.SIGKILL)
        return ContainerState(
            started_at=running["started_at"],
            finished_at=time.time(),
            exit_code=128 + signal.SIGKILL,
            reason="Error",
        )

    def stop(self, container_id: str, grace_seconds: float) -> None:
        """Send SIGTERM to the process, and SIGKILL to its group after the grace period."""
        directory = self._find(container_id)
        running = _read(directory / "running.json") if directory is not None else None
        if running is None or not self._is_running(container_id):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(running["pid"], signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while self._is_running(container_id):
            if time.monotonic() > deadline:
                process_table.kill_group(running["pid"], signal.SIGKILL)
                deadline = float("inf")
            time.sleep(_POLL_SECONDS)

    def log(self, container_id: str) -> Path:
        """Return the path of the log."""
        directory = self._find(container_id)
        return (directory or self._directory) / "log"

    def exec(
        self, container_id: str, command: Sequence[str], *, tty: bool = False
    ) -> subprocess.Popen[bytes]:
        """Start a process with the container's environment and directory. Raises ContainerError."""
        directory = self._find(container_id)
        if directory is None or not self._is_running(container_id):
            raise ContainerError("NotFound", f"container {container_id} is not running")
        if tty:  # gives the process a terminal, with pipes on this side
            words = shlex.join(command)
            command = ["script", "--quiet", "--return", "--command", words, "/dev/null"]
        container = json.loads((directory / "container.json").read_text())
        program = shutil.which(command[0], path=container["env"]["PATH"])
        if program is None:
            raise ContainerError(
                "ExecError", f'exec: "{command[0]}": executable file not found in $PATH'
            )
        return subprocess.Popen(
            [*container["prefix"], program, *command[1:]],
            cwd=container["cwd"],
            env=container["env"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def stats(self, container_id: str) -> ContainerStats | None:
        """Return CPU time and resident memory of the process group."""
        directory = self._find(container_id)
        running = _read(directory / "running.json") if directory is not None else None
        if running is None or not self._is_running(container_id):
            return None
        cpu, memory = process_table.group_usage(running["pid"])
        return ContainerStats(cpu_seconds=cpu, memory_bytes=memory)

    def remove_pod(self, pod_uid: str) -> None:
        """Kill the pod's processes and delete its files."""
        for directory in self._pod(pod_uid).glob("containers/*"):
            running = _read(directory / "running.json")
            if running is not None and self._is_running(directory.name):
                process_table.kill_group(running["pid"], signal.SIGKILL)
                while self._is_running(directory.name):
                    time.sleep(_POLL_SECONDS)
            with self._lock:
                self._monitors.pop(directory.name, None)
        shutil.rmtree(self._pod(pod_uid), ignore_errors=True)

    def pods(self) -> Sequence[str]:
        """Return the UIDs of all pods with files."""
        return [path.name for path in self._directory.glob("pods/*")]

    def _is_running(self, container_id: str) -> bool:
        state = self.state(container_id)
        return state is not None and state.exit_code is None

    def _pod(self, pod_uid: str) -> Path:
        return self._directory / "pods" / pod_uid

    def _container(self, container_id: str, pod_uid: str) -> Path:
        return self._pod(pod_uid) / "containers" / container_id

    def _find(self, container_id: str) -> Path | None:
        return next(self._directory.glob(f"pods/*/containers/{container_id}"), None)

    def _source(self, image: str) -> image_sources.ImageSource | None:
        digest = image.partition("@")[2]
        return image_sources.find(self._home, digest) if digest else None

    def _image(self, reference: str) -> _Image:
        source = self._source(reference)
        if source is None:
            raise ContainerError(
                "ErrImagePull", f'the sandbox has no sources of the image "{reference}"'
            )
        digest = reference.partition("@")[2].removeprefix("sha256:")
        with self._lock:
            if digest not in self._images:
                try:
                    config = image_config.read(source)
                except ValueError as error:
                    raise ContainerError(
                        "InvalidImage", f"its Dockerfile is invalid: {error}"
                    ) from None
                root = self._directory / "images" / digest
                if not root.is_dir():
                    unpacked = root.with_suffix(".new")
                    shutil.rmtree(unpacked, ignore_errors=True)
                    unpacked.mkdir(parents=True)
                    image_config.copy_files(source, unpacked)
                    unpacked.rename(root)
                environment = self._environments.ensure(config.requirements)
                self._images[digest] = _Image(config=config, root=root, environment=environment)
            return self._images[digest]


def _process(
    spec: ContainerSpec, image: _Image, defaults: Mapping[str, str], paths: dict[str, str]
) -> tuple[list[str], dict[str, str], str]:
    """Return arguments, environment and directory of a container's process."""
    config = image.config
    command = list(spec.command or config.entrypoint)
    command += spec.args or (() if spec.command else config.command)
    if not command:
        raise ContainerError("CreateContainerError", "no command specified")
    top = {f"/{path.name}": str(path) for path in image.root.iterdir()}
    places = {**top, **paths}

    def localize(text: str) -> str:
        text = _WILDCARD.sub(spec.address, text)
        return ":".join(_localize_path(part, places) for part in text.split(":"))

    environment = {
        "HOME": str(image.root),
        "LANG": "C.UTF-8",
        **defaults,
        **{name: localize(value) for name, value in config.environment.items() if name != "PATH"},
        **{name: localize(value) for name, value in spec.environment.items()},
        "PATH": f"{image.environment / 'bin'}:{_SYSTEM_PATH}",
        "VIRTUAL_ENV": str(image.environment),
    }
    if "/tmp" in paths:  # noqa: S108 - the pod's volume
        environment.setdefault("TMPDIR", paths["/tmp"])  # noqa: S108
    directory = spec.working_directory or config.working_directory
    return [localize(word) for word in command], environment, _localize_path(directory, places)


def _localize_path(text: str, places: Mapping[str, str]) -> str:
    """Replace the longest prefix that is a path of the image or a volume."""
    for path in sorted(places, key=len, reverse=True):
        if text == path or text.startswith(f"{path}/"):
            return places[path] + text[len(path) :]
    return text


@cache
def _mount_namespace() -> tuple[str, ...]:
    """Return the command that gives a process its own mounts, or () where that is forbidden."""
    own = ["--user", "--map-current-user", "--keep-caps"] if os.geteuid() else []
    command = ("unshare", *own, "--mount")
    script = ["sh", "-c", "mount --bind /etc/hosts /etc/hosts"]
    try:
        result = subprocess.run([*command, *script], capture_output=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return command if result.returncode == 0 else ()


def _bind(hosts: Path) -> list[str]:
    return ["sh", "-c", _BIND_HOSTS, "sh", str(hosts)]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return content
