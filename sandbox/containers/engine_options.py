"""Translates a container's specification into the options of the engine's API."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from docker.types import Mount

from sandbox.containers.engine_networks import CREDENTIALS_ADDRESS
from sandbox.containers.host_relays import HostRelays
from sandbox.contracts.container_runtime import (
    POD_IDENTITY_DIRECTORY,
    ContainerError,
    ContainerSecurity,
    ContainerSpec,
)

_LOOPBACK_URL = re.compile(r"(?<=//)(?:127\.0\.0\.1|localhost):(\d+)")
_CREDENTIALS_URL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
# The kubelet's conversion of cores (k8s.io/kubernetes/pkg/kubelet/cm/helpers_linux.go).
_SHARES_PER_CORE, _MINIMAL_SHARES, _PERIOD_MICROSECONDS = 1024, 2, 100_000
_LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}}


def environment_and_mounts(
    spec: ContainerSpec, defaults: Mapping[str, str], relays: HostRelays
) -> tuple[dict[str, str], list[Mount]]:
    """Return variables with addresses and paths of the container, and its mounts."""
    gateway = relays.address("127.0.0.1")
    environment = {name: _reachable(value, gateway) for name, value in defaults.items()}
    for name in ("NO_PROXY", "no_proxy"):
        names = filter(None, [environment.get(name), gateway, CREDENTIALS_ADDRESS])
        environment[name] = ",".join(names)
    environment |= spec.environment
    mounts = []
    for path, source in sorted(spec.mounts.items()):
        tokens = path == POD_IDENTITY_DIRECTORY
        _admit(source, spec.security, readable=tokens)
        read_only = tokens or path in spec.read_only_mounts
        mounts.append(Mount(path, str(source), type="bind", read_only=read_only))
    if (url := spec.environment.get(_CREDENTIALS_URL)) is not None:
        port = _LOOPBACK_URL.search(url)
        if port is not None:
            address = relays.credentials_address(int(port[1]))
            environment[_CREDENTIALS_URL] = _reachable(url, address)
    return environment, mounts


def host_config(
    spec: ContainerSpec, mounts: list[Mount], create: Callable[..., dict[str, Any]]
) -> dict[str, Any]:
    """Return limits, privileges and mounts; `create` is the API's `create_host_config`."""
    security, resources = spec.security, spec.resources
    groups = [*security.groups]
    if security.volume_group is not None:
        groups.append(security.volume_group)
    limits: dict[str, Any] = {}
    if resources.memory_bytes:
        limits |= {"mem_limit": resources.memory_bytes, "memswap_limit": resources.memory_bytes}
    if resources.cpu_request:
        shares = int(resources.cpu_request * _SHARES_PER_CORE)
        limits["cpu_shares"] = max(_MINIMAL_SHARES, shares)
    if resources.cpu_limit:
        quota = int(resources.cpu_limit * _PERIOD_MICROSECONDS)
        limits |= {"cpu_period": _PERIOD_MICROSECONDS, "cpu_quota": max(1000, quota)}
    return create(
        mounts=mounts,
        read_only=security.read_only_root,
        cap_add=list(security.add),
        cap_drop=list(security.drop),
        security_opt=["no-new-privileges"] if security.no_new_privileges else [],
        group_add=[str(group) for group in dict.fromkeys(groups)],
        log_config=_LOG,
        **limits,
    )


def user(security: ContainerSecurity, of_image: str) -> str:
    """Return `user:group`; raises ContainerError for a root user that the pod forbids."""
    name, _, group = of_image.partition(":")
    number = name if security.user is None else str(security.user)
    if security.non_root:
        if number in {"", "0", "root"}:
            raise ContainerError(
                "CreateContainerConfigError",
                "container has runAsNonRoot and image will run as root",
            )
        if not number.isdigit():
            raise ContainerError(
                "CreateContainerConfigError",
                f"container has runAsNonRoot and image has non-numeric user ({number}), "
                "cannot verify user is non-root",
            )
    if security.user is not None:
        group = ""
    if security.group is not None:
        group = str(security.group)
    return f"{number or 0}:{group}" if group else number


def _reachable(text: str, address: str) -> str:
    return _LOOPBACK_URL.sub(lambda match: f"{address}:{match[1]}", text)


def _admit(source: Path, security: ContainerSecurity, *, readable: bool) -> None:
    """Let the container's user use a volume, as the kubelet does: directories are open to all,
    and everything belongs to fsGroup; with `readable`, files are too. The sandbox's home is closed
    to other users of this machine.
    """
    if not source.exists():
        source.mkdir(parents=True)  # subPath
    for path in (source, *source.rglob("*")):
        if path.is_symlink():
            continue
        group = security.volume_group
        # What a container created belongs to its user.
        with contextlib.suppress(PermissionError):
            mode = path.stat().st_mode | (0o044 if readable else 0)
            if group is not None and os.geteuid() == 0:
                os.chown(path, -1, group)
                mode |= 0o2070 if path.is_dir() else 0o060
            elif group is not None:
                mode |= 0o006
            path.chmod(mode | 0o777 if path.is_dir() else mode)
