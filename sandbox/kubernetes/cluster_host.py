"""All emulated clusters of an account behind one TLS port."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from sandbox.contracts.cluster_host import ClusterEndpoint, ClusterFacts, NodeFacts, PrincipalLookup
from sandbox.kubernetes.apimachinery import schema
from sandbox.kubernetes.apiserver import certificates
from sandbox.kubernetes.apiserver.http_server import Server, server_tls
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.ports import ExternalServices
from sandbox.runtime import ports


class KubernetesClusterHost:
    """Implements `ClusterHost`: clusters on one loopback port, with their objects in `directory`.

    The port is bound at construction and remembered in `directory`, so kubeconfigs stay valid after
    a restart. If it is in use and a cluster's endpoint names it, PortTakenError is raised. `start`
    restores the clusters; `reconcile` then deletes those that the account no longer has.
    """

    def __init__(
        self, directory: Path, principals: PrincipalLookup, external: ExternalServices | None = None
    ) -> None:
        self._directory, self._principals, self.external = (
            directory,
            principals,
            external or ExternalServices(),
        )
        self._lock = threading.RLock()
        self._clusters: dict[str, Cluster] = {}
        directory.mkdir(parents=True, exist_ok=True)
        self.ca_pem, certificate, key = certificates.ensure(directory / "tls")
        port_file, tls = directory / "port", server_tls(str(certificate), str(key))
        port = ports.read_port(port_file)
        try:
            self._server = Server(port, tls, self._clusters.get)
        except OSError:
            if any(directory.glob("clusters/*/facts.json")):
                raise ports.PortTakenError(port, "the clusters' endpoints") from None
            self._server = ports.bind_free_port(
                lambda free_port: Server(free_port, tls, self._clusters.get)
            )
        self.port = int(self._server.server_address[1])
        port_file.write_text(str(self.port))

    def start(self) -> str:
        """Restore the clusters and serve them; return the base URL of their paths."""
        for entry in sorted(self._directory.glob("clusters/*/facts.json")):
            self._open(_read_facts(entry))
        self._server.serve()
        return f"https://127.0.0.1:{self.port}"

    def create(self, cluster: ClusterFacts) -> ClusterEndpoint:
        """Start a cluster or reconfigure a running one; its objects stay."""
        with self._lock:
            self._open(cluster)
            return ClusterEndpoint(
                url=f"https://127.0.0.1:{self.port}/{_key(cluster.arn)}", ca_pem=self.ca_pem
            )

    def delete(self, arn: str) -> None:
        """Stop a cluster and delete its objects."""
        with self._lock:
            cluster = self._clusters.pop(_key(arn), None)
            if cluster is not None:
                cluster.close()
            shutil.rmtree(self._cluster_directory(arn), ignore_errors=True)

    def set_nodes(self, arn: str, group: str, nodes: Sequence[NodeFacts]) -> None:
        """Make `nodes` the only nodes of a group; pods of removed nodes are deleted."""
        with self._lock:
            cluster = self._clusters.get(_key(arn))
        if cluster is not None:
            cluster.controllers.set_nodes(group, nodes)

    def reconcile(self, clusters: Sequence[ClusterFacts]) -> None:
        """Delete all other clusters and start or reconfigure these."""
        with self._lock:
            keys = {_key(cluster.arn) for cluster in clusters}
            for key, cluster in list(self._clusters.items()):
                if key not in keys:
                    self.delete(cluster.facts.arn)
            for facts in clusters:
                self._open(facts)

    def cluster(self, arn: str) -> Cluster | None:
        """Return a running cluster."""
        return self._clusters.get(_key(arn))

    def stop(self) -> None:
        """Stop serving; objects are already on disk."""
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            for cluster in self._clusters.values():
                cluster.close()
            self._clusters.clear()

    def _cluster_directory(self, arn: str) -> Path:
        return self._directory / "clusters" / _key(arn)

    def _open(self, facts: ClusterFacts) -> None:
        key = _key(facts.arn)
        running = self._clusters.get(key)
        if running is not None and running.facts == facts:
            return
        directory = self._cluster_directory(facts.arn)
        if running is not None:
            running.configure(facts)
        else:
            # Loaded before anything is written, so that a version without a schema leaves no files.
            schema.load(facts.version)
            directory.mkdir(parents=True, exist_ok=True)
            self._clusters[key] = Cluster(facts, directory, self._principals, self.external)
        (directory / "facts.json").write_text(json.dumps(asdict(facts)))


def _key(arn: str) -> str:
    """Return a cluster's path prefix, in the form of EKS's endpoint names."""
    return sha256(arn.encode()).hexdigest()[:32].upper()


def _read_facts(path: Path) -> ClusterFacts:
    fields: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(path.read_text()).items()
    }
    return ClusterFacts(**fields)
