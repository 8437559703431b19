"""The request context: what an operation may use of the account."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from moto.backends import get_backend

from sandbox.account.core import determinism
from sandbox.account.core.message_log import MessageLog
from sandbox.account.core.moto_execution import Moto
from sandbox.account.core.schedule import SECONDS, Schedule
from sandbox.account.core.wire import ACCOUNT_ID
from sandbox.contracts.build_runner import BuildRunner
from sandbox.contracts.cluster_host import ClusterHost
from sandbox.contracts.database_host import DatabaseHost
from sandbox.contracts.pipeline_runner import PipelineRunner

if TYPE_CHECKING:
    from sandbox.account.core.policy_evaluation import Requirement

Record = dict[str, Any]
# Role or user, region, action, resource, condition keys and values, result.
Authorization = tuple[str, str, str, str | None, tuple[tuple[str, str], ...], bool]


class RequestContext:
    """Records, moto, time and the outside world.

    `clusters` runs Kubernetes, `databases` PostgreSQL, `builds` CodeBuild's builds, `pipelines`
    executions; `registry_host` is "localhost:PORT" of the image registry; `time_scale` multiplies
    provisioning times.
    """

    def __init__(
        self,
        clusters: ClusterHost,
        databases: DatabaseHost,
        builds: BuildRunner,
        pipelines: PipelineRunner,
        *,
        registry_host: str | None = None,
        time_scale: float = 1.0,
    ) -> None:
        self.clusters = clusters
        self.databases = databases
        self.builds = builds
        self.pipelines = pipelines
        self.registry_host = registry_host
        self.time_scale = time_scale
        self.clock = determinism.clock
        self.schedule = Schedule()
        self.moto = Moto()
        self.tables: dict[str, dict[tuple[str, ...], Record]] = {}
        self.replaying = False
        self.external_results: dict[str, Any] = {}
        self.messages = MessageLog(None)
        self.authorizations: Counter[Authorization] = Counter()
        """The distinct permissions that callers used since the start, and how often."""

    def table(self, name: str) -> dict[tuple[str, ...], Record]:
        """Return the records of one type, such as "eks.cluster", by region and name."""
        return self.tables.setdefault(name, {})

    def backend(self, service: str, region: str = "aws") -> Any:
        """Return moto's backend of a service in a region ("aws" for a global service)."""
        backends: Any = get_backend
        return backends(service)[ACCOUNT_ID][region]

    def record_authorization(
        self, principal: str, region: str, required: Requirement, *, allowed: bool
    ) -> None:
        """Count a permission that was evaluated, in memory only."""
        conditions = tuple(sorted(required.conditions.items()))
        key = (principal, region, required.action, required.resource, conditions, allowed)
        self.authorizations[key] += 1

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
