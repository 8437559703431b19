"""Private S3 buckets: encrypted, TLS only, versioned, with expiry and an access log."""

import pulumi
import pulumi_aws as aws

from components.aws import buckets
from components.aws.context import AwsContext
from components.aws.iam import document, source_account

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
    buckets.versioning(name, bucket, parent)
    aws.s3.BucketLogging(
        name, bucket=bucket.id, target_bucket=logs, target_prefix=f"{name}/", opts=child
    )
    buckets.encryption(name, bucket, key, parent)
    aws.s3.BucketPolicy(
        name,
        bucket=bucket.id,
        policy=document(
            buckets.deny_plain_http(bucket),
            # An upload without encryption header gets the bucket's default. A negated condition
            # also matches an absent key
            # (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html),
            # so `Null` excludes that case.
            buckets.deny(
                "DenyOtherEncryption",
                "s3:PutObject",
                bucket,
                {
                    "Null": {"s3:x-amz-server-side-encryption": "false"},
                    "StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"},
                },
            ),
        ),
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
            buckets.deny_plain_http(bucket),
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
    public_access_block = buckets.private_access(name, bucket, parent)
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
