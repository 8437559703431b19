"""Protocol between the account and the host of its EKS clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, kw_only=True)
class ClusterFacts:
    """The configuration of an EKS cluster that its API server needs.

    `version` is a Kubernetes minor version ("1.33"), `service_cidr` the service network,
    `public_access_cidrs` the clients of the public endpoint (empty when it is closed).
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
    """A cluster's API server URL, and its certificate authority in PEM."""

    url: str
    ca_pem: str


@dataclass(frozen=True, kw_only=True)
class Taint:
    """A node taint with Kubernetes' effect ("NoSchedule", not EKS's "NO_SCHEDULE")."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """A worker node: `architecture` is amd64 or arm64, `capacity_type` ON_DEMAND or SPOT."""

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
    """Runs the Kubernetes part of EKS clusters; methods are thread-safe and idempotent."""

    def create(self, cluster: ClusterFacts) -> ClusterEndpoint:
        """Start the cluster's API server, or reconfigure a running one."""
        ...

    def delete(self, arn: str) -> None:
        """Stop the cluster and delete its objects; an unknown ARN is ignored."""
        ...

    def set_nodes(self, arn: str, group: str, nodes: Sequence[NodeFacts]) -> None:
        """Make `nodes` the only nodes of a node group; an empty sequence removes the group."""
        ...

    def reconcile(self, clusters: Sequence[ClusterFacts]) -> None:
        """After a restart, restore exactly these clusters with their objects."""
        ...


@dataclass(frozen=True, kw_only=True)
class Grant:
    """An access policy or the Kubernetes groups that an access entry grants a principal.

    `namespaces` is None for the whole cluster; `username` is the entry's Kubernetes user name.
    """

    username: str
    policy_arn: str | None = None
    groups: tuple[str, ...] = ()
    namespaces: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class CallerIdentity:
    """An IAM principal (a role's ARN without session), and the session's name of a role."""

    principal: str
    session: str = ""


class UnknownPrincipalError(Exception):
    """The account refuses a presigned STS request, for the reason in the message."""


@runtime_checkable
class PrincipalLookup(Protocol):
    """Authenticates Kubernetes tokens and returns their grants; implemented by the account."""

    def identity(self, presigned_sts_url: str, *, cluster_name: str) -> CallerIdentity:
        """Return the caller of a presigned request.

        Raises UnknownPrincipalError unless the URL is a valid STS GetCallerIdentity URL that was
        signed for this cluster.
        """
        ...

    def grants(self, cluster_arn: str, principal_arn: str) -> list[Grant]:
        """Return the principal's grants by the cluster's access entries; empty without an entry."""
        ...
