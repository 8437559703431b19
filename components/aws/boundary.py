"""Permissions boundary of the program's roles."""

import pulumi

ROLE = "aws:iam/role:Role"


def set_permissions_boundary(policy_arn: str | None) -> None:
    """Give every role of the stack this boundary, also those that pulumi-eks creates."""
    if policy_arn is None:
        return

    def bound(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
        if args.type_ != ROLE:
            return None
        return pulumi.ResourceTransformResult(
            props={**args.props, "permissionsBoundary": policy_arn}, opts=args.opts
        )

    pulumi.runtime.register_resource_transform(bound)
