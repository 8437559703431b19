"""Customer-managed KMS keys with alias and yearly rotation."""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from components.aws.context import AwsContext
from components.aws.iam import Statement, document

# KMS allows 7 to 30 days.
EPHEMERAL_DELETION_DAYS = 7
PROTECTED_DELETION_DAYS = 30


def encryption_key(
    name: str,
    *,
    context: AwsContext,
    purpose: str,
    alias: str,
    protected: bool,
    parent: pulumi.Resource,
    statements: Sequence[Statement] = (),
) -> aws.kms.Key:
    """Create the key `name` and its alias `alias/<alias>` under `parent`.

    The root statement delegates to IAM; without it, nobody could change the key policy
    (https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html).
    """
    root: Statement = {
        "Sid": "EnableIamPolicies",
        "Effect": "Allow",
        "Principal": {"AWS": context.root},
        "Action": "kms:*",
        "Resource": "*",
    }
    key = aws.kms.Key(
        name,
        description=purpose,
        enable_key_rotation=True,
        deletion_window_in_days=PROTECTED_DELETION_DAYS if protected else EPHEMERAL_DELETION_DAYS,
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
