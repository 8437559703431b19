"""Customer-managed KMS keys with alias, for encryption with yearly rotation or for signatures."""

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
    """Create the key `name` and its alias `alias/<alias>` under `parent`."""
    return _key(name, context, purpose, alias, protected, parent, statements, rotates=True)


def signing_key(
    name: str,
    *,
    context: AwsContext,
    purpose: str,
    alias: str,
    protected: bool,
    parent: pulumi.Resource,
) -> aws.kms.Key:
    """Create an asymmetric key for ECDSA_SHA_256. KMS cannot rotate it.

    https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html
    """
    return _key(name, context, purpose, alias, protected, parent, (), rotates=False)


def _key(
    name: str,
    context: AwsContext,
    purpose: str,
    alias: str,
    protected: bool,
    parent: pulumi.Resource,
    statements: Sequence[Statement],
    *,
    rotates: bool,
) -> aws.kms.Key:
    """Create a key whose root statement delegates to IAM, so that its policy can be changed
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
        enable_key_rotation=True if rotates else None,
        key_usage=None if rotates else "SIGN_VERIFY",
        customer_master_key_spec=None if rotates else "ECC_NIST_P256",
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
