"""Protocol between the kubelet and the program that runs containers, after Kubernetes's CRI."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Protocol


class ContainerError(Exception):
    """A container cannot be created.

    `reason` is Kubernetes's reason of a waiting container, such as CreateContainerError.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, kw_only=True)
class ContainerSecurity:
    """A container's security context, merged with its pod's.

    `user` and `group` are None for the image's. `groups` are supplemental; `volume_group` (fsGroup)
    owns the volumes. `add` and `drop` are capabilities without CAP_.
    """

    user: int | None = None
    group: int | None = None
    groups: Collection[int] = ()
    volume_group: int | None = None
    non_root: bool = False
    read_only_root: bool = False
    no_new_privileges: bool = False
    add: Collection[str] = ()
    drop: Collection[str] = ()


@dataclass(frozen=True, kw_only=True)
class ContainerResources:
    """Requests and limits; CPU in cores, 0 for none."""

    memory_bytes: int = 0
    cpu_request: float = 0.0
    cpu_limit: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """One container of a pod.

    `id` is unique per attempt. `command` and `args` replace the image's if set. `address` is the
    pod's address on this machine. `mounts` maps mount paths to paths of this machine;
    `read_only_mounts` are the mount paths that cannot be written. `hosts` maps host names to
    addresses that the container resolves.
    """

    id: str
    pod_uid: str
    image: str
    address: str
    command: Sequence[str] = ()
    args: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    working_directory: str = ""
    mounts: Mapping[str, Path] = field(default_factory=dict)
    read_only_mounts: Collection[str] = ()
    hosts: Mapping[str, str] = field(default_factory=dict)
    security: ContainerSecurity = field(default_factory=ContainerSecurity)
    resources: ContainerResources = field(default_factory=ContainerResources)


@dataclass(frozen=True, kw_only=True)
class ContainerState:
    """State of a container; times are seconds since the epoch, 0 while unknown.

    `exit_code` is None while it runs; 128 + n after signal n.
    """

    started_at: float
    finished_at: float = 0.0
    exit_code: int | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ContainerStats:
    """CPU time used since the start in seconds, and resident memory in bytes."""

    cpu_seconds: float
    memory_bytes: int


# Where pods find the token of EKS Pod Identity, as on EKS.
POD_IDENTITY_DIRECTORY = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount"


class PodIdentity(Protocol):
    """Gives pods the AWS credentials of their service account."""

    def variables(
        self, cluster_arn: str, namespace: str, service_account: str, directory: Path
    ) -> Mapping[str, str]:
        """Return a pod's environment variables; write the files of POD_IDENTITY_DIRECTORY."""
        ...


class ContainerRuntime(Protocol):
    """Runs containers; methods are thread-safe. Containers outlive the caller's process."""

    name: str
    """Name and version, as in a node's `containerRuntimeVersion`."""

    def can_run(self, image: str) -> bool:
        """Return whether this runtime can run an image at all."""
        ...

    def pod_address(self, pod_uid: str) -> str:
        """Return the pod's address on this machine; allocated by the first call.

        A runtime that chooses another for each pod returns "" before the pod's first `start`.
        """
        ...

    def start(self, spec: ContainerSpec) -> None:
        """Start a container. Raises ContainerError."""
        ...

    def state(self, container_id: str) -> ContainerState | None:
        """Return the state, or None for an unknown container."""
        ...

    def stop(self, container_id: str, grace_seconds: float) -> None:
        """Send SIGTERM, and SIGKILL after the grace period; return when it has ended."""
        ...

    def log(self, container_id: str) -> Path:
        """Return the log in the CRI's format: time, stream, F or P, line."""
        ...

    def exec(self, container_id: str, command: Sequence[str], *, tty: bool = False) -> Popen[bytes]:
        """Start a process with three pipes in a running container. Raises ContainerError.

        With `tty`, the process has a terminal, and its output is one stream.
        """
        ...

    def stats(self, container_id: str) -> ContainerStats | None:
        """Return the use of CPU and memory, or None if it does not run."""
        ...

    def remove_pod(self, pod_uid: str) -> None:
        """Kill the pod's containers and delete its files; an unknown pod is ignored."""
        ...

    def pods(self) -> Sequence[str]:
        """Return the UIDs of the pods that have containers or files."""
        ...
