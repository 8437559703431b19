"""Serves Services and load balancers on loopback through `tcp_balancer`.

Each Service has its own loopback address, on which it listens at its own ports; each listener of a
load balancer has a port of 127.0.0.1, which stays the same until the load balancer is deleted.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandbox.containers.balancer_process import BalancerProcess
from sandbox.contracts.service_proxy import ProxiedService, Target
from sandbox.runtime import ports

# Addresses of Services: 127.96.0.1 to 127.96.255.254.
_SERVICES = ipaddress.ip_network("127.96.0.0/16")


class LocalServiceProxy:
    """Implements `ServiceProxy`; its files are in `directory`.

    All clients of load balancers are on this machine. They count as clients with `client_address`,
    which must be in the source ranges; without one, all are served.
    """

    def __init__(self, directory: Path, *, client_address: str = "") -> None:
        self._directory, self._client = directory, client_address
        self._lock = threading.RLock()
        # Restored, so that a restart does not interrupt the Services of a cluster not yet started.
        self._services = _load_services(directory / "services.json")
        self._stopped = False
        self._balancer = BalancerProcess(directory)
        self._addresses: dict[str, str] = _load(directory / "addresses.json")
        self._ports: dict[str, int] = _load(directory / "ports.json")

    def set_services(self, cluster_arn: str, services: Sequence[ProxiedService]) -> None:
        """Serve exactly these Services of a cluster."""
        with self._lock:
            if self._stopped:
                return
            if self._services.get(cluster_arn, ()) == tuple(services) and self._balancer.running:
                return
            self._services[cluster_arn] = tuple(services)
            if not services:
                self._services.pop(cluster_arn)
            self._release()
            self._apply()

    def host_names(self) -> Mapping[str, str]:
        """Return the address of each Service's DNS names."""
        with self._lock:
            return {
                name: self._address(arn, service)
                for arn, services in self._services.items()
                for service in services
                for name in _names(service)
            }

    def endpoints(self) -> Mapping[str, Sequence[int]]:
        """Return the ports of each Service's address."""
        with self._lock:
            return {
                self._address(arn, service): sorted(service.targets)
                for arn, services in self._services.items()
                for service in services
            }

    def stop(self, *, keep_process: bool = False) -> None:
        """End the balancer when its connections have ended; `keep_process` leaves it running."""
        with self._lock:
            self._stopped = True
        if not keep_process:
            self._balancer.end()

    def _listeners(self) -> Iterable[tuple[Target, Sequence[Target]]]:
        for arn, services in self._services.items():
            for service in services:
                address = self._address(arn, service)
                for port, targets in service.targets.items():
                    if port >= _first_unprivileged_port():
                        yield (address, port), targets
                for host, mapping in service.load_balancers.items():
                    for listener_port, port in mapping.items():
                        admitted = _admits(service.source_ranges, self._client)
                        # Without a target, a connection ends at once.
                        targets = service.targets.get(port, ()) if admitted else ()
                        yield ("127.0.0.1", self._port(host, listener_port)), targets

    def _apply(self) -> None:
        listeners = [
            {"address": address, "port": port, "targets": [list(target) for target in targets]}
            for (address, port), targets in self._listeners()
        ]
        self._save()  # with the addresses and ports that were allocated now
        self._reassign(self._balancer.apply(listeners))

    def _reassign(self, failures: Sequence[Sequence[Any]]) -> None:
        """Give load balancers whose port another program has taken a new one."""
        taken = {port for address, port, _ in failures if address == "127.0.0.1"}
        lost = [key for key, port in self._ports.items() if port in taken]
        for key in lost:
            del self._ports[key]
        if lost:
            self._apply()

    def _address(self, arn: str, service: ProxiedService) -> str:
        key = f"{arn}/{service.namespace}/{service.name}"
        if key not in self._addresses:
            taken = set(self._addresses.values())
            self._addresses[key] = next(
                text for host in _SERVICES.hosts() if (text := str(host)) not in taken
            )
        return self._addresses[key]

    def _port(self, host: str, listener_port: int) -> int:
        key = f"{host}:{listener_port}"
        if key not in self._ports:
            self._ports[key] = ports.free_port()
        return self._ports[key]

    def _release(self) -> None:
        """Forget addresses and ports of what no longer exists."""
        hosts = {
            f"{host}:{port}"
            for services in self._services.values()
            for service in services
            for host, mapping in service.load_balancers.items()
            for port in mapping
        }
        keys = {
            f"{arn}/{service.namespace}/{service.name}"
            for arn, services in self._services.items()
            for service in services
        }
        self._addresses = {k: v for k, v in self._addresses.items() if k in keys}
        self._ports = {k: v for k, v in self._ports.items() if k in hosts}

    def _save(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        services = {arn: [asdict(item) for item in items] for arn, items in self._services.items()}
        _write(self._directory / "services.json", services)
        _write(self._directory / "addresses.json", self._addresses)
        _write(self._directory / "ports.json", self._ports)


def load_balancer_ports(directory: Path, *, ready: bool = True) -> dict[str, tuple[str, int]]:
    """Return Service and loopback port of each load balancer's listener, by `HOST:PORT`.

    With `ready`, listeners without a ready target are left out.
    """
    ports = _load(directory / "ports.json")
    return {
        f"{host}:{listener}": (service.name, ports[f"{host}:{listener}"])
        for services in _load_services(directory / "services.json").values()
        for service in services
        for host, mapping in service.load_balancers.items()
        for listener, port in mapping.items()
        if (service.targets.get(port) or not ready) and f"{host}:{listener}" in ports
    }


def _admits(source_ranges: Sequence[str], client: str) -> bool:
    if not client or not source_ranges:
        return True
    address = ipaddress.ip_address(client)
    return any(address in ipaddress.ip_network(source, strict=False) for source in source_ranges)


def _names(service: ProxiedService) -> list[str]:
    name, namespace = service.name, service.namespace
    domain = f"{name}.{namespace}.svc"
    return [f"{name}.{namespace}", domain, f"{domain}.cluster.local", *service.load_balancers]


def _first_unprivileged_port() -> int:
    if os.geteuid() == 0:
        return 1
    with contextlib.suppress(OSError, ValueError):
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    return 1024


def _load_services(path: Path) -> dict[str, tuple[ProxiedService, ...]]:
    return {
        arn: tuple(
            ProxiedService(
                namespace=item["namespace"],
                name=item["name"],
                targets={int(port): _targets(targets) for port, targets in item["targets"].items()},
                load_balancers={
                    host: {int(a): int(b) for a, b in mapping.items()}
                    for host, mapping in item["load_balancers"].items()
                },
                source_ranges=tuple(item.get("source_ranges", ())),
            )
            for item in items
        )
        for arn, items in _load(path).items()
    }


def _targets(pairs: Iterable[Sequence[Any]]) -> tuple[Target, ...]:
    return tuple((str(address), int(port)) for address, port in pairs)


def _load(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return content


def _write(path: Path, content: object) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)
