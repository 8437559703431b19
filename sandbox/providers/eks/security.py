"""Security groups that pulumi-eks creates for a cluster and its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from sandbox.providers.eks.arguments import output

# Name and content of each rule; `peer` is the source group.
NODE_RULES: tuple[tuple[str, Mapping[str, Any]], ...] = (
    (
        "eksNodeIngressRule",
        {
            "description": "Allow nodes to communicate with each other",
            "type": "ingress",
            "from_port": 0,
            "to_port": 0,
            "protocol": "-1",
            "self": True,
        },
    ),
    (
        "eksNodeClusterIngressRule",
        {
            "description": (
                "Allow worker Kubelets and pods to receive communication from the cluster control "
                "plane"
            ),
            "type": "ingress",
            "from_port": 1025,
            "to_port": 65535,
            "protocol": "tcp",
            "peer": "cluster",
        },
    ),
    (
        "eksExtApiServerClusterIngressRule",
        {
            "description": (
                "Allow pods running extension API servers on port 443 to receive communication "
                "from cluster control plane"
            ),
            "type": "ingress",
            "from_port": 443,
            "to_port": 443,
            "protocol": "tcp",
            "peer": "cluster",
        },
    ),
    (
        "eksNodeInternetEgressRule",
        {
            "description": "Allow internet access.",
            "type": "egress",
            "from_port": 0,
            "to_port": 0,
            "protocol": "-1",
            "cidr_blocks": ["0.0.0.0/0"],
        },
    ),
)


def cluster_group(
    name: str, vpc: Any, tags: Any, own_tags: Any, parent: pulumi.Resource
) -> aws.ec2.SecurityGroup:
    """Create the control plane's group and its egress rule."""
    child = pulumi.ResourceOptions(parent=parent)
    group = aws.ec2.SecurityGroup(
        f"{name}-eksClusterSecurityGroup",
        vpc_id=vpc,
        revoke_rules_on_delete=True,
        tags=merged_tags({"Name": f"{name}-eksClusterSecurityGroup"}, own_tags, tags),
        opts=child,
    )
    aws.ec2.SecurityGroupRule(
        f"{name}-eksClusterInternetEgressRule",
        description="Allow internet access.",
        type="egress",
        from_port=0,
        to_port=0,
        protocol="-1",
        cidr_blocks=["0.0.0.0/0"],
        security_group_id=group.id,
        opts=child,
    )
    return group


def node_group(
    name: str,
    vpc: Any,
    cluster_group_id: Any,
    cluster: aws.eks.Cluster,
    tags: Any,
    parent: pulumi.Resource,
) -> tuple[aws.ec2.SecurityGroup, aws.ec2.SecurityGroupRule]:
    """Create the nodes' group with its rules; return it and the rule for the API server."""
    child = pulumi.ResourceOptions(parent=parent)
    group = aws.ec2.SecurityGroup(
        f"{name}-nodeSecurityGroup",
        vpc_id=vpc,
        revoke_rules_on_delete=True,
        tags=pulumi.Output.all(output(tags), cluster.name).apply(
            lambda both: {
                "Name": f"{name}-nodeSecurityGroup",
                f"kubernetes.io/cluster/{both[1]}": "owned",
                **(both[0] or {}),
            }
        ),
        opts=child,
    )
    for rule, facts in NODE_RULES:
        properties = dict(facts)
        if properties.pop("peer", None):
            properties["source_security_group_id"] = cluster_group_id
        aws.ec2.SecurityGroupRule(
            f"{name}-{rule}", security_group_id=group.id, opts=child, **properties
        )
    ingress = aws.ec2.SecurityGroupRule(
        f"{name}-eksClusterIngressRule",
        description="Allow pods to communicate with the cluster API Server",
        type="ingress",
        from_port=443,
        to_port=443,
        protocol="tcp",
        security_group_id=cluster_group_id,
        source_security_group_id=group.id,
        opts=child,
    )
    return group, ingress


def merged_tags(*layers: Any) -> pulumi.Output[dict[str, str]]:
    """Return the merged tags; later ones win."""
    return pulumi.Output.all(*[output(layer) for layer in layers]).apply(
        lambda values: {key: value for layer in values for key, value in (layer or {}).items()}
    )
