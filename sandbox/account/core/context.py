"""The request context: what an operation may use of the account."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from moto.backends import get_backend

from sandbox.account.core import determinism
from sandbox.account.core.moto_execution import Moto
from sandbox.account.core.schedule import SECONDS, Schedule
from sandbox.account.core.wire import ACCOUNT_ID
from sandbox.contracts.cluster_host import ClusterHost

Record = dict[str, Any]


class RequestContext:
    """Records, moto, time and the outside world.

    `clusters` runs Kubernetes; `registry_host` is "localhost:PORT" of the image registry;
    `time_scale` multiplies provisioning times.
    """

    def __init__(
        self, clusters: ClusterHost, *, registry_host: str | None = None, time_scale: float = 1.0
    ) -> None:
        self.clusters = clusters
        self.registry_host = registry_host
        self.time_scale = time_scale
        self.clock = determinism.clock
        self.schedule = Schedule()
        self.moto = Moto()
        self.tables: dict[str, dict[tuple[str, ...], Record]] = {}
        self.replaying = False
        self.external_results: dict[str, Any] = {}

    def table(self, name: str) -> dict[tuple[str, ...], Record]:
        """Return the records of one type, such as "eks.cluster", by region and name."""
        return self.tables.setdefault(name, {})

    def backend(self, service: str, region: str = "aws") -> Any:
        """Return moto's backend of a service in a region ("aws" for a global service)."""
        backends: Any = get_backend
        return backends(service)[ACCOUNT_ID][region]

    def later(self, event: tuple[str, str], action: Callable[[], None]) -> float:
        """Schedule an action for when AWS completes the event (a key of schedule.SECONDS)."""
        moment = self.clock.time() + SECONDS[event] * self.time_scale
        self.schedule.add(moment, action)
        return moment

    def external(self, key: str, call: Callable[[], Any]) -> Any:
        """Return the result of a call outside the account; a replay returns the original result."""
        if self.replaying:
            return copy.deepcopy(self.external_results.get(key))
        with determinism.unseeded():
            self.external_results[key] = call()
        return self.external_results[key]
