"""Settings that every private S3 bucket has."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from components.aws.iam import Statement


def private_access(
    name: str, bucket: aws.s3.Bucket, parent: pulumi.Resource
) -> aws.s3.BucketPublicAccessBlock:
    """Disable ACLs and block public access.

    The bucket's policy must depend on the result: S3 refuses concurrent changes to a bucket's
    access with a conflict.
    """
    child = pulumi.ResourceOptions(parent=parent)
    aws.s3.BucketOwnershipControls(
        name, bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=child
    )
    return aws.s3.BucketPublicAccessBlock(
        name,
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=child,
    )


def versioning(
    name: str, bucket: aws.s3.Bucket, parent: pulumi.Resource
) -> aws.s3.BucketVersioning:
    """Keep earlier versions of objects."""
    return aws.s3.BucketVersioning(
        name,
        bucket=bucket.id,
        versioning_configuration={"status": "Enabled"},
        opts=pulumi.ResourceOptions(parent=parent),
    )


def encryption(name: str, bucket: aws.s3.Bucket, key: aws.kms.Key, parent: pulumi.Resource) -> None:
    """Encrypt objects with a KMS key by default."""
    aws.s3.BucketServerSideEncryptionConfiguration(
        name,
        bucket=bucket.id,
        rules=[
            {
                "apply_server_side_encryption_by_default": {
                    "sse_algorithm": "aws:kms",
                    "kms_master_key_id": key.arn,
                },
                "bucket_key_enabled": True,
            }
        ],
        opts=pulumi.ResourceOptions(parent=parent),
    )


def deny(sid: str, action: str, bucket: aws.s3.Bucket, condition: Mapping[str, Any]) -> Statement:
    """Return a statement that denies everyone an action on a bucket and its objects."""
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": [bucket.arn, pulumi.Output.concat(bucket.arn, "/*")],
        "Condition": condition,
    }


def deny_plain_http(bucket: aws.s3.Bucket) -> Statement:
    """Return a statement that denies requests without TLS."""
    return deny("DenyPlainHttp", "s3:*", bucket, {"Bool": {"aws:SecureTransport": "false"}})
