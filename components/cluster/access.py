"""Who may come in: explicit access entries, never the aws-auth map."""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks

from components.place import Place

ADMINISTRATOR = "AmazonEKSClusterAdminPolicy"
# What the provider says of a role that isn't there; anything else (no permission to ask) is no proof of that.
NOT_FOUND = ("couldn't find resource", "NoSuchEntity")


def refuse_missing(name: str, role_arns: Sequence[str], parent: pulumi.Resource) -> None:
    """Raise RunError, naming all of them, if roles of this account aren't there.

    EKS refuses an entry for a role that doesn't exist, but only once the control plane stands, and what hangs on it then
    hangs on that entry. Roles of other accounts can't be asked for.
    """
    if not role_arns:
        return
    opts = pulumi.InvokeOptions(parent=parent)
    account_id = aws.get_caller_identity(opts=opts).account_id
    ours = [role_arn for role_arn in role_arns if role_arn.split(":")[4] == account_id]
    missing = [role_arn for role_arn in ours if _is_missing(role_arn, opts)]
    if missing:
        raise pulumi.RunError(
            f"{name}: EKS lets in only roles that exist, and IAM has none with the ARN {' or '.join(missing)}: "
            "create what is missing first, or take it out of the cluster's deployers and break-glass roles"
        )


def _is_missing(role_arn: str, opts: pulumi.InvokeOptions) -> bool:
    try:
        found = aws.iam.get_role(name=role_arn.rpartition("/")[2], opts=opts)
    except Exception as error:  # noqa: BLE001 - the SDK raises nothing more precise
        return any(words in str(error) for words in NOT_FOUND)
    return found.arn != role_arn  # a name is the account's, whatever the path


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
