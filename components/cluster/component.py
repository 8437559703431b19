"""EKS cluster: control plane, compute, add-ons and access entries."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
import pulumi_kubernetes as k8s

from components.aws.context import aws_context
from components.aws.kms import encryption_key
from components.aws.log_groups import encrypt_log_group, is_leftover, log_group
from components.cluster.access_entries import (
    ADMIN_POLICY,
    VIEW_POLICY,
    access_entries,
    break_glass_entries,
)
from components.cluster.addons import addons_after_nodes, addons_before_nodes
from components.cluster.args import ClusterArgs
from components.cluster.auto_mode import auto_mode_objects
from components.cluster.node_groups import node_groups, node_role
from components.cluster.stored_versions import StoredVersions

__all__ = ["Cluster"]

# EKS requires two zones, and never changes those of a control plane
# (https://github.com/aws/containers-roadmap/issues/2258): a third one has nodes only.
CONTROL_PLANE_ZONES = 2
CONTROL_PLANE_LOGS = ["api", "audit", "authenticator", "controllerManager", "scheduler"]


class Cluster(pulumi.ComponentResource):
    """EKS cluster with API authentication, encrypted secrets and all control-plane logs.

    Dependencies: control plane → networking add-ons → compute → the other add-ons. The control
    plane depends on subnets, role, key and log group; only compute depends on routes and NAT.
    Does not own workloads, namespaces and load-balancer controllers.

    pulumi-eks grants the creating principal cluster administration and cannot switch it off
    (`bootstrapClusterCreatorAdminPermissions`), so the creator must not be one of the deployers.
    Raises RunError for stored versions that a new cluster cannot get; `look_up_versions` refuses
    pinned ones, and roles that do not exist, before.
    """

    cluster_name: pulumi.Output[str]
    """Name in EKS."""
    cluster_arn: pulumi.Output[str]
    """ARN in EKS."""
    service_cidr: str
    """IPv4 network of Kubernetes Services."""
    kubeconfig: pulumi.Output[str]
    """Kubeconfig as JSON, secret; names no profile, so it works with any AWS credentials."""
    security_group_id: pulumi.Output[str]
    """Security group that EKS attaches to control plane and nodes."""
    provider: k8s.Provider
    """Provider for objects in the cluster; replaced only with the cluster."""
    load_balancer_class: str | None
    """Class of Services of type LoadBalancer; None for the controller built into EKS."""
    ingress_controller: str | None
    """Built-in controller for Ingresses; None where the cluster's owner installs one."""
    control_plane: pulumi.Resource
    """The cluster itself; objects in the cluster are deleted with it."""
    compute: list[pulumi.Resource]
    """Resources that pods depend on to be scheduled and to resolve names."""

    def __init__(
        self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("platform:index:Cluster", name, {}, opts)
        settings, network = args.settings, args.network
        self.load_balancer_class = "eks.amazonaws.com/nlb" if settings.auto_mode else None
        self.ingress_controller = "eks.amazonaws.com/alb" if settings.auto_mode else None
        self.service_cidr = settings.service_cidr
        cluster_name = f"{args.prefix}-{name}"
        context = aws_context(self)
        exists = self._exists(cluster_name)
        versions = StoredVersions(
            name=name,
            prefix=args.prefix,
            kubernetes_version=settings.version,
            cluster_exists=exists,
            parent=self,
        )
        addon_versions = {
            addon: versions.addon(addon, offered) for addon, offered in args.versions.addons.items()
        }
        release_version: pulumi.Input[str] = ""
        if args.versions.node_release is not None:
            release_version = versions.node_release(args.architecture, args.versions.node_release)

        group_name = f"/aws/eks/{cluster_name}/cluster"
        key = encryption_key(
            name,
            context=context,
            purpose=f"Kubernetes secrets and control-plane logs of {cluster_name}",
            alias=cluster_name,
            protected=args.protected,
            parent=self,
            statements=[encrypt_log_group(context, group_name)],
        )
        logs = log_group(
            name,
            group_name=group_name,
            days=settings.log_days,
            key=key,
            parent=self,
            protected=args.protected,
            leftover=is_leftover(group_name, lambda: exists, self),
        )
        control_plane = eks.Cluster(
            name,
            **_control_plane_arguments(args, cluster_name, key, addon_versions),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logs], protect=args.protected),
        )
        self.control_plane = control_plane
        self.cluster_name = control_plane.eks_cluster.name
        self.cluster_arn = control_plane.eks_cluster.arn
        self.security_group_id = control_plane.eks_cluster.vpc_config.cluster_security_group_id
        self.kubeconfig = pulumi.Output.secret(
            _kubeconfig(control_plane, settings.endpoint.proxy_url)
        )
        endpoint_rules = (
            [] if settings.endpoint.public else [self._private_endpoint_rule(name, network.cidr)]
        )
        self.provider = k8s.Provider(
            name,
            kubeconfig=self.kubeconfig,
            cluster_identifier=self.cluster_arn,
            enable_server_side_apply=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=endpoint_rules),
        )
        break_glass_entries(name, self.cluster_name, settings.break_glass, context, self)

        if settings.auto_mode:
            in_cluster = pulumi.ResourceOptions(
                parent=self, provider=self.provider, deleted_with=control_plane
            )
            objects = auto_mode_objects(name, args.architecture, in_cluster)
            nodes: list[pulumi.Resource] = [control_plane, *objects, *network.egress]
        else:
            role, attachments = node_role(name, context, self)
            networking = addons_before_nodes(name, self.cluster_name, addon_versions, context, self)
            nodes = [
                *node_groups(
                    name,
                    control_plane=control_plane,
                    prefix=args.prefix,
                    version=settings.version,
                    nodes=settings.nodes,
                    release_version=release_version,
                    architecture=args.architecture,
                    subnet_ids=network.private_subnet_ids,
                    role=role,
                    tags=args.tags,
                    depends_on=[control_plane, *networking, *attachments, *network.egress],
                    parent=self,
                )
            ]
        addons = addons_after_nodes(name, self.cluster_name, addon_versions, nodes, self)
        self.compute = [*nodes, *addons]
        self.register_outputs({"cluster_name": self.cluster_name})

    def _exists(self, cluster_name: str) -> bool:
        clusters = aws.eks.get_clusters(opts=pulumi.InvokeOptions(parent=self))
        return cluster_name in clusters.names

    def _private_endpoint_rule(self, name: str, vpc_cidr: str) -> pulumi.Resource:
        """Admit the VPC to the private endpoint; EKS itself admits only nodes."""
        return aws.vpc.SecurityGroupIngressRule(
            f"{name}-endpoint",
            security_group_id=self.security_group_id,
            description="The VPC to the private endpoint",
            cidr_ipv4=vpc_cidr,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            opts=pulumi.ResourceOptions(parent=self),
        )


def _control_plane_arguments(
    args: ClusterArgs,
    cluster_name: str,
    key: aws.kms.Key,
    addon_versions: Mapping[str, pulumi.Input[str]],
) -> dict[str, Any]:
    settings, endpoint = args.settings, args.settings.endpoint
    # Auto Mode starts its nodes in the subnets of the control plane.
    zones = slice(None if settings.auto_mode else CONTROL_PLANE_ZONES)
    compute: dict[str, Any] = (
        {
            "auto_mode": eks.AutoModeOptionsArgs(enabled=True),
            # DNS, proxy and CNI run on Auto Mode's machines themselves
            # (https://docs.aws.amazon.com/eks/latest/userguide/eks-add-ons.html).
            "coredns_addon_options": eks.CoreDnsAddonOptionsArgs(enabled=False),
        }
        if settings.auto_mode
        else {
            "skip_default_security_groups": True,
            "kube_proxy_addon_options": eks.KubeProxyAddonOptionsArgs(
                version=addon_versions["kube-proxy"]
            ),
            "vpc_cni_options": eks.VpcCniOptionsArgs(
                addon_version=addon_versions["vpc-cni"],
                enable_network_policy=True,
                log_level="INFO",
            ),
        }
    )
    return {
        **compute,
        "name": cluster_name,
        "version": settings.version,
        "authentication_mode": eks.AuthenticationMode.API,
        "access_entries": {
            **access_entries(settings.deployers, "administrator", ADMIN_POLICY),
            **access_entries(settings.viewers, "viewer", VIEW_POLICY),
        },
        "skip_default_node_group": True,
        # Pods get roles through Pod Identity; the OIDC provider would call AWS in previews.
        "create_oidc_provider": False,
        "vpc_id": args.network.vpc_id,
        "private_subnet_ids": list(args.network.private_subnet_ids)[zones],
        "public_subnet_ids": list(args.network.public_subnet_ids)[zones],
        "endpoint_private_access": True,
        "endpoint_public_access": endpoint.public,
        "public_access_cidrs": list(endpoint.allowed_cidrs) if endpoint.public else None,
        "proxy": endpoint.proxy_url,
        "kubernetes_service_ip_address_range": settings.service_cidr,
        "encryption_config_key_arn": key.arn,
        "enabled_cluster_log_types": CONTROL_PLANE_LOGS,
        "deletion_protection": args.protected,
        "upgrade_policy": {"support_type": "STANDARD"},
        "provider_credential_opts": (
            {"role_arn": args.assume_role_arn} if args.assume_role_arn else None
        ),
        "tags": dict(args.tags),
    }


def _kubeconfig(control_plane: eks.Cluster, proxy_url: str | None) -> pulumi.Output[str]:
    """Kubeconfig of pulumi-eks, plus the proxy, which pulumi-eks does not write to it."""
    if proxy_url is None:
        return control_plane.kubeconfig_json
    return pulumi.Output.all(control_plane.kubeconfig_json, proxy_url).apply(_with_proxy)


def _with_proxy(parts: Sequence[Any]) -> str:
    kubeconfig, proxy_url = json.loads(parts[0]), parts[1]
    for cluster in kubeconfig["clusters"]:
        cluster["cluster"]["proxy-url"] = proxy_url
    return json.dumps(kubeconfig)
