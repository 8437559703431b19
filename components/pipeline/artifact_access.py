"""IAM statements of the roles that read and write artifacts."""

from collections.abc import Sequence

import pulumi

from components.aws.context import AwsContext
from components.aws.iam import Conditions, Statement, allow, via_service


def write_artifacts(
    bucket_arn: pulumi.Input[str], key_arn: pulumi.Input[str], context: AwsContext
) -> list[Statement]:
    """Read and write artifacts. The source action uploads with an ACL header.

    https://docs.aws.amazon.com/codepipeline/latest/userguide/how-to-custom-role.html
    """
    return _artifacts(
        bucket_arn,
        key_arn,
        context,
        object_actions=["s3:PutObject", "s3:PutObjectAcl"],
        key_actions=["kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
    )


def read_artifacts(
    bucket_arn: pulumi.Input[str], key_arn: pulumi.Input[str], context: AwsContext
) -> list[Statement]:
    """Read artifacts."""
    return _artifacts(bucket_arn, key_arn, context, object_actions=[], key_actions=[])


def _artifacts(
    bucket_arn: pulumi.Input[str],
    key_arn: pulumi.Input[str],
    context: AwsContext,
    *,
    object_actions: Sequence[str],
    key_actions: Sequence[str],
) -> list[Statement]:
    own_account: Conditions = {"StringEquals": {"aws:ResourceAccount": context.account_id}}
    return [
        allow(
            "Artifacts",
            ["s3:GetObject", "s3:GetObjectVersion", *object_actions],
            [pulumi.Output.concat(bucket_arn, "/*")],
            own_account,
        ),
        allow(
            "ArtifactBucket",
            ["s3:GetBucketAcl", "s3:GetBucketLocation", "s3:GetBucketVersioning"],
            [bucket_arn],
            own_account,
        ),
        allow(
            "ArtifactKey",
            ["kms:Decrypt", "kms:DescribeKey", *key_actions],
            [key_arn],
            via_service(context, "s3"),
        ),
    ]
