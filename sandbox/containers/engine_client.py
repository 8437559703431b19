"""Finds a container engine that runs containers on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

_ANSWER_SECONDS = 5
_REQUEST_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class ContainerEngine:
    """An engine that answers: the socket's path, and the name as in `containerRuntimeVersion`."""

    socket: Path
    name: str
    api: Any
    """A `docker.APIClient`."""


def detect() -> ContainerEngine | str:
    """Return the first engine that answers and can run pods, or why there is none."""
    if not sys.platform.startswith("linux"):
        # Their engines run in a virtual machine, whose network this machine does not reach.
        return f"pods need an engine on Linux, and this is {sys.platform}"
    reasons = []
    for url in _urls():
        engine = connect(url)
        if isinstance(engine, ContainerEngine):
            return engine
        reasons.append(engine)
    return "; ".join(reasons)


def connect(url: str) -> ContainerEngine | str:
    """Return the engine at `unix://…`, or why it cannot run pods."""
    if not url.startswith("unix://"):
        return f"the engine at {url} is on another machine"
    try:
        with closing(docker.APIClient(url, version="auto", timeout=_ANSWER_SECONDS)) as api:
            version, info = api.version(), api.info()
    except (DockerException, RequestException):
        return f"no engine answers at {url}"
    if "Docker Desktop" in info.get("OperatingSystem", ""):
        return "Docker Desktop runs containers in a virtual machine, whose network is separate"
    if any("rootless" in option for option in info.get("SecurityOptions") or ()):
        return f"the engine at {url} is rootless: its containers have a separate network"
    parts = [part.get("Name", "") for part in version.get("Components") or ()]
    if any("podman" in part.lower() for part in parts):
        return (
            f"the engine at {url} is Podman, which pulls from a registry on this machine over "
            "TLS only and removes the address of a network that has no container"
        )
    return ContainerEngine(
        socket=Path(url.removeprefix("unix://")),
        name=f"docker://{version['Version']}",
        api=docker.APIClient(url, version="auto", timeout=_REQUEST_SECONDS),
    )


def reason(error: Exception) -> str:
    """Return the engine's explanation of an error."""
    return str(getattr(error, "explanation", None) or error).strip()


def _urls() -> Iterator[str]:
    if configured := os.environ.get("DOCKER_HOST"):
        yield configured
        return
    yield "unix:///var/run/docker.sock"
    if Path("/run/podman/podman.sock").exists():
        yield "unix:///run/podman/podman.sock"
