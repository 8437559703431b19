"""One EKS cluster whose Kubernetes API is a started control plane or a kubeconfig's cluster."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from sandbox.contracts.cluster_host import ClusterFacts, NodeFacts, PrincipalLookup
from sandbox.kubernetes.apiserver.auth import AccessControl
from sandbox.kubernetes.control_plane import SIMULATION, ControlPlane, ControlPlaneError
from sandbox.kubernetes.ports import ExternalServices, LoadBalancerError
from sandbox.kubernetes.upstream import nodes, services
from sandbox.kubernetes.upstream.kubeconfig import Json, StatusError, Upstream, UpstreamError
from sandbox.kubernetes.upstream.owned_objects import OwnedObjects
from sandbox.runtime import cluster_backends, control_plane_processes
from sandbox.runtime.cluster_backends import CONTROL_PLANE, ClusterBackend

LOG = logging.getLogger(__name__)
_START_SECONDS = 90
_PERIOD = 1.0
_RETRY = 5.0
# kind's, k3d's and minikube's controllers give a Service its address within this time.
_PATIENCE = 10.0


class UpstreamCluster:
    """Starts the control plane, if it is one, and runs what EKS adds: nodes, load balancers."""

    def __init__(
        self,
        facts: ClusterFacts,
        directory: Path,
        backend: ClusterBackend,
        principals: PrincipalLookup,
        external: ExternalServices,
    ) -> None:
        self.facts = facts
        self.access = AccessControl(arn=facts.arn, cluster_name=facts.name, principals=principals)
        self.owned = OwnedObjects(directory / "owned.json")
        self._directory, self._backend = directory, backend
        self._account_available = external.available
        patience = 0.0 if backend.kind == CONTROL_PLANE else _PATIENCE
        file = directory / "load-balancers.json"
        self._services = services.ServiceController(facts, external.load_balancers, patience, file)
        self._upstream: Upstream | None = None
        self._failure = ""
        self._started, self._stopping = threading.Event(), threading.Event()
        self._node_groups: dict[str, Sequence[NodeFacts]] = {}
        self._thread = threading.Thread(target=self._run, name="upstream-cluster", daemon=True)
        self._thread.start()

    def upstream(self) -> Upstream:
        """Return the API server once it has started. Raises UpstreamError."""
        self._started.wait(_START_SECONDS)
        if self._upstream is None:
            raise UpstreamError(self._failure or "the control plane has not started yet.")
        return self._upstream

    @property
    def is_abandoned(self) -> bool:
        """Whether the objects are left where they are; the endpoint then has none."""
        return cluster_backends.is_abandoned(self._directory)

    def configure(self, facts: ClusterFacts) -> None:
        """Apply a new configuration; the API server keeps its version."""
        self.facts = self._services.facts = facts

    def set_nodes(self, group: str, node_facts: Sequence[NodeFacts]) -> None:
        """Make `node_facts` the only nodes of a group; a kubeconfig's cluster keeps its own."""
        if self._backend.kind == CONTROL_PLANE:
            self._node_groups[group] = node_facts

    def close(self, *, keep_pods: bool = False) -> None:  # noqa: ARG002 - that of `Cluster`
        """Stop the control plane, whose objects remain on disk."""
        self._stopping.set()
        self._thread.join()

    def delete(self) -> None:
        """Delete the objects and files in the background; a restart continues that."""
        (self._directory / cluster_backends.DELETING).touch()
        (self._directory / "facts.json").unlink(missing_ok=True)
        self._stopping.set()
        threading.Thread(target=self._delete, name="upstream-deletion", daemon=True).start()

    def _delete(self) -> None:
        self._thread.join()
        if self.is_abandoned:
            try:
                self._services.remove_all()
            except LoadBalancerError as error:
                LOG.warning("cluster %s: %s", self.facts.name, error)
        continue_deletion(self._directory)

    def _run(self) -> None:
        plane = None
        try:
            if self._backend.kind == CONTROL_PLANE:
                plane = ControlPlane(
                    control_plane_directory(self._directory),
                    service_cidr=self.facts.service_cidr,
                )
                plane.start()
                plane.run(*SIMULATION)
                upstream = Upstream(plane.write_kubeconfig())
            else:
                upstream = Upstream(Path(self._backend.path), self._backend.context)
            if plane is not None and self.facts.auto_mode:
                nodes.prepare_auto_mode(upstream, self.facts)
            self._upstream = upstream
            self._started.set()
            while not self._stopping.wait(_PERIOD):
                if self._account_available.is_set():
                    self._reconcile(upstream)
        except (ControlPlaneError, UpstreamError, StatusError, OSError) as error:
            self._upstream, self._failure = None, str(error)
            LOG.warning("cluster %s: %s", self.facts.name, error)
        finally:
            self._started.set()
            if plane is not None:
                plane.stop()

    def _reconcile(self, upstream: Upstream) -> None:
        try:
            for group, node_facts in list(self._node_groups.items()):
                nodes.set_node_group(upstream, group, node_facts)
                if self._node_groups.get(group) is node_facts:
                    del self._node_groups[group]
            self._services.reconcile(upstream, self._own_services(upstream))
        except (UpstreamError, StatusError, LoadBalancerError, OSError) as error:
            LOG.warning("cluster %s: %s", self.facts.name, error)
            self._stopping.wait(_RETRY)

    def _own_services(self, upstream: Upstream) -> Iterable[Json]:
        if self._backend.kind == CONTROL_PLANE:
            return services.all_services(upstream)
        return services.services_in(upstream, self.owned.namespaces())


def control_plane_directory(directory: Path) -> Path:
    """Return the directory of a cluster's control plane."""
    return directory / "control-plane"


def continue_deletion(directory: Path) -> None:
    """Delete the objects of a deleted cluster, retrying until that succeeds; then its files."""
    backend = cluster_backends.of_cluster(directory)
    control_plane_processes.end(control_plane_directory(directory))
    if backend is not None and backend.kind != CONTROL_PLANE:
        owned = OwnedObjects(directory / "owned.json")
        while not cluster_backends.is_abandoned(directory):
            try:
                if _delete_objects(Upstream(Path(backend.path), backend.context), owned):
                    break
            except (UpstreamError, StatusError, OSError) as error:
                LOG.warning("the objects in %s are not deleted yet: %s", backend, error)
                time.sleep(_RETRY)
            time.sleep(_PERIOD)
    shutil.rmtree(directory, ignore_errors=True)


def _delete_objects(upstream: Upstream, owned: OwnedObjects) -> bool:
    """Delete the recorded objects; return whether all are gone."""
    gone = True
    for namespace in owned.namespaces():
        for service in services.services_in(upstream, [namespace]):
            if services.FINALIZER in (service["metadata"].get("finalizers") or ()):
                services.remove_finalizer(upstream, service)
    for path in owned.paths():
        try:
            upstream.request("DELETE", path, propagationPolicy="Background")
            gone = False
        except StatusError as error:
            if error.code == 409:  # a namespace that is being deleted
                gone = False
            elif error.code != 404:
                raise
    return gone
