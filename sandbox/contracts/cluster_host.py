"""The contract between the emulated AWS account and whatever runs Kubernetes for its EKS clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, kw_only=True)
class ClusterFacts:
    """What an EKS cluster's API server has to know about its cluster.

    `version` is a Kubernetes minor version ("1.33"), `service_cidr` the Kubernetes service network in CIDR
    notation, `public_access_cidrs` who may use the public endpoint (empty when it is closed).
    """

    arn: str
    name: str
    region: str
    version: str
    auto_mode: bool = False
    public_access: bool = True
    private_access: bool = False
    public_access_cidrs: tuple[str, ...] = ()
    service_cidr: str = "10.100.0.0/16"
    oidc_issuer: str = ""
    addons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ClusterEndpoint:
    """Where a cluster's API server listens, and the PEM certificate authority that its certificate chains to."""

    url: str
    ca_pem: str


@dataclass(frozen=True, kw_only=True)
class Taint:
    """A node taint in Kubernetes' spelling of the effect ("NoSchedule", not EKS's "NO_SCHEDULE")."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """One worker node: `architecture` is Kubernetes' name (amd64, arm64), `capacity_type` is ON_DEMAND or SPOT."""

    name: str
    instance_id: str
    instance_type: str
    architecture: str
    zone: str
    capacity_type: str
    version: str
    private_ip: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()


class ClusterHost(Protocol):
    """Runs the Kubernetes side of EKS clusters; every method may be called from any thread, and may be repeated."""

    def create(self, cluster: ClusterFacts) -> ClusterEndpoint:
        """Start (or find) the cluster's API server. Called again with new facts when its configuration changes."""
        ...

    def delete(self, arn: str) -> None:
        """Stop the cluster and forget its objects. An unknown ARN is no error."""
        ...

    def set_nodes(self, arn: str, group: str, nodes: Sequence[NodeFacts]) -> None:
        """Make `nodes` the only nodes of a node group; an empty sequence removes the group."""
        ...

    def reconcile(self, clusters: Sequence[ClusterFacts]) -> None:
        """After a restart: keep exactly these clusters with their objects, drop all others."""
        ...


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One reason why a principal may use a cluster: an EKS access policy, or Kubernetes groups of an access entry.

    `namespaces` is None when the grant covers the whole cluster. `username` is the Kubernetes user name of the entry.
    """

    username: str
    policy_arn: str | None = None
    groups: tuple[str, ...] = ()
    namespaces: tuple[str, ...] | None = None


class UnknownPrincipalError(Exception):
    """A presigned STS request that the account refuses; the text says why."""


@runtime_checkable
class PrincipalLookup(Protocol):
    """Who a Kubernetes token belongs to and what that principal may do; implemented by the account."""

    def identity(self, presigned_sts_url: str, *, cluster_name: str) -> str:
        """Return the IAM principal ARN (role ARNs without a session) behind a presigned GetCallerIdentity URL.

        Raises UnknownPrincipalError for anything but a fresh STS GetCallerIdentity URL that was signed for this cluster.
        """
        ...

    def grants(self, cluster_arn: str, principal_arn: str) -> list[Grant]:
        """Return what the cluster's access entries give the principal; an empty list when there is no entry."""
        ...
