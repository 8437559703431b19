"""Protocol between the clusters and the proxy that serves Services and load balancers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Target = tuple[str, int]
"""Address and port of a pod on this machine."""

ListenerProtocol = Literal["TCP", "TLS", "HTTP", "HTTPS"]
"""TCP and TLS of a network load balancer, HTTP and HTTPS of an application load balancer."""


@dataclass(frozen=True, kw_only=True)
class ProxiedService:
    """A Service with the ready targets of each of its ports."""

    namespace: str
    name: str
    targets: Mapping[int, Sequence[Target]]


@dataclass(frozen=True, kw_only=True)
class Route:
    """Connections or requests that a listener forwards to a port of a Service.

    A request matches an empty `host`, or its host name; `*.` matches one or more labels. It matches
    the path itself, and paths below it unless `exact`.
    """

    service: str
    """Name of a Service in the namespace of the load balancer's object."""
    port: int
    host: str = ""
    path: str = "/"
    exact: bool = False


@dataclass(frozen=True, kw_only=True)
class Listener:
    """A port of a load balancer; the first matching route serves a request.

    With `redirect_port`, requests are redirected to HTTPS on that port instead.
    """

    port: int
    protocol: ListenerProtocol
    routes: tuple[Route, ...] = ()
    redirect_port: int = 0


@dataclass(frozen=True, kw_only=True)
class ProxiedLoadBalancer:
    """The load balancer of a Service or Ingress.

    `host` is its DNS name, `names` are further names in its certificate. `source_ranges` are the
    CIDRs whose clients it serves; empty for all.
    """

    namespace: str
    host: str
    listeners: tuple[Listener, ...]
    names: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()

    @property
    def routes(self) -> list[Route]:
        """Return the routes of all listeners."""
        return [route for listener in self.listeners for route in listener.routes]


class ServiceProxy(Protocol):
    """Balances connections to Services; methods are thread-safe and idempotent."""

    def set_services(
        self,
        cluster_arn: str,
        services: Sequence[ProxiedService],
        load_balancers: Sequence[ProxiedLoadBalancer] = (),
    ) -> None:
        """Serve exactly these Services and load balancers of a cluster."""
        ...

    def host_names(self) -> Mapping[str, str]:
        """Return the address on this machine of each Service's DNS names."""
        ...
