"""Managed node groups: encrypted disks, IMDSv2, pinned AMI release, autoscaled size."""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks

from components.aws.context import AwsContext
from components.aws.iam import service_trust
from components.cluster.args import Architecture, NodeSettings

AMI_TYPES = {"amd64": "AL2023_x86_64_STANDARD", "arm64": "AL2023_ARM_64_STANDARD"}
NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly")


def node_role(
    name: str, context: AwsContext, parent: pulumi.Resource
) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
    """Create the role of the machines, which may join the cluster and pull images."""
    child = pulumi.ResourceOptions(parent=parent)
    role = aws.iam.Role(
        f"{name}-node", assume_role_policy=service_trust("ec2.amazonaws.com"), opts=child
    )
    attachments: list[pulumi.Resource] = [
        aws.iam.RolePolicyAttachment(
            f"{name}-node-{policy}",
            role=role.name,
            policy_arn=context.managed_policy(policy),
            opts=child,
        )
        for policy in NODE_POLICIES
    ]
    return role, attachments


def node_groups(
    name: str,
    *,
    control_plane: eks.Cluster,
    prefix: str,
    version: str,
    nodes: NodeSettings,
    release_version: pulumi.Input[str],
    architecture: Architecture,
    subnet_ids: Sequence[pulumi.Input[str]],
    role: aws.iam.Role,
    tags: Mapping[str, str],
    depends_on: Sequence[pulumi.Resource],
    parent: pulumi.Resource,
) -> list[eks.ManagedNodeGroup]:
    """Create a node group per zone, after everything in `depends_on`.

    EKS cannot change a group's subnets, so a group over all zones would be replaced when a zone is
    added; and only a group in one zone can be scaled where the volume of a pending pod is
    (https://docs.aws.amazon.com/eks/latest/best-practices/cas.html).

    The launch template has the same dependencies: pulumi-eks is a remote component, and an edge
    through the template's ID holds on every engine, for creation and deletion.
    """
    opts = pulumi.ResourceOptions(parent=parent, depends_on=list(depends_on))
    template = _launch_template(name, f"{prefix}-{name}-node", nodes.disk_gib, tags, opts)
    zones = len(subnet_ids)
    return [
        eks.ManagedNodeGroup(
            f"{name}-nodes-{'abc'[zone]}",
            cluster=control_plane,
            node_role=role,
            subnet_ids=[subnet_id],
            version=version,
            release_version=release_version,
            ami_type=AMI_TYPES[architecture],
            capacity_type=nodes.capacity.upper().replace("-", "_"),
            instance_types=list(nodes.instance_types),
            scaling_config={
                "min_size": _share(nodes.minimum, zone, zones),
                "max_size": max(1, _share(nodes.maximum, zone, zones)),
                "desired_size": _share(nodes.minimum, zone, zones),
            },
            ignore_scaling_changes=True,
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            tags=dict(tags),
            opts=opts,
        )
        for zone, subnet_id in enumerate(subnet_ids)
    ]


def _launch_template(
    name: str,
    node_name: str,
    disk_gib: int,
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> aws.ec2.LaunchTemplate:
    return aws.ec2.LaunchTemplate(
        f"{name}-nodes",
        update_default_version=True,
        block_device_mappings=[
            {
                "device_name": "/dev/xvda",
                "ebs": {
                    "volume_size": disk_gib,
                    "volume_type": "gp3",
                    "encrypted": "true",
                    "delete_on_termination": "true",
                },
            }
        ],
        metadata_options={
            "http_endpoint": "enabled",
            "http_tokens": "required",
            # Pods are one hop further away and cannot get the node's credentials.
            "http_put_response_hop_limit": 1,
        },
        tag_specifications=[
            {"resource_type": resource_type, "tags": {**tags, "Name": node_name}}
            for resource_type in ("instance", "volume")
        ],
        opts=opts,
    )


def _share(total: int, zone: int, zones: int) -> int:
    """Nodes of one zone; the first zones get the remainder."""
    return total // zones + (zone < total % zones)
