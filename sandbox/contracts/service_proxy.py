"""Protocol between the clusters and the proxy that serves Services and load balancers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Target = tuple[str, int]
"""Address and port of a pod on this machine."""


@dataclass(frozen=True, kw_only=True)
class ProxiedService:
    """A Service with the ready targets of each of its ports.

    `load_balancers` are the host names of its load balancers with the Service's port behind each
    listener port. `source_ranges` are the CIDRs whose clients the load balancers serve; empty for
    all.
    """

    namespace: str
    name: str
    targets: Mapping[int, Sequence[Target]]
    load_balancers: Mapping[str, Mapping[int, int]]
    source_ranges: Sequence[str] = ()


class ServiceProxy(Protocol):
    """Balances connections to Services; methods are thread-safe and idempotent."""

    def set_services(self, cluster_arn: str, services: Sequence[ProxiedService]) -> None:
        """Serve exactly these Services of a cluster; none if empty."""
        ...

    def host_names(self) -> Mapping[str, str]:
        """Return the address on this machine of each Service's DNS names."""
        ...
