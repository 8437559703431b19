"""Ends the containers of pods and their networks, which outlive the background process."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sandbox.runtime import process_table

# Labels of containers and networks, with the sandbox's home as the value of the first.
HOME_LABEL = "sandbox.home"
NETWORK_LABEL = "sandbox.network"
_REMOVE_SECONDS = 10.0


def directory(pods: Path) -> Path:
    """Return the directory of the pods that run in an engine, below the pods' directory."""
    return pods / "engine"


def end_all(home: Path, pods: Path) -> bool:
    """Remove all containers and networks of a home; return whether there were any."""
    try:
        url = json.loads((directory(pods) / "engine.json").read_text())["url"]
    except FileNotFoundError:
        return False
    _end_relays(directory(pods) / "relays")
    # Imported here: it takes 0.2 s, and most commands end no container.
    import docker  # noqa: PLC0415
    from docker.errors import DockerException  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415

    removed = False
    # An engine that does not run has no containers that run.
    with contextlib.suppress(DockerException, RequestException):
        api: Any = docker.APIClient(url, version="auto")
        label = {"label": [f"{HOME_LABEL}={home}"]}
        for item in api.containers(all=True, filters=label):
            removed = True
            with contextlib.suppress(docker.errors.NotFound):
                api.remove_container(item["Id"], v=True, force=True)
        removed |= remove_networks(api, home)
    shutil.rmtree(directory(pods), ignore_errors=True)
    return removed


def remove_networks(api: Any, home: Path) -> bool:
    """Remove the home's networks, and the shared one after the last home's; return if any was."""
    networks = api.networks(filters={"label": [f"{HOME_LABEL}={home}"]})
    _remove(api, networks)
    if networks and not api.networks(filters={"label": [HOME_LABEL]}):
        _remove(api, api.networks(filters={"label": [f"{NETWORK_LABEL}=credentials"]}))
    return bool(networks)


def _remove(api: Any, networks: Iterable[dict[str, Any]]) -> None:
    from docker.errors import APIError, NotFound  # noqa: PLC0415 - as above

    for network in networks:
        deadline = time.monotonic() + _REMOVE_SECONDS
        while True:
            try:
                with contextlib.suppress(NotFound):
                    api.remove_network(network["Id"])
                break
            except APIError:
                # The engine releases the address of an ended container after its end.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


def _end_relays(relays: Path) -> None:
    with contextlib.suppress(FileNotFoundError, ValueError):
        pid = int((relays / "pid").read_text())
        if process_table.runs(pid, str(relays)):
            process_table.kill_group(pid, signal.SIGTERM)
