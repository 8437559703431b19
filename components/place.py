"""Where a component's resources live: account, region and partition, as its own provider sees them."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, kw_only=True)
class Place:
    """What literal ARNs are made of. Asked of AWS through the component's provider, never configured twice."""

    account_id: pulumi.Output[str]
    region: pulumi.Output[str]
    partition: pulumi.Output[str]

    def arn(self, service: str, resource: pulumi.Input[str]) -> pulumi.Output[str]:
        """The ARN of `resource` (`project/x`, `log-group:/aws/y:*`) in this account and region."""
        return pulumi.Output.concat(
            "arn:", self.partition, f":{service}:", self.region, ":", self.account_id, ":", resource
        )

    def managed_policy(self, name: str) -> pulumi.Output[str]:
        """The ARN of a policy that AWS owns."""
        return pulumi.Output.concat("arn:", self.partition, f":iam::aws:policy/{name}")

    @property
    def root(self) -> pulumi.Output[str]:
        """The account itself as a principal: IAM then decides who in it may."""
        return pulumi.Output.concat("arn:", self.partition, ":iam::", self.account_id, ":root")


def place_of(parent: pulumi.Resource) -> Place:
    """Ask the provider that `parent` uses."""
    opts = pulumi.InvokeOptions(parent=parent)
    return Place(
        account_id=aws.get_caller_identity_output(opts=opts).account_id,
        region=aws.get_region_output(opts=opts).region,
        partition=aws.get_partition_output(opts=opts).partition,
    )
