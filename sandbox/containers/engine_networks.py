"""Bridge networks of one sandbox in a container engine.

Pods have addresses of one network. Its gateway is an address of this machine; relay networks have
no containers and give more such addresses. The credentials network gives 169.254.170.23, the
address of the EKS Pod Identity agent; it is shared by all sandboxes of an engine.
"""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool

from sandbox.contracts.container_runtime import ContainerError
from sandbox.runtime.pod_containers import HOME_LABEL, NETWORK_LABEL, remove_networks

CREDENTIALS_ADDRESS = "169.254.170.23"
_CREDENTIALS_NETWORK = "sandbox-credentials"
_CREDENTIALS_SUBNET = IPv4Network("169.254.170.16/28")
# 510 pods each; and relay networks of one address each.
_PODS = tuple(IPv4Network("10.213.0.0/16").subnets(new_prefix=23))
_RELAYS = tuple(IPv4Network("10.214.0.0/16").subnets(new_prefix=29))


@dataclass(frozen=True, kw_only=True)
class BridgeNetwork:
    """A network of the engine; `gateway` is its address of this machine."""

    name: str
    subnet: IPv4Network
    gateway: str


class EngineNetworks:
    """The networks with the label of `home`, created when needed."""

    def __init__(self, api: Any, home: Path) -> None:
        self._api, self._home = api, home
        digest = hashlib.sha256(str(home).encode()).hexdigest()
        self._name, self._start = f"sandbox-{digest[:10]}", int(digest[:8], 16)
        self._lock = threading.RLock()
        self._known: dict[str, BridgeNetwork] = {}

    def pods(self) -> BridgeNetwork:
        """Return the pods' network. Raises ContainerError."""
        return self._ensure(self._name, "pods", _PODS)

    def relay(self, number: int) -> BridgeNetwork:
        """Return a network whose gateway relays listen on; number 0 is the pods' network."""
        if number == 0:
            return self.pods()
        return self._ensure(f"{self._name}-{number}", "relay", _RELAYS)

    def ensure_credentials(self) -> None:
        """Create the network of 169.254.170.23 unless the engine has it."""
        self._ensure(_CREDENTIALS_NETWORK, "credentials", (_CREDENTIALS_SUBNET,))

    def forget(self) -> None:
        """Look the networks up again: one was removed by another program."""
        with self._lock:
            self._known.clear()

    def remove(self) -> None:
        """Remove all networks of the home; no container may be left."""
        with self._lock:
            self._known.clear()
            remove_networks(self._api, self._home)

    def _ensure(self, name: str, role: str, subnets: Sequence[IPv4Network]) -> BridgeNetwork:
        with self._lock:
            if name not in self._known:
                self._known[name] = self._find(name) or self._create(name, role, subnets)
            return self._known[name]

    def _find(self, name: str) -> BridgeNetwork | None:
        for network in self._api.networks(names=[name]):
            if network["Name"] == name:  # the filter matches parts too
                [pool] = network["IPAM"]["Config"]
                return BridgeNetwork(
                    name=name, subnet=IPv4Network(pool["Subnet"]), gateway=pool["Gateway"]
                )
        return None

    def _create(self, name: str, role: str, subnets: Sequence[IPv4Network]) -> BridgeNetwork:
        reason = "every candidate is in use"
        for subnet in self._free(subnets):
            gateway = CREDENTIALS_ADDRESS if role == "credentials" else str(subnet[1])
            pool = IPAMPool(subnet=str(subnet), gateway=gateway)
            labels = {NETWORK_LABEL: role}
            if role != "credentials":
                labels[HOME_LABEL] = str(self._home)
            try:
                self._api.create_network(
                    name,
                    driver="bridge",
                    ipam=IPAMConfig(pool_configs=[pool]),
                    labels=labels,
                    check_duplicate=True,
                )
            except APIError as error:
                reason = str(error.explanation)
                if (existing := self._find(name)) is not None:
                    return existing
                if "overlap" in reason.lower():
                    continue
                break
            return BridgeNetwork(name=name, subnet=subnet, gateway=gateway)
        raise ContainerError(
            "CreateContainerError", f"the container engine cannot create a network: {reason}"
        )

    def _free(self, subnets: Sequence[IPv4Network]) -> Iterator[IPv4Network]:
        """Yield candidates, the first by the home; those with a route would hide other hosts."""
        routes = list(_routes()) if len(subnets) > 1 else []
        first = self._start % len(subnets)
        for subnet in (*subnets[first:], *subnets[:first]):
            if not any(subnet.overlaps(route) for route in routes):
                yield subnet


def _routes() -> Iterator[IPv4Network]:
    """Yield the destinations of this machine's routes, except the default one."""
    try:
        lines = Path("/proc/net/route").read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        fields = line.split()
        destination, mask = (socket.ntohl(int(fields[index], 16)) for index in (1, 7))
        if mask:
            prefix = bin(struct.unpack("I", struct.pack("I", mask))[0]).count("1")
            yield ipaddress.ip_network((destination, prefix), strict=False)  # type: ignore[misc]
