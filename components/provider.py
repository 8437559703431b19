"""The AWS provider: one place that names region, account and role, and tags everything."""

from collections.abc import Mapping, Sequence

import pulumi_aws as aws


def aws_provider(
    name: str, *, region: str, tags: Mapping[str, str], account_ids: Sequence[str] = (), role_arn: str | None = None
) -> aws.Provider:
    """Make the provider. It refuses accounts other than `account_ids` (none named: any), whoever's credentials are found.

    `role_arn` is assumed by this provider and by the cluster's token command alike, so that no profile of one machine
    gets into the state.
    """
    return aws.Provider(
        name,
        region=region,
        allowed_account_ids=list(account_ids) or None,
        assume_roles=[aws.ProviderAssumeRoleArgs(role_arn=role_arn)] if role_arn else None,
        default_tags=aws.ProviderDefaultTagsArgs(tags=dict(tags)),
    )
