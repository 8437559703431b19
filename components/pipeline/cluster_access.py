"""Security group and EKS access entry of the builds that reach the cluster."""

import pulumi
import pulumi_aws as aws

from components.aws.context import AwsContext

# Creates, changes and reads application objects; no roles and no quotas
# (https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html).
EDIT_POLICY = "AmazonEKSEditPolicy"
VIEW_POLICY = "AmazonEKSViewPolicy"
"""Reads objects, except Secrets."""
ADMIN_POLICY = "AmazonEKSClusterAdminPolicy"


def deploy_security_group(
    name: str,
    vpc_id: pulumi.Input[str],
    cluster_group_id: pulumi.Input[str],
    parent: pulumi.Resource,
) -> pulumi.Output[str]:
    """Create a group with outbound web access, access to the control plane, and no ingress."""
    child = pulumi.ResourceOptions(parent=parent)
    group = aws.ec2.SecurityGroup(
        f"{name}-deploy",
        description="Releasing builds: the web outwards, nothing inwards",
        vpc_id=vpc_id,
        opts=child,
    )
    for port, target in (
        (443, "the control plane, AWS and the service"),
        (80, "a service without a certificate"),
    ):
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-deploy-{port}",
            security_group_id=group.id,
            description=f"To {target}",
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


def access_entry(
    name: str,
    cluster_name: pulumi.Input[str],
    role_arn: pulumi.Input[str],
    namespace: str | None,
    context: AwsContext,
    parent: pulumi.Resource,
    *,
    policy: str = EDIT_POLICY,
) -> None:
    """Give a role a policy in one namespace, or in the cluster without one."""
    scope = (
        aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster")
        if namespace is None
        else aws.eks.AccessPolicyAssociationAccessScopeArgs(
            type="namespace", namespaces=[namespace]
        )
    )
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
        policy_arn=context.cluster_access_policy(policy),
        access_scope=scope,
        # A role has one association per policy: deleting the old scope last would delete the new.
        opts=pulumi.ResourceOptions(parent=parent, delete_before_replace=True),
    )
