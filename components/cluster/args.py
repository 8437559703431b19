"""Arguments of the cluster component."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import pulumi

Architecture = Literal["amd64", "arm64"]


class EndpointSettings(Protocol):
    """Section `cluster.endpoint`: access to the Kubernetes API."""

    @property
    def public(self) -> bool:
        """Whether the API server has a public endpoint. The private endpoint always exists."""

    @property
    def allowed_cidrs(self) -> Sequence[str]:
        """Networks that may reach the public endpoint."""

    @property
    def proxy_url(self) -> str | None:
        """HTTP proxy to the private endpoint; written to the kubeconfig."""


class NodeSettings(Protocol):
    """Section `cluster.nodes`: managed node groups, one per zone."""

    @property
    def instance_types(self) -> Sequence[str]:
        """Interchangeable types, in order of preference."""

    @property
    def capacity(self) -> Literal["spot", "on-demand"]:
        """Purchase option."""

    @property
    def minimum(self) -> int:
        """Minimum number of nodes in all zones together."""

    @property
    def maximum(self) -> int:
        """Maximum number of nodes in all zones together; every zone may have at least one."""

    @property
    def disk_gib(self) -> int:
        """Root volume in GiB."""

    @property
    def release_version(self) -> str | None:
        """AMI release version; None looks the recommended one up once."""


class AddonSettings(Protocol):
    """Section `cluster.addons`; None looks the default version up once."""

    @property
    def vpc_cni(self) -> str | None:
        """Version of the VPC CNI."""

    @property
    def kube_proxy(self) -> str | None:
        """Version of kube-proxy."""

    @property
    def pod_identity_agent(self) -> str | None:
        """Version of the Pod Identity agent."""

    @property
    def coredns(self) -> str | None:
        """Version of CoreDNS."""

    @property
    def metrics_server(self) -> str | None:
        """Version of metrics-server."""


class ClusterSettings(Protocol):
    """Section `cluster` of the stack file."""

    @property
    def version(self) -> str:
        """Kubernetes minor version, such as `1.35`."""

    @property
    def service_cidr(self) -> str:
        """IPv4 network of Kubernetes Services; must not overlap the VPC."""

    @property
    def endpoint(self) -> EndpointSettings:
        """Access to the Kubernetes API."""

    @property
    def auto_mode(self) -> bool:
        """Whether EKS Auto Mode provides compute instead of managed node groups."""

    @property
    def nodes(self) -> NodeSettings:
        """Managed node groups; ignored under Auto Mode."""

    @property
    def addons(self) -> AddonSettings:
        """Add-on versions."""

    @property
    def deployers(self) -> Sequence[str]:
        """ARNs of existing roles that run this program, in addition to the cluster's creator."""

    @property
    def viewers(self) -> Sequence[str]:
        """ARNs of existing roles that may read objects, except Secrets."""

    @property
    def break_glass(self) -> Sequence[str]:
        """ARNs of existing emergency admin roles; alarm on their use."""

    @property
    def log_days(self) -> int:
        """Retention of the control-plane logs in days."""


class ClusterNetwork(Protocol):
    """Outputs of the network component that a cluster needs."""

    @property
    def vpc_id(self) -> pulumi.Input[str]:
        """ID of the VPC."""

    @property
    def cidr(self) -> str:
        """IPv4 network of the VPC."""

    @property
    def private_subnet_ids(self) -> Sequence[pulumi.Input[str]]:
        """Private subnets, one per zone."""

    @property
    def public_subnet_ids(self) -> Sequence[pulumi.Input[str]]:
        """Public subnets, one per zone."""

    @property
    def egress(self) -> Sequence[pulumi.Resource]:
        """Routes and NAT gateways; only compute depends on them."""


@dataclass(frozen=True, kw_only=True)
class OfferedAddon:
    """An add-on's version in the stack file, which EKS offers, and its default version."""

    pinned: str | None
    """None stores the default version when it is first looked up."""
    default: str
    versions: tuple[str, ...]
    """All that EKS offers for the Kubernetes version."""


@dataclass(frozen=True, kw_only=True)
class OfferedRelease:
    """The AMI release in the stack file, which exists, or the recommended one."""

    pinned: str | None
    """None stores the recommended release when it is first looked up."""
    recommended: str
    """Empty if a release is pinned."""


@dataclass(frozen=True, kw_only=True)
class OfferedClusterVersions:
    """Versions that exist in this account and region; `look_up_versions` returns them."""

    addons: Mapping[str, OfferedAddon]
    """By the name of the add-on."""
    node_release: OfferedRelease | None
    """None under Auto Mode."""


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """Arguments of `Cluster`."""

    prefix: str
    """Prefix of physical names; the cluster is called `<prefix>-<name>`."""
    protected: bool
    """Refuse deletion in Pulumi and in EKS."""
    settings: ClusterSettings
    versions: OfferedClusterVersions
    """Versions that AWS offers, from `look_up_versions`."""
    network: ClusterNetwork
    architecture: Architecture
    """CPU architecture of the nodes."""
    assume_role_arn: str | None
    """Role that the kubeconfig's token command assumes; None for the caller's identity."""
    tags: Mapping[str, str]
    """Tags of resources that the AWS provider's default tags do not reach."""
