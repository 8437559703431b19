"""S3 where moto differs: defaults of new buckets, validation of bucket policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.account.core import policy_documents
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import amends, checks

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call


@amends("s3", "CreateBucket")
def new_bucket(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Encrypt new buckets, block public access and disable ACLs, as since April 2023 (S3 user
    guide, "FAQ").
    """
    s3, name = context.backend("s3"), call["Bucket"]
    bucket = s3.get_bucket(name)
    if bucket.encryption is None:
        rule = {
            "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
            "BucketKeyEnabled": False,
        }
        bucket.encryption = {"Rule": rule}
        switches = (
            "BlockPublicAcls",
            "IgnorePublicAcls",
            "BlockPublicPolicy",
            "RestrictPublicBuckets",
        )
        s3.put_public_access_block(name, dict.fromkeys(switches, "true"))
        ownership = call.get("ObjectOwnership") or "BucketOwnerEnforced"
        bucket.ownership_rule = ownership


@amends("s3", "GetBucketNotificationConfiguration")
def told_event_bridge(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Return the EventBridge configuration, which moto stores but does not return."""
    configuration = context.backend("s3").get_bucket(call["Bucket"]).notification_configuration
    if configuration is not None and configuration.event_bridge is not None:
        result["EventBridgeConfiguration"] = {}


@checks("s3", "PutBucketPolicy")
def check_policy(context: RequestContext, call: Call) -> None:
    """Validate a bucket policy: this bucket, not public if that is blocked."""
    arn = f"arn:aws:s3:::{call['Bucket']}"

    def malformed(text: str) -> AwsError:
        return AwsError("MalformedPolicy", text)

    statements = policy_documents.statements(call["Policy"], malformed, principal=True)
    policy_documents.check_principals(context, statements, malformed)
    bucket = context.backend("s3").buckets.get(call["Bucket"])
    for statement in statements:
        resources = statement.get("Resource", statement.get("NotResource"))
        named = [resources] if isinstance(resources, str) else resources or []
        if not named or any(
            r != arn and not r.startswith(f"{arn}/") and r not in {"*", "arn:aws:s3:::*"}
            for r in named
        ):
            raise malformed("Policy has invalid resource")
        actions = statement.get("Action", [])
        for action in [actions] if isinstance(actions, str) else actions:
            if action != "*" and not action.startswith("s3:"):
                raise malformed("Policy has invalid action")
        public = (
            statement["Effect"] == "Allow"
            and "*" in policy_documents.aws_principals(statement)
            and not statement.get("Condition")
        )
        block = getattr(bucket, "public_access_block", None)
        if public and block is not None and str(block.block_public_policy).lower() == "true":
            text = (
                "User is not authorized to perform: s3:PutBucketPolicy because public policies are "
                "prevented by the BlockPublicPolicy setting in S3 Block Public Access."
            )
            raise AwsError("AccessDenied", text, status=403)


@checks("s3", "PutBucketNotificationConfiguration")
def check_destinations(context: RequestContext, call: Call) -> None:
    """Validate the topics of notifications."""
    for configuration in (call.get("NotificationConfiguration") or {}).get(
        "TopicConfigurations"
    ) or []:
        arn = configuration["TopicArn"]
        if (
            arn
            not in context.backend(
                "sns", arn.split(":")[3] if arn.count(":") == 5 else call.region
            ).topics
        ):
            raise AwsError(
                "InvalidArgument",
                f"Unable to validate the following destination configurations: {arn}",
            )


@amends("s3", "PutObject")
def entity_tag(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Return the entity tag, which moto omits for objects that a KMS key encrypts.

    Source: docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html (ETag).
    """
    stored = context.backend("s3").get_object(call["Bucket"], call["Key"])
    if stored is not None:
        result["ETag"] = stored.etag
