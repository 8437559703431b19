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
    """The managed nodes of a cluster: one group in each zone, all alike."""

    architecture: Literal["amd64", "arm64"]
    instance_types: Sequence[str]
    """Interchangeable types, best first. Spot wants several."""
    capacity: Literal["spot", "on-demand"]
    minimum: int
    """Nodes in all zones together; spread as evenly as it goes, the first zones first."""
    maximum: int
    """Likewise; every zone may have at least one."""
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


def node_groups(
    name: str,
    args: ClusterArgs,
    control_plane: eks.Cluster,
    role: aws.iam.Role,
    ready: Sequence[pulumi.Resource],
    parent: pulumi.Resource,
) -> list[eks.ManagedNodeGroup]:
    """A node group for each zone, after everything in `ready`.

    EKS can't change a group's subnets, so one group over all zones would be replaced when a zone is added; and only a
    group of one zone can be scaled where the volume of a waiting pod is
    (https://docs.aws.amazon.com/eks/latest/best-practices/cas.html).

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
    subnets = list(args.private_subnet_ids)
    return [
        eks.ManagedNodeGroup(
            f"{name}-nodes-{'abc'[zone]}",
            cluster=control_plane,
            node_role=role,
            subnet_ids=[subnet],
            version=args.version,
            release_version=nodes.release_version,
            ami_type=AMI_TYPES[nodes.architecture],
            capacity_type=nodes.capacity.upper().replace("-", "_"),
            instance_types=list(nodes.instance_types),
            scaling_config={
                "min_size": _share(nodes.minimum, zone, len(subnets)),
                "max_size": max(1, _share(nodes.maximum, zone, len(subnets))),
                "desired_size": _share(nodes.minimum, zone, len(subnets)),
            },
            ignore_scaling_changes=True,
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            tags=dict(args.tags),
            opts=after,
        )
        for zone, subnet in enumerate(subnets)
    ]


def _share(total: int, zone: int, zones: int) -> int:
    return total // zones + (zone < total % zones)
