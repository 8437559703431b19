"""The action Deploy/S3: copies the input artifact, or its files, to a bucket.

Source: CodePipeline User Guide, "Amazon S3 deploy action reference".
"""

from __future__ import annotations

import io
import mimetypes
import zipfile

from botocore.exceptions import ClientError

from sandbox.pipelines.actions.action import (
    ActionContext,
    ActionError,
    ActionResult,
    denied_or_failed,
)


def deploy_files(context: ActionContext) -> ActionResult:
    """Store the archive as ObjectKey, or with Extract its files below it."""
    configuration, bucket = context.configuration, context.configuration["BucketName"]
    extract = configuration["Extract"].lower() == "true"
    prefix = configuration.get("ObjectKey", "")
    if not extract and not prefix:
        raise ActionError("ConfigurationError", "ObjectKey is required if Extract is false")
    options = {
        parameter: configuration[key]
        for key, parameter in (("CannedACL", "ACL"), ("CacheControl", "CacheControl"))
        if configuration.get(key)
    }
    if key := configuration.get("KMSEncryptionKeyARN"):
        options |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    [artifact] = context.inputs().values()
    s3 = context.role.client("s3")
    try:
        content = s3.get_object(Bucket=artifact.bucket, Key=artifact.key)["Body"].read()
        files = _files(content) if extract else {"": content}
        for name, data in files.items():
            object_key = f"{prefix.rstrip('/')}/{name}".strip("/")
            kind = mimetypes.guess_type(object_key)[0] or "application/octet-stream"
            s3.put_object(Bucket=bucket, Key=object_key, Body=data, ContentType=kind, **options)
    except ClientError as error:
        raise denied_or_failed(error) from None
    return ActionResult(summary=f"Deployed {len(files)} objects to the bucket {bucket}")


def _files(content: bytes) -> dict[str, bytes]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile:
        raise ActionError("JobFailed", "The input artifact is not a zip file") from None
    with archive:
        return {
            item.filename: archive.read(item) for item in archive.infolist() if not item.is_dir()
        }
