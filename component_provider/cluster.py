"""Cluster with flat arguments."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NotRequired, TypedDict, cast

import pulumi

from component_provider.subnets import Subnets, elements
from components import cluster


class ClusterArgs(TypedDict):
    """Arguments of Cluster."""

    prefix: str
    """Prefix of physical names; the cluster is called `<prefix>-<name>`."""
    vpc_id: pulumi.Input[str]
    """ID of the VPC."""
    vpc_cidr: str
    """IPv4 network of the VPC."""
    private_subnet_ids: pulumi.Input[list[str]]
    """Private subnets, one per zone."""
    public_subnet_ids: pulumi.Input[list[str]]
    """Public subnets, one per zone."""
    zones: int
    """Number of zones, which is planned before the subnets exist."""
    version: str
    """Kubernetes minor version, such as `1.35`."""
    service_cidr: str
    """IPv4 network of Kubernetes Services, outside the VPC."""
    allowed_cidrs: NotRequired[list[str]]
    """Networks that may reach the public endpoint; empty for a private endpoint only."""
    architecture: NotRequired[str]
    """CPU architecture of the nodes: `amd64` or `arm64`."""
    instance_types: NotRequired[list[str]]
    """Types of managed nodes; empty for EKS Auto Mode."""
    minimum_nodes: NotRequired[int]
    """Minimum number of managed nodes."""
    maximum_nodes: NotRequired[int]
    """Maximum number of managed nodes."""
    deployers: NotRequired[list[str]]
    """ARNs of existing roles with cluster admin access."""
    log_days: int
    """Retention of the control-plane logs in days."""
    protected: NotRequired[bool]
    """Refuse deletion."""


@dataclass(frozen=True, kw_only=True)
class _Endpoint:
    public: bool
    allowed_cidrs: Sequence[str]
    proxy_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Nodes:
    instance_types: Sequence[str]
    minimum: int
    maximum: int
    capacity: Literal["spot", "on-demand"] = "on-demand"
    disk_gib: int = 30
    release_version: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Addons:
    vpc_cni: str | None = None
    kube_proxy: str | None = None
    pod_identity_agent: str | None = None
    coredns: str | None = None
    metrics_server: str | None = None


@dataclass(frozen=True, kw_only=True)
class _ClusterSettings:
    version: str
    service_cidr: str
    endpoint: _Endpoint
    auto_mode: bool
    nodes: _Nodes
    deployers: Sequence[str]
    log_days: int
    addons: _Addons = _Addons()
    viewers: Sequence[str] = ()
    break_glass: Sequence[str] = ()


class Cluster(pulumi.ComponentResource):
    """EKS cluster with API authentication, encrypted secrets and control-plane logs."""

    cluster_name: pulumi.Output[str]
    """Name in EKS."""
    cluster_arn: pulumi.Output[str]
    """ARN in EKS."""
    kubeconfig: pulumi.Output[str]
    """Kubeconfig as JSON, secret."""
    security_group_id: pulumi.Output[str]
    """Security group of control plane and nodes."""

    def __init__(
        self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("platform:index:Cluster", name, {}, opts)
        zones, instance_types = int(args["zones"]), args.get("instance_types") or []
        allowed_cidrs = args.get("allowed_cidrs") or []
        architecture = cast(Literal["amd64", "arm64"], args.get("architecture", "amd64"))
        settings = _ClusterSettings(
            version=args["version"],
            service_cidr=args["service_cidr"],
            endpoint=_Endpoint(public=bool(allowed_cidrs), allowed_cidrs=allowed_cidrs),
            auto_mode=not instance_types,
            nodes=_Nodes(
                instance_types=instance_types,
                minimum=int(args.get("minimum_nodes", zones)),
                maximum=int(args.get("maximum_nodes", 2 * zones)),
            ),
            deployers=args.get("deployers") or [],
            log_days=int(args["log_days"]),
        )
        inner = cluster.Cluster(
            name,
            cluster.ClusterArgs(
                prefix=args["prefix"],
                protected=args.get("protected", False),
                settings=settings,
                versions=cluster.look_up_versions(
                    name,
                    settings=settings,
                    architecture=architecture,
                    role_arn=None,
                    opts=pulumi.InvokeOptions(parent=self),
                ),
                network=Subnets(
                    vpc_id=args["vpc_id"],
                    cidr=args["vpc_cidr"],
                    private_subnet_ids=elements(args["private_subnet_ids"], zones),
                    public_subnet_ids=elements(args["public_subnet_ids"], zones),
                ),
                architecture=architecture,
                assume_role_arn=None,
                tags={},
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.cluster_name, self.cluster_arn = inner.cluster_name, inner.cluster_arn
        self.kubeconfig, self.security_group_id = inner.kubeconfig, inner.security_group_id
        self.register_outputs({"clusterName": self.cluster_name})
