"""Lets containers reach servers on this machine's loopback: account, databases, Services.

Each loopback address is given an address of a bridge network, on which relays listen at its ports.
Two addresses with a common port get different networks, so that databases keep their port.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from sandbox.containers.balancer_process import BalancerProcess
from sandbox.containers.engine_networks import CREDENTIALS_ADDRESS, EngineNetworks

# Returns the ports of servers by loopback address.
Endpoints = Callable[[], Mapping[str, Collection[int]]]
_LOG = logging.getLogger(__name__)


class HostRelays:
    """The relays of one sandbox, whose assignment is in `directory`."""

    def __init__(self, directory: Path, networks: EngineNetworks, endpoints: Endpoints) -> None:
        self._directory, self._networks, self._endpoints = directory, networks, endpoints
        self._balancer = BalancerProcess(directory)
        self._lock = threading.RLock()
        self._failed: list[Any] = []
        self._numbers: dict[str, int] = {}
        self._credentials: list[int] = []
        self._ports: dict[str, list[int]] = {}
        if (file := directory / "relays.json").exists():
            stored = json.loads(file.read_text())
            self._numbers, self._credentials = stored["networks"], stored["credentials"]
            self._ports = stored["ports"]

    def address(self, loopback: str) -> str:
        """Return the address by which containers reach a loopback address."""
        with self._lock:
            if loopback not in self._numbers:
                self._numbers[loopback] = self._choose(loopback)
                self._save()
            return self._networks.relay(self._numbers[loopback]).gateway

    def credentials_address(self, port: int) -> str:
        """Return the address by which containers reach the credentials' port of 127.0.0.1.

        AWS SDKs accept no other for AWS_CONTAINER_CREDENTIALS_FULL_URI.
        """
        with self._lock:
            self._networks.ensure_credentials()
            if port not in self._credentials:
                self._credentials.append(port)
                self._save()
            return CREDENTIALS_ADDRESS

    def apply(self) -> None:
        """Listen for the present endpoints."""
        with self._lock:
            failed = self._balancer.apply(list(self._listeners()), again=bool(self._failed))
            if failed != self._failed:
                for address, port, reason in failed:
                    _LOG.warning("containers cannot reach %s:%s: %s", address, port, reason)
            self._failed = failed

    def end(self) -> None:
        """End the relays and forget the assignment."""
        with self._lock:
            self._balancer.end()
            self._numbers, self._credentials, self._failed, self._ports = {}, [], [], {}
            (self._directory / "relays.json").unlink(missing_ok=True)

    def _known(self) -> dict[str, list[int]]:
        """Return the present endpoints; the last ones of servers that are not known yet.

        A restarted background process learns of a database later than it starts relays.
        """
        present = {address: sorted(ports) for address, ports in self._endpoints().items()}
        if (merged := {**self._ports, **present}) != self._ports:
            self._ports = merged
            self._save()
        return merged

    def _choose(self, loopback: str) -> int:
        endpoints = self._known()
        ports = set(endpoints.get(loopback, ()))
        taken: dict[int, set[int]] = {}
        for other, number in self._numbers.items():
            taken.setdefault(number, set()).update(endpoints.get(other, ()))
        return next(
            number for number in range(len(taken) + 1) if not ports & taken.get(number, set())
        )

    def _listeners(self) -> Iterator[dict[str, Any]]:
        endpoints, used = self._known(), set()
        for loopback, number in sorted(self._numbers.items()):
            address = self._networks.relay(number).gateway
            for port in endpoints.get(loopback, ()):
                if (address, port) not in used:
                    used.add((address, port))
                    yield {"address": address, "port": port, "targets": [[loopback, port]]}
        for port in self._credentials:
            targets = [["127.0.0.1", port]]
            yield {"address": CREDENTIALS_ADDRESS, "port": port, "targets": targets}

    def _save(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        temporary = self._directory / "relays.new"
        content = {
            "networks": self._numbers,
            "credentials": self._credentials,
            "ports": self._ports,
        }
        temporary.write_text(json.dumps(content))
        temporary.replace(self._directory / "relays.json")
