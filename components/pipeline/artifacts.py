"""Private S3 buckets: encrypted, TLS only, versioned, with expiry and an access log."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from components.aws.context import AwsContext
from components.aws.iam import Statement, document, source_account

ACCESS_LOG_DAYS = 90


def private_bucket(
    name: str,
    *,
    key: aws.kms.Key,
    days: int,
    logs: pulumi.Input[str],
    protected: bool,
    parent: pulumi.Resource,
) -> aws.s3.Bucket:
    """Create the bucket `name`, whose objects expire, with its access log in `logs`."""
    child = pulumi.ResourceOptions(parent=parent)
    bucket, public_access_block = _bucket(name, days, protected, parent)
    aws.s3.BucketVersioning(
        name, bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=child
    )
    aws.s3.BucketLogging(
        name, bucket=bucket.id, target_bucket=logs, target_prefix=f"{name}/", opts=child
    )
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
        opts=child,
    )
    aws.s3.BucketPolicy(
        name,
        bucket=bucket.id,
        policy=document(
            _deny("DenyPlainHttp", "s3:*", bucket, {"Bool": {"aws:SecureTransport": "false"}}),
            # An upload without encryption header gets the bucket's default. A negated condition
            # also matches an absent key
            # (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html),
            # so `Null` excludes that case.
            _deny(
                "DenyOtherEncryption",
                "s3:PutObject",
                bucket,
                {
                    "Null": {"s3:x-amz-server-side-encryption": "false"},
                    "StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"},
                },
            ),
        ),
        # S3 refuses concurrent changes to a bucket's access with a conflict.
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[public_access_block]),
    )
    return bucket


def access_log_bucket(
    name: str, *, context: AwsContext, protected: bool, parent: pulumi.Resource
) -> pulumi.Output[str]:
    """Create the bucket of access logs; return its name, after its policy admits the logs.

    It has no log of its own, which would be endless.

    S3 delivers logs only to buckets with SSE-S3, the default encryption
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html).
    """
    bucket, public_access_block = _bucket(name, ACCESS_LOG_DAYS, protected, parent)
    policy = aws.s3.BucketPolicy(
        name,
        bucket=bucket.id,
        policy=document(
            {
                "Sid": "PutAccessLogs",
                "Effect": "Allow",
                "Principal": {"Service": "logging.s3.amazonaws.com"},
                "Action": "s3:PutObject",
                "Resource": pulumi.Output.concat(bucket.arn, "/*"),
                "Condition": source_account(context),
            },
            _deny("DenyPlainHttp", "s3:*", bucket, {"Bool": {"aws:SecureTransport": "false"}}),
        ),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[public_access_block]),
    )
    return policy.bucket


def _bucket(
    name: str, days: int, protected: bool, parent: pulumi.Resource
) -> tuple[aws.s3.Bucket, aws.s3.BucketPublicAccessBlock]:
    """Create a bucket, auto-named because names are global; objects expire."""
    child = pulumi.ResourceOptions(parent=parent)
    bucket = aws.s3.Bucket(
        name,
        force_destroy=not protected,
        opts=pulumi.ResourceOptions(parent=parent, protect=protected),
    )
    aws.s3.BucketOwnershipControls(
        name, bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=child
    )
    public_access_block = aws.s3.BucketPublicAccessBlock(
        name,
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=child,
    )
    aws.s3.BucketLifecycleConfiguration(
        name,
        bucket=bucket.id,
        rules=[
            {
                "id": "expire",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "expiration": {"days": days},
                "noncurrent_version_expiration": {"noncurrent_days": days},
                "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
            }
        ],
        opts=child,
    )
    return bucket, public_access_block


def _deny(sid: str, action: str, bucket: aws.s3.Bucket, condition: Mapping[str, Any]) -> Statement:
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": [bucket.arn, pulumi.Output.concat(bucket.arn, "/*")],
        "Condition": condition,
    }
