"""VPC flow logs in an encrypted log group."""

import pulumi
import pulumi_aws as aws

from components.aws.context import aws_context
from components.aws.iam import allow, document, service_trust
from components.aws.kms import encryption_key
from components.aws.log_groups import encrypt_log_group, log_group


def flow_logs(
    name: str,
    *,
    vpc_id: pulumi.Input[str],
    prefix: str,
    days: int,
    protected: bool,
    parent: pulumi.Resource,
) -> None:
    """Record all connections of the VPC for `days`."""
    child = pulumi.ResourceOptions(parent=parent)
    context = aws_context(parent)
    logical = f"{name}-flow"
    group_name = f"/platform/{prefix}/{name}/flow"
    key = encryption_key(
        logical,
        context=context,
        purpose=f"Flow logs of {prefix}-{name}",
        alias=f"{prefix}-{logical}",
        protected=protected,
        parent=parent,
        statements=[encrypt_log_group(context, group_name)],
    )
    group = log_group(
        logical, group_name=group_name, days=days, key=key, parent=parent, protected=protected
    )
    role = aws.iam.Role(
        logical,
        assume_role_policy=service_trust(
            "vpc-flow-logs.amazonaws.com",
            account_id=context.account_id,
            source_arn=context.arn("ec2", "vpc-flow-log/*"),
        ),
        opts=child,
    )
    policy = aws.iam.RolePolicy(
        logical,
        role=role.id,
        policy=document(
            allow(
                "WriteFlowLogs",
                ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
                [group.arn.apply(lambda arn: f"{arn}:*")],
            ),
            # The service calls it before the first record; the action has no resource
            # (https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html).
            allow("DescribeLogGroups", ["logs:DescribeLogGroups"], ["*"]),
        ),
        opts=child,
    )
    aws.ec2.FlowLog(
        logical,
        vpc_id=vpc_id,
        traffic_type="ALL",
        log_destination_type="cloud-watch-logs",
        log_destination=group.arn,
        iam_role_arn=role.arn,
        max_aggregation_interval=60,
        tags={"Name": f"{prefix}-{logical}"},
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[policy]),
    )
