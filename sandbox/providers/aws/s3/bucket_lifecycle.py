"""S3: lifecycle rules of a bucket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.providers.aws.properties import (
    Property,
    block,
    boolean,
    integer,
    length,
    list_of,
    map_of,
    set_of,
    text,
)
from sandbox.providers.aws.resource import Call
from sandbox.providers.aws.s3.bucket_settings import BUCKET, BucketSetting
from sandbox.providers.aws.s3.buckets import MISSING
from sandbox.providers.protocol import Properties

_SIZES = {"objectSizeGreaterThan": integer(), "objectSizeLessThan": integer()}
_TRANSITION = {"date": text(), "days": integer(), "storageClass": text(required=True)}
_RULE: Mapping[str, Property] = {
    "abortIncompleteMultipartUpload": block({"daysAfterInitiation": integer()}),
    "expiration": block(
        {"date": text(), "days": integer(), "expiredObjectDeleteMarker": boolean()}
    ),
    "filter": block(
        {
            "and": block({**_SIZES, "prefix": text(), "tags": map_of()}),
            **_SIZES,
            "prefix": text(),
            "tag": block({"key": text(required=True), "value": text(required=True)}),
        }
    ),
    "id": text(required=True, rule=length(1, 255)),
    "noncurrentVersionExpiration": block(
        {"newerNoncurrentVersions": integer(), "noncurrentDays": integer()}
    ),
    "noncurrentVersionTransitions": set_of(
        block(
            {
                "newerNoncurrentVersions": integer(),
                "noncurrentDays": integer(),
                "storageClass": text(required=True),
            }
        )
    ),
    "prefix": text(),
    "status": text(required=True, one_of=("Enabled", "Disabled")),
    "transitions": set_of(block(_TRANSITION)),
}
_API = {"id": "ID"}


def _to_api(value: Any, spec: Property) -> Any:
    if spec.kind == "block":
        return {
            _API.get(name, name[0].upper() + name[1:]): _to_api(value[name], inner)
            for name, inner in spec.fields.items()
            if value.get(name) not in (None, [], {})
        }
    if spec.kind == "set" and spec.items:
        return [_to_api(item, spec.items) for item in value]
    if spec.kind == "map":
        return [{"Key": key, "Value": item} for key, item in value.items()]
    return value


def _from_api(value: Any, spec: Property) -> Any:
    if spec.kind == "block":
        properties = {
            name: _from_api(value[_API.get(name, name[0].upper() + name[1:])], inner)
            for name, inner in spec.fields.items()
            if value.get(_API.get(name, name[0].upper() + name[1:])) is not None
        }
        return {name: item for name, item in properties.items() if item not in ({}, [])}
    if spec.kind == "set" and spec.items:
        return [_from_api(item, spec.items) for item in value]
    if spec.kind == "map":
        return {tag["Key"]: tag["Value"] for tag in value}
    return value.isoformat() if hasattr(value, "isoformat") else value


class BucketLifecycleConfiguration(BucketSetting):
    """The lifecycle rules."""

    token = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    noun = "S3 Bucket Lifecycle Configuration"
    inputs = {"bucket": BUCKET, "rules": list_of(block(_RULE), required=True)}
    missing = (*MISSING, "NoSuchLifecycleConfiguration")

    def put(self, call: Call, bucket: str, inputs: Properties) -> None:
        rules = [_to_api(rule, block(_RULE)) for rule in inputs["rules"]]
        for rule in rules:
            if "Prefix" not in rule:
                rule.setdefault("Filter", {"Prefix": ""})  # the API requires one of the two
        call.client("s3").put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": rules}
        )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        response = call.client("s3").get_bucket_lifecycle_configuration(Bucket=id)["Rules"]
        return {"bucket": id, "rules": [_from_api(rule, block(_RULE)) for rule in response]}

    def delete(self, call: Call, id: str, state: Properties) -> None:
        call.client("s3").delete_bucket_lifecycle(Bucket=id)


TYPES = (BucketLifecycleConfiguration(),)
