"""EKS add-ons before and after the nodes.

CoreDNS without nodes fails after 20 minutes, and nodes that start before the VPC CNI get the
wrong network (https://github.com/pulumi/pulumi-eks/issues/1819).
"""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from components.aws.context import AwsContext
from components.aws.iam import pod_identity_trust

ADDONS_BEFORE_NODES = ("vpc-cni", "kube-proxy", "eks-pod-identity-agent")
ADDONS_AFTER_NODES = ("coredns", "metrics-server")
AUTO_MODE_ADDONS = ("metrics-server",)
"""The others are built into Auto Mode."""


def addons_before_nodes(
    name: str,
    cluster_name: pulumi.Input[str],
    versions: Mapping[str, pulumi.Input[str]],
    context: AwsContext,
    parent: pulumi.Resource,
) -> list[pulumi.Resource]:
    """Create the Pod Identity agent and the role of the VPC CNI.

    pulumi-eks creates kube-proxy and the VPC CNI. With a role of its own for the CNI, the node
    role needs no permission on network interfaces.
    """
    child = pulumi.ResourceOptions(parent=parent)
    cluster_arn = context.arn("eks", pulumi.Output.concat("cluster/", cluster_name))
    role = aws.iam.Role(
        f"{name}-cni", assume_role_policy=pod_identity_trust(context, cluster_arn), opts=child
    )
    attachment = aws.iam.RolePolicyAttachment(
        f"{name}-cni",
        role=role.name,
        policy_arn=context.managed_policy("AmazonEKS_CNI_Policy"),
        opts=child,
    )
    association = aws.eks.PodIdentityAssociation(
        f"{name}-cni",
        cluster_name=cluster_name,
        namespace="kube-system",
        service_account="aws-node",
        role_arn=role.arn,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[attachment]),
    )
    agent = "eks-pod-identity-agent"
    return [association, _addon(name, agent, versions[agent], cluster_name, [], parent)]


def addons_after_nodes(
    name: str,
    cluster_name: pulumi.Input[str],
    versions: Mapping[str, pulumi.Input[str]],
    nodes: Sequence[pulumi.Resource],
    parent: pulumi.Resource,
) -> list[pulumi.Resource]:
    """Create those of the add-ons that run as pods: CoreDNS and metrics-server.

    No CSI driver: no workload of the platform uses a volume, and its role could attach any disk.
    """
    return [
        _addon(name, addon, versions[addon], cluster_name, nodes, parent)
        for addon in ADDONS_AFTER_NODES
        if addon in versions
    ]


def _addon(
    name: str,
    addon: str,
    version: pulumi.Input[str],
    cluster_name: pulumi.Input[str],
    depends_on: Sequence[pulumi.Resource],
    parent: pulumi.Resource,
) -> aws.eks.Addon:
    return aws.eks.Addon(
        f"{name}-{addon}",
        cluster_name=cluster_name,
        addon_name=addon,
        addon_version=version,
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="OVERWRITE",
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(depends_on)),
    )
