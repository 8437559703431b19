"""How the deploying build gets to the cluster: a door in the network, and an entry limited to one namespace."""

import pulumi
import pulumi_aws as aws

from components.place import Place

# Creates, changes and reads what applications are made of; no roles, no quotas
# (https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html).
EDITOR = "AmazonEKSEditPolicy"


def door(
    name: str, vpc_id: pulumi.Input[str], cluster_group_id: pulumi.Input[str], parent: pulumi.Resource
) -> pulumi.Output[str]:
    """A security group that may go out to the web, and into the control plane, and that nothing may enter."""
    child = pulumi.ResourceOptions(parent=parent)
    group = aws.ec2.SecurityGroup(
        f"{name}-deploy", description="Releasing builds: the web outwards, nothing inwards", vpc_id=vpc_id, opts=child
    )
    for port, what in ((443, "the control plane, AWS and the service"), (80, "a service without a certificate")):
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-deploy-{port}",
            security_group_id=group.id,
            description=f"To {what}",
            cidr_ipv4="0.0.0.0/0",
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            opts=child,
        )
    aws.vpc.SecurityGroupIngressRule(
        f"{name}-deploy",
        security_group_id=cluster_group_id,
        referenced_security_group_id=group.id,
        description="Releasing builds to the control plane",
        ip_protocol="tcp",
        from_port=443,
        to_port=443,
        opts=child,
    )
    return group.id


def admit(
    name: str,
    cluster_name: pulumi.Input[str],
    role_arn: pulumi.Input[str],
    namespace: str,
    place: Place,
    parent: pulumi.Resource,
) -> None:
    """Let a role edit one namespace."""
    entry = aws.eks.AccessEntry(
        name,
        cluster_name=cluster_name,
        principal_arn=role_arn,
        opts=pulumi.ResourceOptions(parent=parent),
    )
    aws.eks.AccessPolicyAssociation(
        name,
        cluster_name=cluster_name,
        principal_arn=entry.principal_arn,
        policy_arn=pulumi.Output.concat("arn:", place.partition, f":eks::aws:cluster-access-policy/{EDITOR}"),
        access_scope={"type": "namespace", "namespaces": [namespace]},
        # There is one association of a role with a policy: the old scope's deletion would take the new one along.
        opts=pulumi.ResourceOptions(parent=parent, delete_before_replace=True),
    )
