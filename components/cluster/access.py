"""Who may come in: explicit access entries, never the aws-auth map."""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks

from components.place import Place

ADMINISTRATOR = "AmazonEKSClusterAdminPolicy"


def deployer_entries(role_arns: Sequence[str]) -> dict[str, eks.AccessEntryArgs]:
    """One entry for each role that runs this program: it creates namespaces, quotas and roles, so it administers."""
    return {
        _short(role_arn): eks.AccessEntryArgs(
            principal_arn=role_arn,
            access_policies={
                "administrator": eks.AccessPolicyAssociationArgs(
                    policy_arn=f"arn:{role_arn.split(':')[1]}:eks::aws:cluster-access-policy/{ADMINISTRATOR}",
                    access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
                )
            },
        )
        for role_arn in role_arns
    }


def break_glass_entries(
    name: str, cluster_name: pulumi.Input[str], role_arns: Sequence[str], place: Place, parent: pulumi.Resource
) -> None:
    """Entries of their own, so that no change to the deployers can take the last way in along."""
    for role_arn in role_arns:
        child = f"{name}-break-glass-{_short(role_arn)}"
        entry = aws.eks.AccessEntry(
            child, cluster_name=cluster_name, principal_arn=role_arn, opts=pulumi.ResourceOptions(parent=parent)
        )
        aws.eks.AccessPolicyAssociation(
            child,
            cluster_name=cluster_name,
            principal_arn=entry.principal_arn,
            policy_arn=pulumi.Output.concat(
                "arn:", place.partition, f":eks::aws:cluster-access-policy/{ADMINISTRATOR}"
            ),
            access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
            opts=pulumi.ResourceOptions(parent=parent),
        )


def _short(role_arn: str) -> str:
    """The role's name with its path, since two roles may differ in that alone."""
    return role_arn.partition(":role/")[2].replace("/", "-")
