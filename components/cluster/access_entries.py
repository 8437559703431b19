"""EKS access entries of deployers, viewers and break-glass roles."""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks

from components.aws.context import AwsContext

ADMIN_POLICY = "AmazonEKSClusterAdminPolicy"
"""Deployers create namespaces, quotas and roles."""
VIEW_POLICY = "AmazonEKSViewPolicy"
"""Reads objects, except Secrets."""
# Messages of the provider for a missing role. Any other error, such as a missing permission,
# does not prove that the role is missing.
NOT_FOUND = ("couldn't find resource", "NoSuchEntity")


def refuse_missing_roles(name: str, role_arns: Sequence[str], opts: pulumi.InvokeOptions) -> None:
    """Raise RunError with every role of this account that does not exist.

    Roles of other accounts cannot be looked up.
    """
    if not role_arns:
        return
    account_id = aws.get_caller_identity(opts=opts).account_id
    own_role_arns = [arn for arn in role_arns if arn.split(":")[4] == account_id]
    missing = [arn for arn in own_role_arns if _is_missing(arn, opts)]
    if missing:
        raise pulumi.RunError(
            f"{name}: EKS accepts only existing roles, and IAM has no role {' or '.join(missing)}: "
            "create the role first, or remove it from deployers, viewers or break_glass of the "
            "cluster"
        )


def _is_missing(role_arn: str, opts: pulumi.InvokeOptions) -> bool:
    try:
        role = aws.iam.get_role(name=role_arn.rpartition("/")[2], opts=opts)
    except Exception as error:  # noqa: BLE001 - the SDK raises plain Exception
        return any(message in str(error) for message in NOT_FOUND)
    return role.arn != role_arn  # a name is unique in the account, whatever the path


def access_entries(
    role_arns: Sequence[str], association: str, policy: str
) -> dict[str, eks.AccessEntryArgs]:
    """Return an entry for each role with a policy of the whole cluster."""
    return {
        _entry_name(role_arn): eks.AccessEntryArgs(
            principal_arn=role_arn,
            access_policies={
                association: eks.AccessPolicyAssociationArgs(
                    policy_arn=(
                        f"arn:{role_arn.split(':')[1]}:eks::aws:cluster-access-policy/{policy}"
                    ),
                    access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
                )
            },
        )
        for role_arn in role_arns
    }


def break_glass_entries(
    name: str,
    cluster_name: pulumi.Input[str],
    role_arns: Sequence[str],
    context: AwsContext,
    parent: pulumi.Resource,
) -> None:
    """Create separate entries, so that a change to the deployers cannot remove them."""
    for role_arn in role_arns:
        child = f"{name}-break-glass-{_entry_name(role_arn)}"
        entry = aws.eks.AccessEntry(
            child,
            cluster_name=cluster_name,
            principal_arn=role_arn,
            opts=pulumi.ResourceOptions(parent=parent),
        )
        aws.eks.AccessPolicyAssociation(
            child,
            cluster_name=cluster_name,
            principal_arn=entry.principal_arn,
            policy_arn=context.cluster_access_policy(ADMIN_POLICY),
            access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
            opts=pulumi.ResourceOptions(parent=parent),
        )


def _entry_name(role_arn: str) -> str:
    """Name and path of the role: two roles may differ in the path alone."""
    return role_arn.partition(":role/")[2].replace("/", "-")
