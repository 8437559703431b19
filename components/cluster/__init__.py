"""Kubernetes on EKS: control plane, compute, add-ons in their order, and who may come in."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
import pulumi_kubernetes as k8s

from components.cluster.access import break_glass_entries, deployer_entries, refuse_missing
from components.cluster.addons import AddonVersions, after_nodes, before_nodes
from components.cluster.automatic import automatic_nodes
from components.cluster.nodes import Nodes, node_groups, node_role
from components.encryption import encryption_key, for_logs, log_group
from components.place import place_of

__all__ = ["AddonVersions", "Cluster", "ClusterArgs", "Nodes"]

ALL_CONTROL_PLANE_LOGS = ["api", "audit", "authenticator", "controllerManager", "scheduler"]


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """What a cluster needs to know."""

    prefix: str
    """Stage prefix of physical names; the cluster is called `<prefix>-<name>`."""
    version: str
    """Kubernetes version, such as `1.35`."""
    vpc_id: pulumi.Input[str]
    vpc_cidr: str
    """Where a private endpoint is reached from."""
    private_subnet_ids: Sequence[pulumi.Input[str]]
    public_subnet_ids: Sequence[pulumi.Input[str]]
    egress: Sequence[pulumi.Resource]
    """What compute, and only compute, waits for: routes and NAT."""
    public_endpoint: bool
    """Whether the API server answers from outside the VPC. From inside it always does."""
    allowed_cidrs: Sequence[str] = ()
    """Who may reach the public endpoint."""
    proxy_url: str | None = None
    """HTTP proxy through which the private endpoint is reached; goes into the kubeconfig."""
    service_cidr: str
    """IPv4 network of Kubernetes Services; must not overlap the VPC's."""
    nodes: Nodes
    """The managed nodes. Under Auto Mode, which chooses machines by what pods ask for, only the architecture counts."""
    auto_mode: bool = False
    """EKS Auto Mode instead of a managed node group."""
    addons: AddonVersions
    deployers: Sequence[str] = ()
    """ARNs of roles that run this program, beside the one that created the cluster. They must exist already."""
    break_glass: Sequence[str] = ()
    """ARNs of roles for the day when everything else fails: cluster administrators, to be alarmed on. They must exist."""
    assume_role_arn: str | None = None
    """Role that the kubeconfig's token command assumes; None for the caller's own identity."""
    log_days: int = 30
    """Days for which control-plane logs are kept."""
    protected: bool = False
    """Refuse deletion, in Pulumi and in EKS."""
    tags: Mapping[str, str] = field(default_factory=dict)


class Cluster(pulumi.ComponentResource):
    """Guarantees API authentication, secrets encrypted under a rotating key of its own, all control-plane logs in a group
    that goes away with it, and real edges: control plane → networking add-ons → compute → the other add-ons.

    The control plane waits for subnets, role, key and log group; compute alone waits for routes and NAT.
    Refuses to own workloads, namespaces and load-balancer controllers. pulumi-eks grants the creating principal cluster
    administration; it can't be switched off there (`bootstrapClusterCreatorAdminPermissions`), so the creator must not be
    listed again in `deployers`. Raises RunError for an administrator's role that this account doesn't have.
    """

    cluster_name: pulumi.Output[str]
    """Name in EKS."""
    cluster_arn: pulumi.Output[str]
    """ARN in EKS."""
    kubeconfig: pulumi.Output[str]
    """Kubeconfig as JSON, secret; names no profile, so that it works on any machine with AWS credentials."""
    security_group_id: pulumi.Output[str]
    """The group that EKS puts on control plane and nodes."""
    provider: k8s.Provider
    """Provider for what runs in the cluster; replaced only with the cluster."""
    load_balancer_class: str | None
    """Controller for Services of type LoadBalancer; None for the one that every EKS cluster has built in."""
    ingress_controller: str | None
    """Controller for Ingresses that the cluster has built in; None where its owner runs one."""
    control_plane: pulumi.Resource
    """The cluster itself: what in-cluster objects are deleted with."""
    compute: list[pulumi.Resource]
    """What must stand before a pod can run and reach a name, and must be deleted after it."""

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("platform:index:Cluster", name, {}, opts)
        self._name, self._args = name, args
        self.load_balancer_class = "eks.amazonaws.com/nlb" if args.auto_mode else None
        self.ingress_controller = "eks.amazonaws.com/alb" if args.auto_mode else None
        cluster_name = f"{args.prefix}-{name}"
        place = place_of(self)
        refuse_missing(name, [*args.deployers, *args.break_glass], self)  # before anything is made

        group_name = f"/aws/eks/{cluster_name}/cluster"
        key = encryption_key(
            name,
            place=place,
            purpose=f"Kubernetes secrets and control-plane logs of {cluster_name}",
            alias=cluster_name,
            protected=args.protected,
            parent=self,
            statements=[for_logs(place, group_name)],
        )
        logs = log_group(
            name, group_name=group_name, days=args.log_days, key=key, parent=self, protected=args.protected
        )
        control_plane = eks.Cluster(
            name,
            **self._control_plane_arguments(cluster_name, key),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logs], protect=args.protected),
        )
        self.control_plane = control_plane
        self.cluster_name = control_plane.eks_cluster.name
        self.cluster_arn = control_plane.eks_cluster.arn
        self.security_group_id = control_plane.eks_cluster.vpc_config.cluster_security_group_id
        self.kubeconfig = pulumi.Output.secret(self._kubeconfig(control_plane))
        self.provider = k8s.Provider(
            name,
            kubeconfig=self.kubeconfig,
            cluster_identifier=self.cluster_arn,
            enable_server_side_apply=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[] if args.public_endpoint else [self._way_in()]),
        )
        break_glass_entries(name, self.cluster_name, args.break_glass, place, self)

        if args.auto_mode:
            inside = pulumi.ResourceOptions(parent=self, provider=self.provider, deleted_with=control_plane)
            automatic = automatic_nodes(name, args.nodes.architecture, inside)
            nodes: list[pulumi.Resource] = [control_plane, *automatic, *args.egress]
        else:
            role, policies = node_role(name, place, self)
            networking = before_nodes(name, self.cluster_name, args.addons, place, self)
            ready = [control_plane, *networking, *policies, *args.egress]
            nodes = [*node_groups(name, args, control_plane, role, ready, self)]
        self.compute = [
            *nodes,
            *after_nodes(name, self.cluster_name, args.addons, nodes, self, auto_mode=args.auto_mode),
        ]
        self.register_outputs({"cluster_name": self.cluster_name})

    def _way_in(self) -> pulumi.Resource:
        """EKS lets only nodes reach a private endpoint: let in what else is in the VPC, this program or its proxy."""
        return aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-endpoint",
            security_group_id=self.security_group_id,
            description="The VPC to the private endpoint",
            cidr_ipv4=self._args.vpc_cidr,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _control_plane_arguments(self, cluster_name: str, key: aws.kms.Key) -> dict[str, Any]:
        args = self._args
        compute: dict[str, Any] = (
            {
                "auto_mode": eks.AutoModeOptionsArgs(enabled=True),
                # DNS, proxy and network run on Auto Mode's machines themselves
                # (https://docs.aws.amazon.com/eks/latest/userguide/eks-add-ons.html).
                "coredns_addon_options": eks.CoreDnsAddonOptionsArgs(enabled=False),
            }
            if args.auto_mode
            else {
                "skip_default_security_groups": True,
                "kube_proxy_addon_options": eks.KubeProxyAddonOptionsArgs(version=args.addons.kube_proxy),
                "vpc_cni_options": eks.VpcCniOptionsArgs(
                    addon_version=args.addons.vpc_cni, enable_network_policy=True, log_level="INFO"
                ),
            }
        )
        return {
            **compute,
            "name": cluster_name,
            "version": args.version,
            "authentication_mode": eks.AuthenticationMode.API,
            "access_entries": deployer_entries(args.deployers),
            "skip_default_node_group": True,
            "create_oidc_provider": False,  # pods get roles by Pod Identity; the provider would call AWS in previews
            "vpc_id": args.vpc_id,
            "private_subnet_ids": list(args.private_subnet_ids),
            "public_subnet_ids": list(args.public_subnet_ids),
            "endpoint_private_access": True,
            "endpoint_public_access": args.public_endpoint,
            "public_access_cidrs": list(args.allowed_cidrs) if args.public_endpoint else None,
            "proxy": args.proxy_url,
            "kubernetes_service_ip_address_range": args.service_cidr,
            "encryption_config_key_arn": key.arn,
            "enabled_cluster_log_types": ALL_CONTROL_PLANE_LOGS,
            "deletion_protection": args.protected,
            "upgrade_policy": {"support_type": "STANDARD"},
            "provider_credential_opts": {"role_arn": args.assume_role_arn} if args.assume_role_arn else None,
            "tags": dict(args.tags),
        }

    def _kubeconfig(self, control_plane: eks.Cluster) -> pulumi.Output[str]:
        """pulumi-eks's kubeconfig, with the proxy that kubectl and the provider must take where one is named."""
        if self._args.proxy_url is None:
            return control_plane.kubeconfig_json
        return pulumi.Output.all(control_plane.kubeconfig_json, self._args.proxy_url).apply(_through_proxy)


def _through_proxy(parts: Sequence[Any]) -> str:
    kubeconfig, proxy_url = json.loads(parts[0]), parts[1]
    for cluster in kubeconfig["clusters"]:
        cluster["cluster"]["proxy-url"] = proxy_url
    return json.dumps(kubeconfig)
