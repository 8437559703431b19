"""S3: settings of a bucket: versioning, encryption, access, policy, notifications, access log.

Replacements and defaults: pulumi_aws's documentation. The ID of each is the bucket's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.providers.aws.properties import (
    Property,
    block,
    boolean,
    list_of,
    policy,
    set_of,
    text,
)
from sandbox.providers.aws.resource import Call, Handler
from sandbox.providers.aws.s3.buckets import MISSING
from sandbox.providers.protocol import Properties

BUCKET = text(required=True, replaces=True)


class BucketSetting(Handler):
    """A setting that creation and update replace as a whole."""

    def put(self, call: Call, bucket: str, inputs: Properties) -> None:
        """Replace the setting."""
        raise NotImplementedError

    def create(self, call: Call, inputs: Properties) -> str:
        self.put(call, inputs["bucket"], inputs)
        return call.record_created(inputs["bucket"])

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        self.put(call, id, new)


class BucketVersioning(BucketSetting):
    """Versioning. Deletion suspends it, because it cannot be turned off."""

    token = "aws:s3/bucketVersioning:BucketVersioning"
    noun = "S3 Bucket Versioning"
    inputs = {
        "bucket": BUCKET,
        "versioningConfiguration": block(
            {
                "mfaDelete": text(computed=True, one_of=("Enabled", "Disabled")),
                "status": text(required=True, one_of=("Enabled", "Suspended", "Disabled")),
            },
            required=True,
        ),
    }
    missing = MISSING

    def put(self, call: Call, bucket: str, inputs: Properties) -> None:
        versioning = inputs["versioningConfiguration"]
        if versioning["status"] == "Disabled":
            return  # the state of a new bucket
        request = {"Status": versioning["status"]}
        if versioning.get("mfaDelete"):
            request["MFADelete"] = versioning["mfaDelete"]
        call.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration=request)

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        response = call.client("s3").get_bucket_versioning(Bucket=id)
        configuration = {"status": response.get("Status", "Disabled")}
        if response.get("MFADelete"):
            configuration["mfaDelete"] = response["MFADelete"]
        return {"bucket": id, "versioningConfiguration": configuration}

    def delete(self, call: Call, id: str, state: Properties) -> None:
        if state["versioningConfiguration"].get("status") == "Enabled":
            call.client("s3").put_bucket_versioning(
                Bucket=id, VersioningConfiguration={"Status": "Suspended"}
            )


class BucketServerSideEncryptionConfiguration(BucketSetting):
    """Server-side encryption."""

    token = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    noun = "S3 Bucket Server-side Encryption Configuration"
    inputs = {
        "bucket": BUCKET,
        "rules": set_of(
            block(
                {
                    "applyServerSideEncryptionByDefault": block(
                        {
                            "kmsMasterKeyId": text(),
                            "sseAlgorithm": text(
                                required=True, one_of=("AES256", "aws:kms", "aws:kms:dsse")
                            ),
                        }
                    ),
                    "bucketKeyEnabled": boolean(),
                }
            ),
            required=True,
        ),
    }
    missing = (*MISSING, "ServerSideEncryptionConfigurationNotFoundError")

    def put(self, call: Call, bucket: str, inputs: Properties) -> None:
        rules = []
        for rule in inputs["rules"]:
            request: dict[str, Any] = {"BucketKeyEnabled": bool(rule.get("bucketKeyEnabled"))}
            default = rule.get("applyServerSideEncryptionByDefault")
            if default:
                key = (
                    {"KMSMasterKeyID": default["kmsMasterKeyId"]}
                    if default.get("kmsMasterKeyId")
                    else {}
                )
                request["ApplyServerSideEncryptionByDefault"] = {
                    "SSEAlgorithm": default["sseAlgorithm"],
                    **key,
                }
            rules.append(request)
        call.client("s3").put_bucket_encryption(
            Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules}
        )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        response = call.client("s3").get_bucket_encryption(Bucket=id)[
            "ServerSideEncryptionConfiguration"
        ]
        rules = []
        for rule in response["Rules"]:
            default = rule.get("ApplyServerSideEncryptionByDefault") or {}
            applied: dict[str, Any] = {"sseAlgorithm": default.get("SSEAlgorithm")}
            if default.get("KMSMasterKeyID"):
                applied["kmsMasterKeyId"] = default["KMSMasterKeyID"]
            entry = {"applyServerSideEncryptionByDefault": applied} if default else {}
            rules.append({**entry, "bucketKeyEnabled": bool(rule.get("BucketKeyEnabled"))})
        return {"bucket": id, "rules": rules}

    def delete(self, call: Call, id: str, state: Properties) -> None:
        call.client("s3").delete_bucket_encryption(Bucket=id)


class BucketPublicAccessBlock(BucketSetting):
    """The public access block."""

    token = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    noun = "S3 Bucket Public Access Block"
    inputs = {
        "blockPublicAcls": boolean(default=False),
        "blockPublicPolicy": boolean(default=False),
        "bucket": BUCKET,
        "ignorePublicAcls": boolean(default=False),
        "restrictPublicBuckets": boolean(default=False),
        "skipDestroy": boolean(write_only=True),
    }
    missing = (*MISSING, "NoSuchPublicAccessBlockConfiguration")
    _names = {
        "blockPublicAcls": "BlockPublicAcls",
        "blockPublicPolicy": "BlockPublicPolicy",
        "ignorePublicAcls": "IgnorePublicAcls",
        "restrictPublicBuckets": "RestrictPublicBuckets",
    }

    def put(self, call: Call, bucket: str, inputs: Properties) -> None:
        request = {api: bool(inputs.get(name)) for name, api in self._names.items()}
        call.client("s3").put_public_access_block(
            Bucket=bucket, PublicAccessBlockConfiguration=request
        )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        response = call.client("s3").get_public_access_block(Bucket=id)[
            "PublicAccessBlockConfiguration"
        ]
        return {
            "bucket": id,
            **{name: bool(response.get(api)) for name, api in self._names.items()},
        }

    def delete(self, call: Call, id: str, state: Properties) -> None:
        if not state.get("skipDestroy"):
            call.client("s3").delete_public_access_block(Bucket=id)


class BucketPolicy(BucketSetting):
    """The bucket policy."""

    token = "aws:s3/bucketPolicy:BucketPolicy"
    noun = "S3 Bucket Policy"
    inputs = {"bucket": BUCKET, "policy": policy(required=True)}
    missing = (*MISSING, "NoSuchBucketPolicy")

    def put(self, call: Call, bucket: str, inputs: Properties) -> None:
        call.client("s3").put_bucket_policy(Bucket=bucket, Policy=inputs["policy"])

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        return {"bucket": id, "policy": call.client("s3").get_bucket_policy(Bucket=id)["Policy"]}

    def delete(self, call: Call, id: str, state: Properties) -> None:
        call.client("s3").delete_bucket_policy(Bucket=id)


class BucketOwnershipControls(BucketSetting):
    """The ownership of objects."""

    token = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
    noun = "S3 Bucket Ownership Controls"
    inputs = {
        "bucket": BUCKET,
        "rule": block(
            {
                "objectOwnership": text(
                    required=True,
                    one_of=("BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced"),
                )
            },
            required=True,
        ),
    }
    missing = (*MISSING, "OwnershipControlsNotFoundError")

    def put(self, call: Call, bucket: str, inputs: Properties) -> None:
        rules = [{"ObjectOwnership": inputs["rule"]["objectOwnership"]}]
        call.client("s3").put_bucket_ownership_controls(
            Bucket=bucket, OwnershipControls={"Rules": rules}
        )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        response = call.client("s3").get_bucket_ownership_controls(Bucket=id)["OwnershipControls"][
            "Rules"
        ]
        return {"bucket": id, "rule": {"objectOwnership": response[0]["ObjectOwnership"]}}

    def delete(self, call: Call, id: str, state: Properties) -> None:
        call.client("s3").delete_bucket_ownership_controls(Bucket=id)


def _targets(arn: str) -> Property:
    return list_of(
        block(
            {
                "events": set_of(text(), required=True),
                "filterPrefix": text(),
                "filterSuffix": text(),
                "id": text(computed=True),
                arn: text(required=True),
            }
        )
    )


class BucketNotification(BucketSetting):
    """The notifications."""

    token = "aws:s3/bucketNotification:BucketNotification"
    noun = "S3 Bucket Notification"
    inputs = {
        "bucket": BUCKET,
        "eventbridge": boolean(default=False),
        "lambdaFunctions": _targets("lambdaFunctionArn"),
        "queues": _targets("queueArn"),
        "topics": _targets("topicArn"),
    }
    missing = MISSING
    _kinds = {
        "lambdaFunctions": (
            "LambdaFunctionConfigurations",
            "lambdaFunctionArn",
            "LambdaFunctionArn",
        ),
        "queues": ("QueueConfigurations", "queueArn", "QueueArn"),
        "topics": ("TopicConfigurations", "topicArn", "TopicArn"),
    }

    def put(self, call: Call, bucket: str, inputs: Properties) -> None:
        request: dict[str, Any] = (
            {"EventBridgeConfiguration": {}} if inputs.get("eventbridge") else {}
        )
        for name, (api, arn, api_arn) in self._kinds.items():
            targets = [self._target(item, arn, api_arn) for item in inputs.get(name) or []]
            request |= {api: targets} if targets else {}
        call.client("s3").put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration=request
        )

    def _target(self, item: Mapping[str, Any], arn: str, api_arn: str) -> dict[str, Any]:
        names = {"filterPrefix": "prefix", "filterSuffix": "suffix"}
        rules = [
            {"Name": api, "Value": item[name]} for name, api in names.items() if item.get(name)
        ]
        target: dict[str, Any] = {api_arn: item[arn], "Events": item["events"]}
        target |= {"Id": item["id"]} if item.get("id") else {}
        return target | ({"Filter": {"Key": {"FilterRules": rules}}} if rules else {})

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        response = call.client("s3").get_bucket_notification_configuration(Bucket=id)
        live: Properties = {"bucket": id, "eventbridge": "EventBridgeConfiguration" in response}
        for name, (api, arn, api_arn) in self._kinds.items():
            live[name] = [
                self._notification(item, arn, api_arn) for item in response.get(api) or []
            ]
        return live

    def _notification(self, item: Mapping[str, Any], arn: str, api_arn: str) -> dict[str, Any]:
        rules = item.get("Filter", {}).get("Key", {}).get("FilterRules") or []
        filters = {f"filter{rule['Name'].capitalize()}": rule["Value"] for rule in rules}
        return {arn: item[api_arn], "events": item["Events"], "id": item.get("Id"), **filters}

    def delete(self, call: Call, id: str, state: Properties) -> None:
        call.client("s3").put_bucket_notification_configuration(
            Bucket=id, NotificationConfiguration={}
        )


class BucketLogging(BucketSetting):
    """The access log, in a bucket whose policy admits logging.s3.amazonaws.com."""

    token = "aws:s3/bucketLogging:BucketLogging"
    noun = "S3 Bucket Logging"
    inputs = {
        "bucket": BUCKET,
        "targetBucket": text(required=True),
        "targetPrefix": text(required=True),
    }
    missing = MISSING

    def put(self, call: Call, bucket: str, inputs: Properties) -> None:
        target = {"TargetBucket": inputs["targetBucket"], "TargetPrefix": inputs["targetPrefix"]}
        call.client("s3").put_bucket_logging(
            Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": target}
        )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        enabled = call.client("s3").get_bucket_logging(Bucket=id).get("LoggingEnabled")
        if not enabled:
            return None
        return {
            "bucket": id,
            "targetBucket": enabled["TargetBucket"],
            "targetPrefix": enabled["TargetPrefix"],
        }

    def delete(self, call: Call, id: str, state: Properties) -> None:
        call.client("s3").put_bucket_logging(Bucket=id, BucketLoggingStatus={})


TYPES = (
    BucketVersioning(),
    BucketServerSideEncryptionConfiguration(),
    BucketPublicAccessBlock(),
    BucketPolicy(),
    BucketOwnershipControls(),
    BucketNotification(),
    BucketLogging(),
)
