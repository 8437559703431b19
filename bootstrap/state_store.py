"""The bucket of Pulumi's state, and the key of the state and of the stacks' secrets."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.aws import buckets
from components.aws.context import aws_context
from components.aws.iam import document
from components.aws.kms import encryption_key

# Earlier versions of the state are kept this long, to restore a damaged or deleted one.
OLD_VERSION_DAYS = 365
KEY_ALIAS = "pulumi"


@dataclass(frozen=True, kw_only=True)
class StateStoreArgs:
    """Arguments of StateStore."""

    prefix: str
    """First part of the bucket's name, which ends with account and region."""


class StateStore(pulumi.ComponentResource):
    """A private, versioned and encrypted bucket that accepts TLS only, and its key."""

    bucket_arn: pulumi.Output[str]
    """ARN of the bucket."""
    key_arn: pulumi.Output[str]
    """ARN of the key."""
    backend_url: pulumi.Output[str]
    """`PULUMI_BACKEND_URL` of every stack."""
    secrets_provider: pulumi.Output[str]
    """`--secrets-provider` of every stack."""

    def __init__(
        self, name: str, args: StateStoreArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("platform:bootstrap:StateStore", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        context = aws_context(self)
        key = encryption_key(
            name,
            context=context,
            purpose="State and secrets of Pulumi stacks",
            alias=KEY_ALIAS,
            protected=True,
            parent=self,
        )
        bucket = aws.s3.Bucket(
            name,
            bucket=pulumi.Output.concat(
                args.prefix, "-state-", context.account_id, "-", context.region
            ),
            opts=child,
        )
        public_access_block = buckets.private_access(name, bucket, self)
        versioning = buckets.versioning(name, bucket, self)
        buckets.encryption(name, bucket, key, self)
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.id,
            rules=[
                {
                    "id": "expire-old-versions",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "noncurrent_version_expiration": {"noncurrent_days": OLD_VERSION_DAYS},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
                }
            ],
            # Rules about old versions need a versioned bucket.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning]),
        )
        aws.s3.BucketPolicy(
            name,
            bucket=bucket.id,
            policy=document(buckets.deny_plain_http(bucket)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[public_access_block]),
        )
        self.bucket_arn = bucket.arn
        self.key_arn = key.arn
        region = pulumi.Output.concat("?region=", context.region)
        self.backend_url = pulumi.Output.concat("s3://", bucket.id, region)
        self.secrets_provider = pulumi.Output.concat(f"awskms://alias/{KEY_ALIAS}", region)
        self.register_outputs(
            {"backend_url": self.backend_url, "secrets_provider": self.secrets_provider}
        )
