"""Chooses how pods run: in a container engine if one answers, otherwise as processes.

`SANDBOX_RUNTIME` overrides: `process`, `engine`, or `auto`, the default.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping

from sandbox.containers.combined_runtime import CombinedRuntime
from sandbox.containers.engine_client import detect
from sandbox.containers.engine_images import RegistryAccess
from sandbox.containers.engine_runtime import EngineRuntime
from sandbox.containers.host_relays import Endpoints
from sandbox.containers.process_runtime import ProcessRuntime
from sandbox.contracts.container_runtime import ContainerRuntime
from sandbox.runtime import pod_containers
from sandbox.runtime.home import Home

VARIABLE = "SANDBOX_RUNTIME"
_CHOICES = ("auto", "process", "engine")
_LOG = logging.getLogger("sandbox.daemon")


class RuntimeChoiceError(Exception):
    """The runtime of SANDBOX_RUNTIME is not available; the message has the remedy."""


def choose_runtime(
    home: Home,
    processes: ProcessRuntime,
    *,
    registry: RegistryAccess,
    environment: Callable[[], Mapping[str, str]],
    endpoints: Endpoints,
) -> tuple[ContainerRuntime, str]:
    """Return the runtime of all pods, and why it uses processes ("" if it uses containers).

    Raises RuntimeChoiceError.
    """
    choice = os.environ.get(VARIABLE) or "auto"
    if choice not in _CHOICES:
        raise RuntimeChoiceError(
            f"{VARIABLE} is '{choice}'; set it to auto, process or engine, or unset it"
        )
    detected = detect() if choice != "process" else f"{VARIABLE} is process"
    if isinstance(detected, str):
        if choice == "engine":
            raise RuntimeChoiceError(
                f"{VARIABLE} is engine, but {detected}. Start an engine, set DOCKER_HOST to its "
                f"socket, or unset {VARIABLE} to run pods as processes"
            )
        _LOG.info("pods run as processes: %s", detected)
        pod_containers.end_all(home.path, home.pods)  # of a time with an engine
        return processes, detected
    _LOG.info("pods run in %s", detected.name)
    engine = EngineRuntime(
        pod_containers.directory(home.pods),
        home.path,
        detected,
        registry=registry,
        environment=environment,
        endpoints=endpoints,
    )
    return CombinedRuntime(engine, processes), ""
