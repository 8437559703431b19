"""Customer-managed keys with their aliases, rotated every year and usable only through the account's IAM and named services;
and log groups encrypted with them.
"""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from components.place import Place
from components.policy import Statement, document

# The shortest that KMS allows: an ephemeral key is gone a week after its stack.
SHORTEST_WAIT_DAYS = 7
LONGEST_WAIT_DAYS = 30


def encryption_key(
    name: str,
    *,
    place: Place,
    purpose: str,
    alias: str,
    protected: bool,
    parent: pulumi.Resource,
    statements: Sequence[Statement] = (),
) -> aws.kms.Key:
    """Make the key `name` and its alias `alias/<alias>` under `parent`.

    The account's root statement hands the decision to IAM; without it nobody could ever change the key's policy again
    (https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html).
    """
    root: Statement = {
        "Sid": "AccountDecidesByIam",
        "Effect": "Allow",
        "Principal": {"AWS": place.root},
        "Action": "kms:*",
        "Resource": "*",
    }
    key = aws.kms.Key(
        name,
        description=purpose,
        enable_key_rotation=True,
        deletion_window_in_days=LONGEST_WAIT_DAYS if protected else SHORTEST_WAIT_DAYS,
        policy=document(root, *statements),
        opts=pulumi.ResourceOptions(parent=parent, protect=protected),
    )
    aws.kms.Alias(
        name,
        name=f"alias/{alias}",
        target_key_id=key.key_id,
        opts=pulumi.ResourceOptions(parent=parent),
    )
    return key


def for_logs(place: Place, group_name: str) -> Statement:
    """Let CloudWatch Logs use the key for one log group
    (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html).
    """
    return {
        "Sid": "LogsOfOneGroup",
        "Effect": "Allow",
        "Principal": {"Service": pulumi.Output.concat("logs.", place.region, ".amazonaws.com")},
        "Action": ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
        "Resource": "*",
        "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": place.arn("logs", f"log-group:{group_name}")}},
    }


def log_group(
    name: str, *, group_name: str, days: int, key: aws.kms.Key, parent: pulumi.Resource, protected: bool = False
) -> aws.cloudwatch.LogGroup:
    """Make the group that an AWS service writes to, before the service would make it: unencrypted, kept for ever and left
    behind. What is protected outlives its stack. The key's policy needs `for_logs`.
    """
    return aws.cloudwatch.LogGroup(
        name,
        name=group_name,
        retention_in_days=days,
        kms_key_id=key.arn,
        opts=pulumi.ResourceOptions(parent=parent, retain_on_delete=protected),
    )
