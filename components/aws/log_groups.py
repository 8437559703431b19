"""Encrypted CloudWatch log groups with retention."""

from collections.abc import Callable

import pulumi
import pulumi_aws as aws

from components.aws.context import AwsContext
from components.aws.iam import Statement

# An import requires equal properties; those of a service-created group differ.
IMPORTED_PROPERTIES = ("kmsKeyId", "retentionInDays", "skipDestroy", "tags", "tagsAll")


def log_group(
    name: str,
    *,
    group_name: str,
    days: int,
    key: aws.kms.Key,
    parent: pulumi.Resource,
    protected: bool = False,
    leftover: bool = False,
) -> aws.cloudwatch.LogGroup:
    """Create a log group before the AWS service that writes to it.

    The service would create it unencrypted and without retention. A protected group is retained
    when the stack is destroyed. A `leftover` of a deleted writer is imported with its properties;
    the next run applies key, retention and tags. The policy of `key` needs `encrypt_log_group`.
    """
    return aws.cloudwatch.LogGroup(
        name,
        name=group_name,
        retention_in_days=days,
        kms_key_id=key.arn,
        opts=pulumi.ResourceOptions(
            parent=parent,
            retain_on_delete=protected,
            import_=group_name if leftover else None,
            ignore_changes=list(IMPORTED_PROPERTIES) if leftover else [],
        ),
    )


def is_leftover(
    group_name: str, writer_exists: Callable[[], bool], parent: pulumi.Resource
) -> bool:
    """Whether the log group exists without its writer.

    EKS and RDS write late records after the deletion of a cluster or an instance, and create the
    log group again after Pulumi has deleted it. An existing writer proves that the group belongs
    to the stack, because the writer depends on it.
    See docs/decisions/0025-adopt-leftover-log-groups.md.
    """
    groups = aws.cloudwatch.get_log_groups(
        log_group_name_prefix=group_name, opts=pulumi.InvokeOptions(parent=parent)
    )
    return group_name in groups.log_group_names and not writer_exists()


def encrypt_log_group(context: AwsContext, *group_names: str) -> Statement:
    """Key policy statement: CloudWatch Logs may use the key for log groups.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    """
    group_arns = [context.arn("logs", f"log-group:{name}") for name in group_names]
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
        # IAM returns a single value without a list.
        "Condition": {
            "ArnLike": {
                "kms:EncryptionContext:aws:logs:arn": (
                    group_arns[0] if len(group_arns) == 1 else group_arns
                )
            }
        },
    }
