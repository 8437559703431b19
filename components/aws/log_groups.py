"""Encrypted CloudWatch log groups with retention."""

import pulumi
import pulumi_aws as aws

from components.aws.context import AwsContext
from components.aws.iam import Statement


def log_group(
    name: str,
    *,
    group_name: str,
    days: int,
    key: aws.kms.Key,
    parent: pulumi.Resource,
    protected: bool = False,
) -> aws.cloudwatch.LogGroup:
    """Create a log group before the AWS service that writes to it.

    The service would create it unencrypted and without retention. A protected group is retained
    when the stack is destroyed. The policy of `key` needs `encrypt_log_group`.
    """
    return aws.cloudwatch.LogGroup(
        name,
        name=group_name,
        retention_in_days=days,
        kms_key_id=key.arn,
        opts=pulumi.ResourceOptions(parent=parent, retain_on_delete=protected),
    )


def encrypt_log_group(context: AwsContext, group_name: str) -> Statement:
    """Key policy statement: CloudWatch Logs may use the key for one log group.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    """
    group_arn = context.arn("logs", f"log-group:{group_name}")
    return {
        "Sid": "EncryptLogGroup",
        "Effect": "Allow",
        "Principal": {"Service": context.endpoint("logs")},
        "Action": [
            "kms:Encrypt",
            "kms:Decrypt",
            "kms:ReEncrypt*",
            "kms:GenerateDataKey*",
            "kms:DescribeKey",
        ],
        "Resource": "*",
        "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": group_arn}},
    }
