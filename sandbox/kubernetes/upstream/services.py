"""Load balancers of Services in another API server, from the emulated account.

A cluster's own controller goes first: a Service without a load balancer class that has an address
keeps it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from sandbox.contracts.cluster_host import ClusterFacts
from sandbox.kubernetes.controllers.services import service_load_balancer
from sandbox.kubernetes.ports import LoadBalancers, LoadBalancerSpec
from sandbox.kubernetes.upstream.kubeconfig import Json, StatusError, Upstream

FINALIZER = "sandbox.local/load-balancer"
# The class of the controller that EKS Auto Mode has built in.
_AUTO_MODE_CLASS = "eks.amazonaws.com/nlb"
_MERGE = "application/merge-patch+json"


class ServiceController:
    """Gives Services of type LoadBalancer an address; `patience` is for the cluster's own.

    `file` has the Services with a load balancer, for a cluster that no longer answers.
    """

    def __init__(
        self, facts: ClusterFacts, load_balancers: LoadBalancers, patience: float, file: Path
    ) -> None:
        self.facts, self._load_balancers, self._patience = facts, load_balancers, patience
        self._file = file
        # The last applied spec by the Service's uid; a restart applies all again.
        self._applied: dict[str, LoadBalancerSpec] = {}

    def reconcile(self, upstream: Upstream, services: Iterable[Json]) -> None:
        """Create and remove load balancers.

        Raises LoadBalancerError, StatusError, UpstreamError.
        """
        for service in services:
            try:
                self._reconcile(upstream, service)
            except StatusError as error:
                if error.code not in {404, 409}:  # changed since; the next run sees it
                    raise

    def remove_all(self) -> None:
        """Remove the load balancers without the Services. Raises LoadBalancerError."""
        for metadata in self._recorded():
            service = {"metadata": metadata, "spec": {}}
            self._load_balancers.remove(self._spec(service))
        self._file.unlink(missing_ok=True)

    def _recorded(self) -> list[Json]:
        return list(json.loads(self._file.read_text())) if self._file.exists() else []

    def _record(self, service: Json, *, removed: bool = False) -> None:
        metadata = {name: service["metadata"][name] for name in ("namespace", "name", "uid")}
        others = [item for item in self._recorded() if item["uid"] != metadata["uid"]]
        self._file.write_text(json.dumps(others if removed else [*others, metadata]))

    def _reconcile(self, upstream: Upstream, service: Json) -> None:
        meta = service["metadata"]
        ours = FINALIZER in (meta.get("finalizers") or ())
        if "deletionTimestamp" in meta or service["spec"].get("type") != "LoadBalancer":
            if ours:
                self._load_balancers.remove(self._spec(service))
                self._applied.pop(meta["uid"], None)
                self._record(service, removed=True)
                remove_finalizer(upstream, service)
            return
        if not ours and not self._needs_address(service):
            return
        spec = self._spec(service)
        if ours and self._applied.get(meta["uid"]) == spec:
            return
        path = _path(service)
        if not ours:
            finalizers = [*(meta.get("finalizers") or ()), FINALIZER]
            _set_finalizers(upstream, service, finalizers)
        self._record(service)
        hostname = self._load_balancers.ensure(spec)
        status = {"status": {"loadBalancer": {"ingress": [{"hostname": hostname}]}}}
        upstream.request("PATCH", f"{path}/status", status, _MERGE)
        self._applied[meta["uid"]] = spec

    def _needs_address(self, service: Json) -> bool:
        selected = service["spec"].get("loadBalancerClass")
        if selected:
            return bool(selected == _AUTO_MODE_CLASS)
        status = (service.get("status") or {}).get("loadBalancer") or {}
        created = datetime.fromisoformat(service["metadata"]["creationTimestamp"])
        age = (datetime.now(UTC) - created).total_seconds()
        return not status.get("ingress") and age >= self._patience

    def _spec(self, service: Json) -> LoadBalancerSpec:
        named = {**service, "kind": "Service"}  # the items of a list have no kind
        return service_load_balancer(self.facts, named, {})


def services_in(upstream: Upstream, namespaces: Iterable[str]) -> Iterator[Json]:
    """Yield the Services of namespaces. Raises StatusError, UpstreamError."""
    for namespace in namespaces:
        yield from upstream.request("GET", f"/api/v1/namespaces/{namespace}/services")["items"]


def all_services(upstream: Upstream) -> list[Json]:
    """Return the Services of all namespaces. Raises StatusError, UpstreamError."""
    return list(upstream.request("GET", "/api/v1/services")["items"])


def remove_finalizer(upstream: Upstream, service: Json) -> None:
    """Let the API server delete a Service."""
    finalizers = service["metadata"].get("finalizers") or ()
    _set_finalizers(upstream, service, [item for item in finalizers if item != FINALIZER])


def _set_finalizers(upstream: Upstream, service: Json, finalizers: list[str]) -> None:
    metadata = {
        "finalizers": finalizers,
        "resourceVersion": service["metadata"]["resourceVersion"],
    }
    upstream.request("PATCH", _path(service), {"metadata": metadata}, _MERGE)


def _path(service: Json) -> str:
    meta = service["metadata"]
    return f"/api/v1/namespaces/{meta['namespace']}/services/{meta['name']}"
