"""All emulated clusters of an account behind one TLS port: what the account's EKS starts and stops."""

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
from sandbox.kubernetes.ports import Hooks
from sandbox.runtime import ports


class Fleet:
    """Implements `ClusterHost`: clusters with their objects on disk, in `directory`, on one loopback port.

    The port is taken at construction and remembered in `directory`, so that kubeconfigs stay valid over restarts; a
    port that somebody else has meanwhile is a PortTakenError, unless no cluster names it. `start` brings the clusters back; `reconcile` then drops
    those that the account no longer knows.
    """

    def __init__(self, directory: Path, principals: PrincipalLookup, hooks: Hooks | None = None) -> None:
        self._directory, self._principals, self.hooks = directory, principals, hooks or Hooks()
        self._lock = threading.RLock()
        self._clusters: dict[str, Cluster] = {}
        directory.mkdir(parents=True, exist_ok=True)
        self.ca_pem, certificate, key = certificates.ensure(directory / "tls")
        memory, tls = directory / "port", server_tls(str(certificate), str(key))
        port = ports.read_port(memory)
        try:
            self._server = Server(port, tls, self._clusters.get)
        except OSError:
            if any(directory.glob("clusters/*/facts.json")):
                raise ports.PortTakenError(port, "the clusters' endpoints") from None
            self._server = ports.bind_free_port(lambda another: Server(another, tls, self._clusters.get))
        self.port = int(self._server.server_address[1])
        memory.write_text(str(self.port))

    def start(self) -> str:
        """Bring back the clusters, begin to serve, and return the base URL below which each cluster has a path."""
        for entry in sorted(self._directory.glob("clusters/*/facts.json")):
            self._open(_read_facts(entry))
        self._server.serve()
        return f"https://127.0.0.1:{self.port}"

    def create(self, cluster: ClusterFacts) -> ClusterEndpoint:
        """Start (or find) a cluster; new facts take effect, its objects stay."""
        with self._lock:
            self._open(cluster)
            return ClusterEndpoint(url=f"https://127.0.0.1:{self.port}/{_key(cluster.arn)}", ca_pem=self.ca_pem)

    def delete(self, arn: str) -> None:
        """Stop a cluster and forget its objects."""
        with self._lock:
            cluster = self._clusters.pop(_key(arn), None)
            if cluster is not None:
                cluster.close()
            shutil.rmtree(self._place(arn), ignore_errors=True)

    def set_nodes(self, arn: str, group: str, nodes: Sequence[NodeFacts]) -> None:
        """Make `nodes` the only nodes of a node group; the pods of nodes that go are made elsewhere."""
        with self._lock:
            cluster = self._clusters.get(_key(arn))
        if cluster is not None:
            cluster.controllers.set_nodes(group, nodes)

    def reconcile(self, clusters: Sequence[ClusterFacts]) -> None:
        """Keep exactly these clusters."""
        with self._lock:
            wanted = {_key(cluster.arn) for cluster in clusters}
            for key, cluster in list(self._clusters.items()):
                if key not in wanted:
                    self.delete(cluster.facts.arn)
            for facts in clusters:
                self._open(facts)

    def cluster(self, arn: str) -> Cluster | None:
        """Return a running cluster."""
        return self._clusters.get(_key(arn))

    def stop(self) -> None:
        """Stop serving; everything is on disk already."""
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            for cluster in self._clusters.values():
                cluster.close()
            self._clusters.clear()

    def _place(self, arn: str) -> Path:
        return self._directory / "clusters" / _key(arn)

    def _open(self, facts: ClusterFacts) -> None:
        key = _key(facts.arn)
        running = self._clusters.get(key)
        if running is not None and running.facts == facts:
            return
        place = self._place(facts.arn)
        if running is not None:
            running.configure(facts)
        else:
            # Loaded before anything is written: a version without a schema leaves nothing behind.
            schema.load(facts.version)
            place.mkdir(parents=True, exist_ok=True)
            self._clusters[key] = Cluster(facts, place, self._principals, self.hooks)
        (place / "facts.json").write_text(json.dumps(asdict(facts)))


def _key(arn: str) -> str:
    """Return a cluster's path prefix, in the shape of EKS's endpoint names."""
    return sha256(arn.encode()).hexdigest()[:32].upper()


def _read_facts(path: Path) -> ClusterFacts:
    content = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(path.read_text()).items()}
    restored: dict[str, Any] = content
    return ClusterFacts(**restored)
