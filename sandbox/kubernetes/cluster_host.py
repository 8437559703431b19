"""All clusters of an account, emulated or with another API server, each on its own TLS port."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from sandbox.contracts.cluster_host import ClusterEndpoint, ClusterFacts, NodeFacts, PrincipalLookup
from sandbox.kubernetes.apimachinery import schema
from sandbox.kubernetes.apiserver import certificates
from sandbox.kubernetes.apiserver.http_server import ApiHandler, Server, server_tls
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.ports import ExternalServices
from sandbox.kubernetes.storage.object_store import ObjectStore
from sandbox.kubernetes.upstream.cluster import UpstreamCluster, continue_deletion
from sandbox.kubernetes.upstream.forwarding import ForwardingHandler
from sandbox.runtime import cluster_backends, ports
from sandbox.runtime.cluster_backends import cluster_key
from sandbox.runtime.damage import KEEP_READABLE, DamagedFileError


class KubernetesClusterHost:
    """Implements `ClusterHost`: clusters on loopback with their objects in `directory`.

    Each cluster keeps its port, so kubeconfigs stay valid after a restart. Known ports are bound at
    construction, which raises PortTakenError if one is in use. `start` restores the clusters;
    `reconcile` then deletes those that the account no longer has.
    """

    def __init__(
        self, directory: Path, principals: PrincipalLookup, external: ExternalServices | None = None
    ) -> None:
        self._directory, self._principals = directory, principals
        self.external = external or ExternalServices()
        self._lock = threading.RLock()
        self._clusters: dict[str, Cluster | UpstreamCluster] = {}
        self._servers: dict[str, Server] = {}
        directory.mkdir(parents=True, exist_ok=True)
        self._created: set[str] = set()
        self._refuse_missing_files()
        self.ca_pem, certificate, key = certificates.ensure(directory / "tls")
        self._tls = server_tls(str(certificate), str(key))
        try:
            for path in self._facts_files():
                self._bind(path.parent.name)
        except ports.PortTakenError:
            self.stop()
            raise

    def start(self) -> str:
        """Restore the clusters and serve them; return a description of their endpoints."""
        for path in self._facts_files():
            self._open(_read_facts(path))
        self._created.clear()
        for path in self._directory.glob(f"clusters/*/{cluster_backends.DELETING}"):
            threading.Thread(target=continue_deletion, args=(path.parent,), daemon=True).start()
        return "https://127.0.0.1, one port per cluster"

    def create(self, cluster: ClusterFacts) -> ClusterEndpoint:
        """Start a cluster or reconfigure a running one; its objects stay."""
        with self._lock:
            self._open(cluster)
            port = self._servers[cluster_key(cluster.arn)].server_port
            return ClusterEndpoint(url=f"https://127.0.0.1:{port}", ca_pem=self.ca_pem)

    def delete(self, arn: str) -> None:
        """Stop a cluster and delete its objects; another API server deletes them afterwards."""
        with self._lock:
            key = cluster_key(arn)
            if (server := self._servers.pop(key, None)) is not None:
                server.stop()
            cluster = self._clusters.pop(key, None)
            if isinstance(cluster, UpstreamCluster):
                cluster.delete()
                return
            if cluster is not None:
                cluster.close()
            if self.external.service_proxy is not None:
                self.external.service_proxy.set_services(arn, ())
            shutil.rmtree(self._cluster_directory(key), ignore_errors=True)

    def set_nodes(self, arn: str, group: str, nodes: Sequence[NodeFacts]) -> None:
        """Make `nodes` the only nodes of a group; pods of removed nodes are deleted."""
        with self._lock:
            cluster = self._clusters.get(cluster_key(arn))
        if cluster is not None:
            cluster.set_nodes(group, nodes)

    def reconcile(self, clusters: Sequence[ClusterFacts]) -> None:
        """Delete all other clusters and start or reconfigure these."""
        with self._lock:
            keys = {cluster_key(cluster.arn) for cluster in clusters}
            for key, cluster in list(self._clusters.items()):
                if key not in keys:
                    self.delete(cluster.facts.arn)
            for facts in clusters:
                self._open(facts)

    def cluster(self, arn: str) -> Cluster | None:
        """Return a running emulated cluster."""
        cluster = self._clusters.get(cluster_key(arn))
        return cluster if isinstance(cluster, Cluster) else None

    def stop(self, *, keep_pods: bool = False) -> None:
        """Stop serving, and the pods unless `keep_pods`; objects are already on disk."""
        for server in self._servers.values():
            server.stop()
        self._servers.clear()
        with self._lock:
            for cluster in self._clusters.values():
                cluster.close(keep_pods=keep_pods)
            self._clusters.clear()

    def recreated(self) -> list[str]:
        """Return the names of clusters whose files were lost and that `reconcile` started empty."""
        return [item.facts.name for key, item in self._clusters.items() if key in self._created]

    def _refuse_missing_files(self) -> None:
        """Raise DamagedFileError if existing clusters lack files that a start would create."""
        authority = self._directory / "tls"
        for facts in self._facts_files():
            for path in (authority / "server.pem", authority / "server.key", authority / "ca.pem"):
                if not path.is_file():
                    raise DamagedFileError(path, "it is missing, and clusters use it")
            database, port = facts.with_name("objects.sqlite"), facts.with_name("port")
            emulated = cluster_backends.of_cluster(facts.parent) is None
            if emulated and not (database.is_file() and database.stat().st_size):
                raise DamagedFileError(database, "it is missing or empty", KEEP_READABLE)
            if not port.is_file() or not port.read_text().isdigit():
                raise DamagedFileError(port, "the port of the cluster's endpoint is expected")

    def _facts_files(self) -> list[Path]:
        return sorted(self._directory.glob("clusters/*/facts.json"))

    def _cluster_directory(self, key: str) -> Path:
        return self._directory / "clusters" / key

    def _open(self, facts: ClusterFacts) -> None:
        key = cluster_key(facts.arn)
        running = self._clusters.get(key)
        if running is not None and running.facts == facts:
            return
        directory = self._cluster_directory(key)
        if running is not None:
            running.configure(facts)
        else:
            # Loaded before anything is written, so that an unknown version leaves no files.
            schema.load(facts.version)
            directory.mkdir(parents=True, exist_ok=True)
            if key not in self._servers:
                self._bind(key)
            backend = cluster_backends.of_cluster(directory)
            self._clusters[key] = (
                Cluster(facts, directory, self._principals, self.external)
                if backend is None
                else UpstreamCluster(facts, directory, backend, self._principals, self.external)
            )
            self._created.add(key)
            self._servers[key].serve()
        (directory / "facts.json").write_text(json.dumps(asdict(facts)))

    def _bind(self, key: str) -> None:
        """Bind the cluster's port: the stored one, or a free one for a new cluster."""
        directory = self._cluster_directory(key)
        port_file = directory / "port"
        port = ports.read_port(port_file)
        emulated = cluster_backends.of_cluster(directory) is None
        bind = partial(
            Server,
            tls=self._tls,
            find=partial(self._clusters.get, key),
            handler=ApiHandler if emulated else ForwardingHandler,
        )
        try:
            server = bind(port)
        except OSError:
            if port_file.exists():
                raise ports.PortTakenError(port, "the clusters' endpoints") from None
            server = ports.bind_free_port(bind)
        port_file.write_text(str(server.server_port))
        self._servers[key] = server


def _read_facts(path: Path) -> ClusterFacts:
    try:
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v
            for k, v in json.loads(path.read_text()).items()
        }
        return ClusterFacts(**fields)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DamagedFileError(path, error, KEEP_READABLE) from error


def repair(directory: Path) -> list[Path]:
    """Replace unreadable databases of clusters by empty ones; return where they were moved.

    Unreadable facts are moved too: the account has their contents.
    """
    moved = []
    for facts in sorted(directory.glob("clusters/*/facts.json")):
        try:
            _read_facts(facts)
        except DamagedFileError:
            moved.append(facts.with_name(f"facts.damaged-{time.time_ns()}.json"))
            facts.rename(moved[-1])
        if cluster_backends.of_cluster(facts.parent) is not None:
            continue  # its objects are in another API server
        path = facts.with_name("objects.sqlite")
        with suppress(DamagedFileError):
            ObjectStore(path).close()  # creates a missing one
            continue
        moved.append(path.with_name(f"objects.damaged-{time.time_ns()}.sqlite"))
        path.rename(moved[-1])
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        ObjectStore(path).close()
    return moved
