"""EKS add-ons in the only order that works: networking before the nodes, what needs a node after them.

CoreDNS without nodes waits for 20 minutes and fails; nodes before the CNI come up with the wrong network
(https://github.com/pulumi/pulumi-eks/issues/1819).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.place import Place
from components.policy import service_trust


@dataclass(frozen=True, kw_only=True)
class AddonVersions:
    """Pinned add-on versions as `aws eks describe-addon-versions` names them, such as `v1.12.4-eksbuild.1`."""

    vpc_cni: str
    kube_proxy: str
    pod_identity_agent: str
    coredns: str
    metrics_server: str


def before_nodes(
    name: str, cluster_name: pulumi.Input[str], versions: AddonVersions, place: Place, parent: pulumi.Resource
) -> list[pulumi.Resource]:
    """What a node finds when it joins, beside pulumi-eks's kube-proxy and VPC CNI: Pod Identity, and the CNI's own role.

    With a role of its own for the CNI, the nodes' role needs no permission over network interfaces.
    """
    child = pulumi.ResourceOptions(parent=parent)
    role = aws.iam.Role(
        f"{name}-cni",
        assume_role_policy=service_trust(
            "pods.eks.amazonaws.com",
            actions=["sts:AssumeRole", "sts:TagSession"],
            account_id=place.account_id,
            source_arn=place.arn("eks", pulumi.Output.concat("cluster/", cluster_name)),
        ),
        opts=child,
    )
    attachment = aws.iam.RolePolicyAttachment(
        f"{name}-cni", role=role.name, policy_arn=place.managed_policy("AmazonEKS_CNI_Policy"), opts=child
    )
    association = aws.eks.PodIdentityAssociation(
        f"{name}-cni",
        cluster_name=cluster_name,
        namespace="kube-system",
        service_account="aws-node",
        role_arn=role.arn,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[attachment]),
    )
    agent = _addon(name, "eks-pod-identity-agent", versions.pod_identity_agent, cluster_name, [], parent)
    return [association, agent]


def after_nodes(
    name: str,
    cluster_name: pulumi.Input[str],
    versions: AddonVersions,
    nodes: Sequence[pulumi.Resource],
    parent: pulumi.Resource,
    *,
    auto_mode: bool,
) -> list[pulumi.Resource]:
    """What runs as pods: DNS (built into Auto Mode) and the metrics that autoscaling reads.

    No CSI driver: nothing on the platform asks for a volume, and its role could attach any disk.
    """
    pods = {} if auto_mode else {"coredns": versions.coredns}
    pods["metrics-server"] = versions.metrics_server
    return [_addon(name, addon, version, cluster_name, nodes, parent) for addon, version in pods.items()]


def _addon(
    name: str,
    addon: str,
    version: str,
    cluster_name: pulumi.Input[str],
    after: Sequence[pulumi.Resource],
    parent: pulumi.Resource,
) -> aws.eks.Addon:
    return aws.eks.Addon(
        f"{name}-{addon}",
        cluster_name=cluster_name,
        addon_name=addon,
        addon_version=version,
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="OVERWRITE",
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(after)),
    )
