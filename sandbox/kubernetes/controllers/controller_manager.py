"""Runs a cluster's controllers in one thread that wakes on each change until nothing changes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from sandbox.contracts.cluster_host import ClusterFacts, NodeFacts
from sandbox.kubernetes.apimachinery.errors import ApiError
from sandbox.kubernetes.apiserver.verbs import Api
from sandbox.kubernetes.controllers import (
    autoscaler,
    deployments,
    garbage_collector,
    nodes,
    policies,
    scheduler,
    service_proxy,
    services,
    workloads,
)
from sandbox.kubernetes.controllers.context import ControllerContext
from sandbox.kubernetes.kubelet import Kubelet
from sandbox.kubernetes.ports import ExternalServices
from sandbox.kubernetes.storage.object_store import Event

LOG = logging.getLogger(__name__)
_BEFORE_KUBELET: Sequence[Callable[[ControllerContext], None]] = (
    policies.service_accounts,
    autoscaler.autoscalers,
    deployments.deployments,
    deployments.replica_sets,
    workloads.stateful_sets,
    workloads.daemon_sets,
    workloads.jobs,
    scheduler.schedule,
)
_AFTER_KUBELET: Sequence[Callable[[ControllerContext], None]] = (
    services.endpoints,
    policies.disruption_budgets,
    policies.quotas,
    garbage_collector.custom_resource_definitions,
    garbage_collector.collect,
    garbage_collector.namespaces,
    nodes.remove_idle,
)
_MAX_ROUNDS = (
    500  # Bounds the rounds per wake-up, because two controllers could undo each other's changes.
)
_RETRY_SECONDS = 1.0


class ControllerManager:
    """Runs all controllers of one cluster."""

    def __init__(self, api: Api, facts: ClusterFacts, external: ExternalServices) -> None:
        self._context = ControllerContext(api, facts, external)
        self._wake = threading.Event()
        self.kubelet = Kubelet(self._context)
        self._context.pod_usage = self.kubelet.pod_usage
        self._stop = False
        self._thread = threading.Thread(
            target=self._run, name=f"controllers-{facts.name}", daemon=True
        )
        api.store.listen(self._on_change)

    def start(self) -> None:
        """Start with a full reconciliation."""
        self._wake.set()
        self._thread.start()

    def stop(self, *, keep_pods: bool) -> None:
        """Finish the current round and stop; `keep_pods` leaves the pods' processes running."""
        self._stop = True
        self._wake.set()
        self._thread.join(timeout=10)
        self.kubelet.stop(keep_pods=keep_pods)

    @property
    def facts(self) -> ClusterFacts:
        """The cluster's configuration."""
        return self._context.facts

    @facts.setter
    def facts(self, facts: ClusterFacts) -> None:
        self._context.facts = facts

    def wake(self) -> None:
        """Reconcile again."""
        self._wake.set()

    def set_nodes(self, group: str, members: Sequence[NodeFacts]) -> None:
        """Set the nodes of a group."""
        nodes.set_node_group(self._context, group, members)

    def _on_change(self, _event: Event) -> None:
        self._wake.set()

    def _run(self) -> None:
        while not self._stop:
            pause = self._context.next_run - time.monotonic()
            self._wake.wait(None if pause == float("inf") else max(pause, 0))
            self._wake.clear()
            self._context.next_run = float("inf")
            try:
                self._reconcile()
            except Exception:
                # A defect in one controller must not stop the cluster; it runs again after a pause.
                if self._stop:
                    return
                LOG.exception("a controller of the emulated cluster failed")
                self._context.requeue_after(_RETRY_SECONDS)

    def _reconcile(self) -> None:
        for _ in range(_MAX_ROUNDS):
            before = self._context.store.revision
            self._round()
            if self._context.store.revision == before or self._stop:
                return
        LOG.warning("the controllers of the emulated cluster did not converge")
        self._context.requeue_after(_RETRY_SECONDS)

    def _round(self) -> None:
        context = self._context
        for step in _BEFORE_KUBELET:
            self._locked(step)
        self.kubelet.sync()
        # Without the store's lock: the account, which it calls, may call the cluster.
        services.load_balancers(context)
        for step in _AFTER_KUBELET:
            self._locked(step)
        service_proxy.services(context)

    def _locked(self, step: Callable[[ControllerContext], None]) -> None:
        with self._context.store.lock:
            if self._context.store.closed:
                return
            try:
                step(self._context)
            except ApiError as error:
                LOG.warning("%s: %s", step.__name__, error.message)
                self._context.requeue_after(_RETRY_SECONDS)
