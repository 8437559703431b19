"""AWS provider and context: account, region, partition and the ARNs built from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


def aws_provider(
    name: str,
    *,
    region: str,
    tags: Mapping[str, str],
    account_ids: Sequence[str],
    role_arn: str | None,
) -> aws.Provider:
    """Create the provider; it refuses accounts other than `account_ids` (empty: any account).

    The provider and the cluster's token command assume the same `role_arn`, so the state contains
    no profile of one machine.
    """
    return aws.Provider(
        name,
        region=region,
        allowed_account_ids=list(account_ids) or None,
        assume_roles=[aws.ProviderAssumeRoleArgs(role_arn=role_arn)] if role_arn else None,
        default_tags=aws.ProviderDefaultTagsArgs(tags=dict(tags)),
    )


@dataclass(frozen=True, kw_only=True)
class AwsContext:
    """Account, region and partition of a component's provider."""

    account_id: pulumi.Output[str]
    region: pulumi.Output[str]
    partition: pulumi.Output[str]

    def arn(self, service: str, resource: pulumi.Input[str]) -> pulumi.Output[str]:
        """ARN of `resource` (`project/x`, `log-group:/aws/y:*`) in this account and region."""
        prefix = pulumi.Output.concat("arn:", self.partition, f":{service}:", self.region)
        return pulumi.Output.concat(prefix, ":", self.account_id, ":", resource)

    def managed_policy(self, name: str) -> pulumi.Output[str]:
        """ARN of an AWS managed policy."""
        return pulumi.Output.concat("arn:", self.partition, f":iam::aws:policy/{name}")

    def cluster_access_policy(self, name: str) -> pulumi.Output[str]:
        """ARN of an EKS access policy."""
        prefix = pulumi.Output.concat("arn:", self.partition)
        return pulumi.Output.concat(prefix, f":eks::aws:cluster-access-policy/{name}")

    @property
    def root(self) -> pulumi.Output[str]:
        """Account principal; IAM policies of the account decide who may act as it."""
        return pulumi.Output.concat("arn:", self.partition, ":iam::", self.account_id, ":root")

    def endpoint(self, service: str) -> pulumi.Output[str]:
        """DNS name of a service in this region, as policies name it."""
        return pulumi.Output.concat(f"{service}.", self.region, ".amazonaws.com")


def aws_context(parent: pulumi.Resource) -> AwsContext:
    """Read the context from the provider that `parent` uses."""
    opts = pulumi.InvokeOptions(parent=parent)
    return AwsContext(
        account_id=aws.get_caller_identity_output(opts=opts).account_id,
        region=aws.get_region_output(opts=opts).region,
        partition=aws.get_partition_output(opts=opts).partition,
    )
