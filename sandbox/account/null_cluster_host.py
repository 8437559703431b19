"""A ClusterHost without Kubernetes: gives endpoints and a real certificate authority, and remembers what it was told."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sandbox.contracts.cluster_host import ClusterEndpoint, ClusterFacts, NodeFacts


class NullClusterHost:
    """For an account that runs alone: nothing listens at the endpoints that it gives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clusters: dict[str, ClusterFacts] = {}
        self.nodes: dict[tuple[str, str], tuple[NodeFacts, ...]] = {}
        self.calls: list[str] = []
        self._ca_pem = ""

    def create(self, cluster: ClusterFacts) -> ClusterEndpoint:
        """Remember the cluster and give it an address of its own, where nothing answers."""
        with self._lock:
            self.calls.append(f"create {cluster.name}")
            self.clusters[cluster.arn] = cluster
            self._ca_pem = self._ca_pem or _authority()
            return ClusterEndpoint(
                url=f"https://127.0.0.1:1/{cluster.region}/{cluster.name}", ca_pem=self._ca_pem
            )

    def delete(self, arn: str) -> None:
        """Forget the cluster and its nodes."""
        with self._lock:
            self.calls.append(f"delete {arn.rpartition('/')[2]}")
            self.clusters.pop(arn, None)
            self.nodes = {key: nodes for key, nodes in self.nodes.items() if key[0] != arn}

    def set_nodes(self, arn: str, group: str, nodes: Sequence[NodeFacts]) -> None:
        """Remember a node group's nodes."""
        with self._lock:
            self.nodes[arn, group] = tuple(nodes)
            if not nodes:
                del self.nodes[arn, group]

    def reconcile(self, clusters: Sequence[ClusterFacts]) -> None:
        """Keep exactly these clusters."""
        with self._lock:
            self.calls.append(f"reconcile {len(clusters)}")
            self.clusters = {cluster.arn: cluster for cluster in clusters}


def _authority() -> str:
    """Return a fresh self-signed certificate authority as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
