"""The cluster's controllers: one thread that wakes when an object changes and works until nothing is left to do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from sandbox.contracts.cluster_host import ClusterFacts, NodeFacts
from sandbox.kubernetes.apimachinery.errors import ApiError
from sandbox.kubernetes.apiserver.verbs import Api
from sandbox.kubernetes.controllers import (
    deployments,
    garbage_collector,
    kubelet,
    nodes,
    policies,
    scheduler,
    services,
    workloads,
)
from sandbox.kubernetes.controllers.context import Work
from sandbox.kubernetes.ports import Hooks
from sandbox.kubernetes.storage.object_store import Event

LOG = logging.getLogger(__name__)
_STEPS: Sequence[Callable[[Work], None]] = (
    policies.service_accounts,
    policies.autoscalers,
    deployments.deployments,
    deployments.replica_sets,
    workloads.stateful_sets,
    workloads.daemon_sets,
    workloads.jobs,
    scheduler.schedule,
)
_LATER: Sequence[Callable[[Work], None]] = (
    services.endpoints,
    policies.disruption_budgets,
    policies.quotas,
    garbage_collector.custom_resource_definitions,
    garbage_collector.collect,
    garbage_collector.namespaces,
    nodes.remove_idle,
)
_ROUNDS = 500  # a bound on the rounds per wake-up: two controllers that undo each other's work must not spin
_RECOVERY = 1.0


class Controllers:
    """Runs every controller of one cluster."""

    def __init__(self, api: Api, facts: ClusterFacts, hooks: Hooks) -> None:
        self._work = Work(api, facts, hooks)
        self._wake = threading.Event()
        self._stop = False
        self._thread = threading.Thread(target=self._run, name=f"controllers-{facts.name}", daemon=True)
        api.store.listen(self._notice)

    def start(self) -> None:
        """Start working; what happened before the start is looked at first."""
        self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait for the work in hand."""
        self._stop = True
        self._wake.set()
        self._thread.join(timeout=10)

    @property
    def facts(self) -> ClusterFacts:
        """The cluster's facts, as the controllers know them."""
        return self._work.facts

    @facts.setter
    def facts(self, facts: ClusterFacts) -> None:
        self._work.facts = facts

    def wake(self) -> None:
        """Look at everything again."""
        self._wake.set()

    def set_nodes(self, group: str, members: Sequence[NodeFacts]) -> None:
        """Make these the nodes of a group."""
        nodes.set_group(self._work, group, members)

    def _notice(self, _event: Event) -> None:
        self._wake.set()

    def _run(self) -> None:
        while not self._stop:
            pause = self._work.next_call - time.monotonic()
            self._wake.wait(None if pause == float("inf") else max(pause, 0))
            self._wake.clear()
            self._work.next_call = float("inf")
            try:
                self._settle()
            except Exception:
                # A defect in one controller must not stop the cluster; it is tried again after a pause.
                if self._stop:
                    return
                LOG.exception("a controller of the emulated cluster failed")
                self._work.again_in(_RECOVERY)

    def _settle(self) -> None:
        for _ in range(_ROUNDS):
            before = self._work.store.revision
            self._round()
            if self._work.store.revision == before or self._stop:
                return
        LOG.warning("the controllers of the emulated cluster don't come to rest")
        self._work.again_in(_RECOVERY)

    def _round(self) -> None:
        work = self._work
        for step in _STEPS:
            self._locked(step)
        # Registries and load balancers are asked without the lock: they may be slow, or ask the cluster something.
        check = work.hooks.image_check
        checked = {item: check(*item) for item in set(kubelet.images(work))}
        with work.store.lock:
            if not work.store.closed:
                kubelet.run_pods(work, checked)
        services.load_balancers(work)
        for step in _LATER:
            self._locked(step)

    def _locked(self, step: Callable[[Work], None]) -> None:
        with self._work.store.lock:
            if self._work.store.closed:
                return
            try:
                step(self._work)
            except ApiError as error:
                LOG.warning("%s: %s", step.__name__, error.message)
                self._work.again_in(_RECOVERY)
