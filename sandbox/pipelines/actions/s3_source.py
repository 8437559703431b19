"""The action Source/S3: copies an archive to the artifact bucket."""

from __future__ import annotations

from botocore.exceptions import ClientError

from sandbox.pipelines.actions.action import (
    ActionContext,
    ActionError,
    ActionResult,
    denied_or_failed,
)
from sandbox.pipelines.records import Revision


def fetch_object(context: ActionContext) -> ActionResult:
    """Store the requested or newest version of the object as the output artifact."""
    bucket, key = context.configuration["S3Bucket"], context.configuration["S3ObjectKey"]
    requested = context.execution.requested_revisions.get(context.name)
    version = {"VersionId": requested} if requested else {}
    s3 = context.role.client("s3")
    try:
        if s3.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
            raise ActionError(
                "ConfigurationError", f"S3 bucket versioning is not enabled for bucket '{bucket}'"
            )
        response = s3.get_object(Bucket=bucket, Key=key, **version)
    except ClientError as error:
        if error.response["Error"]["Code"] in {"NoSuchKey", "NoSuchBucket", "NoSuchVersion"}:
            raise ActionError(
                "ConfigurationError",
                f"The object with key '{key}' does not exist in the S3 bucket '{bucket}'",
            ) from None
        raise denied_or_failed(error) from None
    content, id = response["Body"].read(), str(response.get("VersionId", ""))
    metadata = response.get("Metadata") or {}
    summary = (
        metadata.get("codepipeline-artifact-revision-summary") or f"Amazon S3 version id: {id}"
    )
    return ActionResult(
        summary=summary,
        variables={
            "BucketName": bucket,
            "ETag": str(response["ETag"]).strip('"'),
            "ObjectKey": key,
            "VersionId": id,
        },
        outputs=context.upload(content),
        revision=Revision(id=id, summary=summary),
    )
