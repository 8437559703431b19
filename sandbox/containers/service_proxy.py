"""Serves Services and load balancers on loopback through a process of `tcp_balancer`.

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
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from sandbox.containers.balancer_process import BalancerProcess
from sandbox.contracts.service_proxy import (
    Listener,
    ProxiedLoadBalancer,
    ProxiedService,
    Route,
    Target,
)
from sandbox.runtime import ports
from sandbox.runtime.certificate_authority import CertificateAuthority

# Addresses of Services: 127.96.0.1 to 127.96.255.254.
_SERVICES = ipaddress.ip_network("127.96.0.0/16")


@dataclass(frozen=True)
class LocalListener:
    """Where a listener of a load balancer answers on this machine."""

    service: str
    port: int
    scheme: str


@dataclass(frozen=True)
class _Cluster:
    services: tuple[ProxiedService, ...] = ()
    load_balancers: tuple[ProxiedLoadBalancer, ...] = ()

    def targets(self, namespace: str, route: Route) -> Sequence[Target]:
        for service in self.services:
            if (service.namespace, service.name) == (namespace, route.service):
                return service.targets.get(route.port, ())
        return ()


class LocalServiceProxy:
    """Implements `ServiceProxy`; its files are in `directory`.

    All clients of load balancers are on this machine. They count as clients with `client_address`,
    which must be in the source ranges; without one, all are served. `authority` issues the
    certificates of TLS listeners; without one, these do not listen.
    """

    def __init__(
        self,
        directory: Path,
        *,
        client_address: str = "",
        authority: CertificateAuthority | None = None,
    ) -> None:
        self._directory, self._client, self._authority = directory, client_address, authority
        self._lock = threading.RLock()
        # Restored, so that a restart does not interrupt the Services of a cluster not yet started.
        self._clusters = _load_clusters(directory / "clusters.json")
        self._stopped = False
        self._balancer = BalancerProcess(directory)
        self._addresses: dict[str, str] = _load(directory / "addresses.json")
        self._ports: dict[str, int] = _load(directory / "ports.json")

    def set_services(
        self,
        cluster_arn: str,
        services: Sequence[ProxiedService],
        load_balancers: Sequence[ProxiedLoadBalancer] = (),
    ) -> None:
        """Serve exactly these Services and load balancers of a cluster."""
        cluster = _Cluster(tuple(services), tuple(load_balancers))
        with self._lock:
            if self._stopped:
                return
            before = self._clusters.get(cluster_arn, _Cluster())
            if before == cluster and self._balancer.running:
                return
            self._clusters[cluster_arn] = cluster
            if cluster == _Cluster():
                self._clusters.pop(cluster_arn)
            self._release()
            self._apply()

    def host_names(self) -> Mapping[str, str]:
        """Return the address of each Service's DNS names, and of each load balancer's."""
        with self._lock:
            names = {
                name: self._address(arn, service.namespace, service.name)
                for arn, cluster in self._clusters.items()
                for service in cluster.services
                for name in _names(service)
            }
            for arn, cluster in self._clusters.items():
                for balancer in cluster.load_balancers:
                    for route in balancer.routes[:1]:
                        address = self._address(arn, balancer.namespace, route.service)
                        names[balancer.host] = address
            return names

    def endpoints(self) -> Mapping[str, Sequence[int]]:
        """Return the ports of each Service's address."""
        with self._lock:
            return {
                self._address(arn, service.namespace, service.name): sorted(service.targets)
                for arn, cluster in self._clusters.items()
                for service in cluster.services
            }

    def stop(self, *, keep_process: bool = False) -> None:
        """End the balancer when its connections have ended; `keep_process` leaves it running."""
        with self._lock:
            self._stopped = True
        if not keep_process:
            self._balancer.end()

    def _listeners(self) -> Iterable[dict[str, Any]]:
        for arn, cluster in self._clusters.items():
            for service in cluster.services:
                address = self._address(arn, service.namespace, service.name)
                for port, targets in service.targets.items():
                    if port >= _first_unprivileged_port():
                        yield {"address": address, "port": port, "targets": _pairs(targets)}
            for balancer in cluster.load_balancers:
                for listener in balancer.listeners:
                    yield from self._listener(cluster, balancer, listener)

    def _listener(
        self, cluster: _Cluster, balancer: ProxiedLoadBalancer, listener: Listener
    ) -> Iterable[dict[str, Any]]:
        local_port = self._port(balancer.host, listener.port)
        entry: dict[str, Any] = {"address": "127.0.0.1", "port": local_port, "targets": []}
        if listener.protocol in {"TLS", "HTTPS"}:
            if self._authority is None:
                return
            entry["certificate"] = str(self._certificate(balancer))
        if not _admits(balancer.source_ranges, self._client):
            yield entry  # without a target, a connection ends at once
            return
        targets = [cluster.targets(balancer.namespace, route) for route in listener.routes]
        if listener.protocol in {"TCP", "TLS"}:
            yield entry | {"targets": [pair for item in targets for pair in _pairs(item)]}
            return
        redirect = listener.redirect_port
        yield entry | {
            "site": {
                "port": listener.port,
                "redirect": [redirect, self._port(balancer.host, redirect)] if redirect else None,
                "routes": [
                    {
                        "host": route.host,
                        "path": route.path,
                        "exact": route.exact,
                        "targets": _pairs(item),
                    }
                    for route, item in zip(listener.routes, targets, strict=True)
                ],
            }
        }

    def _certificate(self, balancer: ProxiedLoadBalancer) -> Path:
        """Return the file of certificate and key for a load balancer's names."""
        assert self._authority is not None  # noqa: S101 - the caller's condition
        hosts = [route.host for route in balancer.routes if route.host]
        names = sorted({balancer.host, "localhost", *balancer.names, *hosts})
        digest = sha256("\n".join([self._authority.pem, *names]).encode()).hexdigest()[:32]
        file = self._directory / "certificates" / f"{digest}.pem"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            certificate, key = self._authority.issue(balancer.host, names, ["127.0.0.1"])
            temporary = file.with_suffix(".new")
            temporary.touch(mode=0o600)
            temporary.write_bytes(certificate + key)
            temporary.replace(file)
        return file

    def _apply(self) -> None:
        listeners = list(self._listeners())
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

    def _address(self, arn: str, namespace: str, name: str) -> str:
        key = f"{arn}/{namespace}/{name}"
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
            f"{balancer.host}:{listener.port}"
            for cluster in self._clusters.values()
            for balancer in cluster.load_balancers
            for listener in balancer.listeners
        }
        keys = {
            f"{arn}/{service.namespace}/{service.name}"
            for arn, cluster in self._clusters.items()
            for service in cluster.services
        }
        self._addresses = {k: v for k, v in self._addresses.items() if k in keys}
        self._ports = {k: v for k, v in self._ports.items() if k in hosts}

    def _save(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        clusters = {arn: asdict(cluster) for arn, cluster in self._clusters.items()}
        _write(self._directory / "clusters.json", clusters)
        _write(self._directory / "addresses.json", self._addresses)
        _write(self._directory / "ports.json", self._ports)


def local_listeners(directory: Path, *, ready: bool = True) -> dict[str, LocalListener]:
    """Return each load balancer's listeners by `HOST:PORT`, for its own and its routes' host names.

    With `ready`, listeners without a ready target are left out.
    """
    ports = _load(directory / "ports.json")
    listeners = {}
    for cluster in _load_clusters(directory / "clusters.json").values():
        for balancer in cluster.load_balancers:
            for item in balancer.listeners:
                key = f"{balancer.host}:{item.port}"
                targets = [cluster.targets(balancer.namespace, route) for route in item.routes]
                if not targets or key not in ports or (ready and not any(targets)):
                    continue
                scheme = "https" if item.protocol in {"TLS", "HTTPS"} else "http"
                local = LocalListener(item.routes[0].service, ports[key], scheme)
                hosts = {route.host for route in item.routes if route.host}
                for name in {balancer.host, *balancer.names, *hosts}:
                    listeners[f"{name}:{item.port}"] = local
    return listeners


def _admits(source_ranges: Sequence[str], client: str) -> bool:
    if not client or not source_ranges:
        return True
    address = ipaddress.ip_address(client)
    return any(address in ipaddress.ip_network(source, strict=False) for source in source_ranges)


def _names(service: ProxiedService) -> list[str]:
    name, namespace = service.name, service.namespace
    domain = f"{name}.{namespace}.svc"
    return [f"{name}.{namespace}", domain, f"{domain}.cluster.local"]


def _first_unprivileged_port() -> int:
    if os.geteuid() == 0:
        return 1
    with contextlib.suppress(OSError, ValueError):
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    return 1024


def _load_clusters(path: Path) -> dict[str, _Cluster]:
    return {
        arn: _Cluster(
            services=tuple(
                ProxiedService(
                    namespace=item["namespace"],
                    name=item["name"],
                    targets={int(port): _targets(pairs) for port, pairs in item["targets"].items()},
                )
                for item in cluster["services"]
            ),
            load_balancers=tuple(
                ProxiedLoadBalancer(
                    namespace=item["namespace"],
                    host=item["host"],
                    names=tuple(item["names"]),
                    source_ranges=tuple(item["source_ranges"]),
                    listeners=tuple(
                        Listener(
                            port=listener["port"],
                            protocol=listener["protocol"],
                            redirect_port=listener["redirect_port"],
                            routes=tuple(Route(**route) for route in listener["routes"]),
                        )
                        for listener in item["listeners"]
                    ),
                )
                for item in cluster["load_balancers"]
            ),
        )
        for arn, cluster in _load(path).items()
    }


def _pairs(targets: Sequence[Target]) -> list[list[Any]]:
    return [list(target) for target in targets]


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
