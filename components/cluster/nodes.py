"""Managed nodes: encrypted disks, IMDSv2 at one hop, a pinned release, and a size that the autoscaler owns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks

from components.place import Place
from components.policy import service_trust

if TYPE_CHECKING:
    from components.cluster import ClusterArgs

AMI_TYPES = {"amd64": "AL2023_x86_64_STANDARD", "arm64": "AL2023_ARM_64_STANDARD"}


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """One managed node group."""

    architecture: Literal["amd64", "arm64"]
    instance_types: Sequence[str]
    """Interchangeable types, best first. Spot wants several."""
    capacity: Literal["spot", "on-demand"]
    minimum: int
    maximum: int
    disk_gib: int
    release_version: str
    """AMI release, such as `1.35.0-20260901`: machines change when this line does, never by themselves."""


def node_role(name: str, place: Place, parent: pulumi.Resource) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
    """The role of the machines: join the cluster and pull images, nothing else. The CNI has a role of its own."""
    child = pulumi.ResourceOptions(parent=parent)
    role = aws.iam.Role(f"{name}-node", assume_role_policy=service_trust("ec2.amazonaws.com"), opts=child)
    attachments: list[pulumi.Resource] = [
        aws.iam.RolePolicyAttachment(
            f"{name}-node-{policy}", role=role.name, policy_arn=place.managed_policy(policy), opts=child
        )
        for policy in ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly")
    ]
    return role, attachments


def node_group(
    name: str,
    args: ClusterArgs,
    control_plane: eks.Cluster,
    role: aws.iam.Role,
    ready: Sequence[pulumi.Resource],
    parent: pulumi.Resource,
) -> eks.ManagedNodeGroup:
    """The node group, after everything in `ready`.

    The launch template waits for the same: pulumi-eks is a remote component, and a real edge through the template's id
    holds on every engine and in both directions.
    """
    nodes = args.nodes
    after = pulumi.ResourceOptions(parent=parent, depends_on=list(ready))
    template = aws.ec2.LaunchTemplate(
        f"{name}-nodes",
        update_default_version=True,
        block_device_mappings=[
            {
                "device_name": "/dev/xvda",
                "ebs": {
                    "volume_size": nodes.disk_gib,
                    "volume_type": "gp3",
                    "encrypted": "true",
                    "delete_on_termination": "true",
                },
            }
        ],
        metadata_options={
            "http_endpoint": "enabled",
            "http_tokens": "required",
            "http_put_response_hop_limit": 1,  # pods, one hop further away, can't ask for the node's credentials
        },
        tag_specifications=[
            {"resource_type": kind, "tags": {**args.tags, "Name": f"{args.prefix}-{name}-node"}}
            for kind in ("instance", "volume")
        ],
        opts=after,
    )
    return eks.ManagedNodeGroup(
        f"{name}-nodes",
        cluster=control_plane,
        node_role=role,
        subnet_ids=list(args.private_subnet_ids),
        version=args.version,
        release_version=nodes.release_version,
        ami_type=AMI_TYPES[nodes.architecture],
        capacity_type=nodes.capacity.upper().replace("-", "_"),
        instance_types=list(nodes.instance_types),
        scaling_config={"min_size": nodes.minimum, "max_size": nodes.maximum, "desired_size": nodes.minimum},
        ignore_scaling_changes=True,
        launch_template={"id": template.id, "version": template.latest_version.apply(str)},
        tags=dict(args.tags),
        opts=after,
    )
