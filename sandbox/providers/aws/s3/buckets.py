"""S3: buckets.

Replacements and defaults: pulumi_aws's documentation of aws.s3.Bucket. Its deprecated arguments
(acl, versioning, lifecycleRules, …) are not emulated; each has its own type (see
`bucket_settings`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from sandbox.providers.aws.operation import code_of
from sandbox.providers.aws.properties import boolean, length, text
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Failure, Properties

MISSING = ("NoSuchBucket", "404")
_NAME = re.compile(r"^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$")
_ADDRESS = re.compile(r"^\d+\.\d+\.\d+\.\d+$")
# Route 53 zone IDs of S3 website endpoints: docs.aws.amazon.com/general/latest/gr/s3.html
_ZONES = {
    "us-east-1": "Z3AQBSTGFYJSTF",
    "us-east-2": "Z2O1EMRO9K5GLX",
    "us-west-1": "Z2F56UZL2M1ACD",
    "us-west-2": "Z3BJ6K6RIION7M",
    "eu-west-1": "Z1BKCTXD74EZPE",
    "eu-central-1": "Z21DNDUVLTQW6Q",
}


def _name(value: str) -> str | None:
    if not _NAME.match(value) or ".." in value or _ADDRESS.match(value):
        return f"a bucket name (lower-case letters, digits, dots and hyphens), not {value!r}"
    return length(3, 63)(value)


class Bucket(Handler):
    """A bucket."""

    token = "aws:s3/bucket:Bucket"
    noun = "S3 Bucket"
    inputs = {
        "bucket": text(replaces=True, rule=_name),
        "forceDestroy": boolean(default=False, write_only=True),
        "objectLockEnabled": boolean(computed=True, replaces=True),
    }
    outputs = (
        "arn",
        "bucketDomainName",
        "bucketRegion",
        "bucketRegionalDomainName",
        "hostedZoneId",
    )
    autoname = AutoName("bucket", 63, lower=True)
    tagged = True
    missing = MISSING

    def create(self, call: Call, inputs: Properties) -> str:
        s3, name = call.client("s3"), inputs["bucket"]
        request: dict[str, Any] = {}
        if call.region != "us-east-1":
            request["CreateBucketConfiguration"] = {"LocationConstraint": call.region}
        if inputs.get("objectLockEnabled"):
            request["ObjectLockEnabledForBucket"] = True
        if call.region == "us-east-1" and self._exists(call, name):
            # us-east-1 returns 200 for an existing bucket; the AWS provider checks first.
            raise Failure(
                "api error BucketAlreadyExists: The requested bucket name is not available."
            )
        s3.create_bucket(Bucket=name, **request)
        call.record_created(name)
        self._tag(call, name, inputs["tagsAll"])
        return str(name)

    def _exists(self, call: Call, name: str) -> bool:
        try:
            call.client("s3").head_bucket(Bucket=name)
        except ClientError as error:
            return code_of(error) not in self.missing
        return True

    def _tag(self, call: Call, name: str, tags: Mapping[str, str]) -> None:
        if tags:
            tagging = {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}
            call.client("s3").put_bucket_tagging(Bucket=name, Tagging=tagging)

    def _tags(self, call: Call, name: str) -> dict[str, str]:
        try:
            tags = call.client("s3").get_bucket_tagging(Bucket=name)["TagSet"]
        except ClientError as error:
            if code_of(error) != "NoSuchTagSet":
                raise
            return {}
        return {tag["Key"]: tag["Value"] for tag in tags}

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        s3 = call.client("s3")
        s3.head_bucket(Bucket=id)
        region = s3.get_bucket_location(Bucket=id).get("LocationConstraint") or "us-east-1"
        return {
            "arn": call.arn("s3", id, region=False, account=False),
            "bucket": id,
            "bucketDomainName": f"{id}.s3.amazonaws.com",
            "bucketRegion": region,
            "bucketRegionalDomainName": f"{id}.s3.{region}.amazonaws.com",
            "hostedZoneId": _ZONES.get(region, ""),
            "objectLockEnabled": self._locked(call, id),
            "tagsAll": self._tags(call, id),
        }

    def _locked(self, call: Call, name: str) -> bool:
        try:
            configuration = call.client("s3").get_object_lock_configuration(Bucket=name)
        except ClientError as error:
            if code_of(error) not in (
                "ObjectLockConfigurationNotFoundError",
                "ObjectLockConfigurationNotFound",
            ):
                raise
            return False
        return bool(configuration["ObjectLockConfiguration"].get("ObjectLockEnabled") == "Enabled")

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Update `forceDestroy`, in the state only."""

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        tags = {
            key: value for key, value in self._tags(call, id).items() if key not in drop
        } | dict(put)
        if tags:
            self._tag(call, id, tags)
        else:
            call.client("s3").delete_bucket_tagging(Bucket=id)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        s3 = call.client("s3")
        try:
            s3.delete_bucket(Bucket=id)
        except ClientError as error:
            if code_of(error) != "BucketNotEmpty" or not state.get("forceDestroy"):
                raise
            self._empty(call, id)
            s3.delete_bucket(Bucket=id)

    def _empty(self, call: Call, name: str) -> None:
        s3 = call.client("s3")
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
            versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            objects = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in versions]
            if objects:
                s3.delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True})
        for upload in s3.list_multipart_uploads(Bucket=name).get("Uploads", []):
            s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])


TYPES = (Bucket(),)
