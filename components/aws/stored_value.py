"""Values that are looked up once and stored in SSM Parameter Store."""

import pulumi
import pulumi_aws as aws


def stored_value(
    name: str, *, path: str, value: str, parent: pulumi.Resource
) -> pulumi.Output[str]:
    """Store `value` when the resource is created; return the stored value in later runs.

    Later lookups are ignored, so that a new release does not change the stack by itself.
    """
    parameter = aws.ssm.Parameter(
        name,
        name=path,
        type="String",
        insecure_value=value,  # not secret: `value` would be
        opts=pulumi.ResourceOptions(parent=parent, ignore_changes=["insecureValue"]),
    )
    return parameter.insecure_value
