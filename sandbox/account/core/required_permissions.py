"""The permissions that a request needs: actions, resources and condition keys.

Source: Service Authorization Reference; for the permissions on KMS keys, the services' guides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends
from sandbox.account.core.policy_evaluation import Requirement
from sandbox.account.core.wire import ACCOUNT_ID

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

# Service prefixes of IAM actions that differ from botocore's service names.
_PREFIXES = {
    "elbv2": "elasticloadbalancing",
    "efs": "elasticfilesystem",
    "stepfunctions": "states",
    "cloudwatch": "cloudwatch",
    "opensearch": "es",
}
_S3_ACTIONS = {
    "ListBuckets": "ListAllMyBuckets",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListParts": "ListMultipartUploadParts",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "DeleteObjects": "DeleteObject",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
}
# Their resource is always "*" in a policy.
_WITHOUT_RESOURCE = {
    "ecr:GetAuthorizationToken",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "kms:ListKeys",
    "kms:ListAliases",
    "logs:DescribeLogGroups",
    "s3:ListAllMyBuckets",
}
_OBJECT_WRITES = ("PutObject", "CreateMultipartUpload", "CopyObject")


def of(context: RequestContext, call: Call) -> list[Requirement]:
    """Return the permissions that a request needs."""
    action = _action(call)
    if action in _WITHOUT_RESOURCE:
        return [Requirement(action, "*")]
    extra = _conditions(context, call)
    required = [Requirement(action, item, extra) for item in _resources(context, call)]
    match call.service:
        case "s3":
            required += _of_s3(context, call)
        case "sts" if call.operation == "AssumeRole" and call.get("Tags"):
            required.append(Requirement("sts:TagSession", call["RoleArn"], extra))
        case "secretsmanager" if call.operation == "GetSecretValue":
            key = getattr(_secret(context, call), "kms_key_id", None)
            required += _on_key(context, call, key, "secretsmanager", "kms:Decrypt")
        case "ssm" if call.get("WithDecryption"):
            for name in call.get("Names") or [call.get("Name")]:
                parameter = _parameter(context, call, str(name))
                key = getattr(parameter, "keyid", None)
                required += _on_key(context, call, key, "ssm", "kms:Decrypt")
        case "sns" if call.operation in {"Publish", "PublishBatch"}:
            topic = context.backend("sns", call.region).topics.get(call.get("TopicArn"))
            key = getattr(topic, "kms_master_key_id", None)
            # SNS Developer Guide, "Managing Amazon SNS encryption keys and costs".
            actions = ("kms:GenerateDataKey", "kms:Decrypt")
            required += _on_key(context, call, key, "sns", *actions)
    return required


def _action(call: Call) -> str:
    if call.service == "s3":
        name = _S3_ACTIONS.get(call.operation, call.operation)
        versioned = name in {"GetObject", "DeleteObject", "GetObjectTagging", "GetObjectAcl"}
        if versioned and call.get("VersionId"):
            name = {"GetObjectTagging": "GetObjectVersionTagging"}.get(name) or name.replace(
                "Object", "ObjectVersion"
            )
        return f"s3:{name}"
    prefix = _PREFIXES.get(call.service) or call.model.service_model.signing_name
    return f"{prefix}:{call.operation}"


def _conditions(context: RequestContext, call: Call) -> dict[str, str]:
    """Return the condition keys of a request that statements use most."""
    match call.service, call.operation:
        case "ec2", "CreateNetworkInterfacePermission":
            interface = context.backend("ec2", call.region).enis.get(call["NetworkInterfaceId"])
            subnet = getattr(getattr(interface, "subnet", None), "id", "")
            return {
                "ec2:authorizedservice": call.get("AwsService", ""),
                "ec2:permission": call["Permission"],
                "ec2:subnet": _arn("ec2", call.region, f"subnet/{subnet}"),
            }
        case "iam", _ if call.get("RoleName"):
            # The boundary that the role has; for these two, the one that the request gives it.
            role = _role(context, call)
            boundary = getattr(role, "permissions_boundary_arn", None)
            if call.operation in {"CreateRole", "PutRolePermissionsBoundary"}:
                boundary = call.get("PermissionsBoundary")
            conditions = {
                "iam:permissionsboundary": boundary,
                "iam:policyarn": call.get("PolicyArn"),
            }
            return {key: str(value) for key, value in conditions.items() if value}
        case "sts", "AssumeRole":
            conditions = {
                "sts:externalid": call.get("ExternalId"),
                "sts:rolesessionname": call["RoleSessionName"],
            }
            return {key: str(value) for key, value in conditions.items() if value}
        case "kms", _:
            alias = str(call.get("KeyId") or "").rpartition(":")[2]
            conditions = {
                "kms:requestalias": alias if alias.startswith("alias/") else None,
                "kms:signingalgorithm": call.get("SigningAlgorithm"),
            }
            return {key: str(value) for key, value in conditions.items() if value}
        case "s3", _:
            names = {
                "ACL": "s3:x-amz-acl",
                "ServerSideEncryption": "s3:x-amz-server-side-encryption",
                "SSEKMSKeyId": "s3:x-amz-server-side-encryption-aws-kms-key-id",
                "Prefix": "s3:prefix",
            }
            return {key: str(call[name]) for name, key in names.items() if call.get(name)}
    return {}


def _of_s3(context: RequestContext, call: Call) -> list[Requirement]:
    """Return permissions on ACLs, copied objects and keys.

    S3 User Guide, "Using server-side encryption with AWS KMS keys", "Permissions".
    """
    if not call.get("Key"):
        return []
    required = []
    name, resource = call["Bucket"], _resource(context, call)
    bucket = context.backend("s3").buckets.get(name)
    if call.operation in _OBJECT_WRITES:
        if call.get("ACL"):
            required.append(Requirement("s3:PutObjectAcl", resource, _conditions(context, call)))
        key = call.get("SSEKMSKeyId") if call.get("ServerSideEncryption") != "AES256" else None
        if not call.get("ServerSideEncryption"):
            key = _default_key(bucket)
        required += _on_key(context, call, key, "s3", "kms:GenerateDataKey")
    if call.operation == "CopyObject":
        source = str(call["CopySource"]).lstrip("/").partition("?")[0]
        required.append(Requirement("s3:GetObject", f"arn:aws:s3:::{source}"))
        owner, _, path = source.partition("/")
        key = _key_of(context.backend("s3").buckets.get(owner), path, None)
        required += _on_key(context, call, key, "s3", "kms:Decrypt")
    if call.operation == "GetObject":
        key = _key_of(bucket, call["Key"], call.get("VersionId"))
        required += _on_key(context, call, key, "s3", "kms:Decrypt")
    if call.operation == "UploadPart" and bucket is not None:
        key = getattr(bucket.multiparts.get(call["UploadId"]), "kms_key_id", None)
        required += _on_key(context, call, key or _default_key(bucket), "s3", "kms:Decrypt")
    return required


def _default_key(bucket: Any | None) -> str | None:
    rule = ((getattr(bucket, "encryption", None) or {}).get("Rule")) or {}
    default = rule.get("ApplyServerSideEncryptionByDefault") or {}
    return default.get("KMSMasterKeyID") if default.get("SSEAlgorithm") != "AES256" else None


def _key_of(bucket: Any | None, name: str, version: str | None) -> str | None:
    if bucket is None:
        return None
    versions = bucket.keys.getlist(name, [])
    matching = [item for item in versions if version in {None, str(item.version_id)}]
    stored = matching[-1] if matching else None
    encryption = str(getattr(stored, "encryption", None) or "")
    return getattr(stored, "kms_key_id", None) if encryption.startswith("aws:kms") else None


def _on_key(
    context: RequestContext, call: Call, key: str | None, service: str, *actions: str
) -> list[Requirement]:
    """Return permissions on a customer managed key that a service uses for the caller.

    AWS managed keys (alias/aws/…) allow it to all principals of the account.
    """
    if not key or "alias/aws/" in str(key):
        return []
    record = moto_backends.key(context, call.region, str(key))
    short = str(key).rpartition(":")[2].removeprefix("key/")
    arn = str(record.arn) if record is not None else _arn("kms", call.region, f"key/{short}")
    via = {"kms:viaservice": f"{service}.{call.region}.amazonaws.com"}
    return [Requirement(action, arn, via) for action in actions]


def _resources(context: RequestContext, call: Call) -> Sequence[str | None]:  # noqa: PLR0911 - one per operation
    """Return the ARNs of the request's resources; None stands for an unknown one."""
    match call.service, call.operation:
        case "codebuild", "BatchGetBuilds" | "BatchGetBuildBatches":
            # An ID is PROJECT:UUID; the end of an ARN is the same.
            names = {str(id).rpartition("/")[2].partition(":")[0] for id in call["ids"]}
            return [_arn("codebuild", call.region, f"project/{name}") for name in sorted(names)]
        case "codebuild", _ if call.get("id"):
            project = str(call["id"]).rpartition("/")[2].partition(":")[0]
            return [_arn("codebuild", call.region, f"project/{project}")]
        case "cloudwatch", "DescribeAlarms" if call.get("AlarmNames"):
            return [_arn("cloudwatch", call.region, f"alarm:{n}") for n in call["AlarmNames"]]
        case "codepipeline", _ if call.get("stageName"):
            parts = [call["pipelineName"], call["stageName"], call.get("actionName")]
            return [_arn("codepipeline", call.region, "/".join(filter(None, parts)))]
        case "ssm", "GetParameters":
            return [_parameter_arn(call, str(name)) for name in call["Names"]]
        case "ec2", "CreateNetworkInterface":
            names = {f"subnet/{call['SubnetId']}", "network-interface/*"}
            names |= {f"security-group/{id}" for id in call.get("Groups") or ()}
            return [_arn("ec2", call.region, name) for name in sorted(names)]
        case "ec2", _ if call.get("NetworkInterfaceId"):
            return [_arn("ec2", call.region, f"network-interface/{call['NetworkInterfaceId']}")]
        case "iam", _ if call.get("RoleName"):
            role = _role(context, call)
            path = (call.get("Path") or "/") + str(call["RoleName"])
            return [str(role.arn) if role else f"arn:aws:iam::{ACCOUNT_ID}:role{path}"]
        case "kms", _ if call.get("KeyId"):
            key = moto_backends.key(context, call.region, str(call["KeyId"]))
            short = str(call["KeyId"]).rpartition(":")[2].removeprefix("key/")
            return [str(key.arn) if key else _arn("kms", call.region, f"key/{short}")]
    return [_resource(context, call)]


def _role(context: RequestContext, call: Call) -> Any | None:
    roles = context.backend("iam").roles.values()
    return next((role for role in roles if role.name == call["RoleName"]), None)


def _arn(service: str, region: str, resource: str) -> str:
    return f"arn:aws:{service}:{region}:{ACCOUNT_ID}:{resource}"


def _resource(context: RequestContext, call: Call) -> str | None:  # noqa: PLR0911 - one per service
    """Return the ARN of the request's resource, or None if it is not known."""
    if call.service == "secretsmanager" and call.get("SecretId"):
        secret = _secret(context, call)
        return str(secret.arn) if secret is not None else _secret_arn(call)
    if call.service == "s3" and call.get("Bucket"):
        key = f"/{call['Key']}" if call.get("Key") else ""
        return f"arn:aws:s3:::{call['Bucket']}{key}"
    if call.service == "logs" and call.operation in _LOG_STREAM_OPERATIONS:
        stream = f"{call['logGroupName']}:log-stream:{call.get('logStreamName', '')}"
        return f"arn:aws:logs:{call.region}:{ACCOUNT_ID}:log-group:{stream}"
    if call.service == "ssm" and isinstance(call.get("Name"), str):
        return _parameter_arn(call, call["Name"])
    for parameter, form in _RESOURCES.get(call.service, ()):
        value = call.get(parameter)
        if isinstance(value, str):
            if value.startswith("arn:"):
                return value
            service = _action(call).partition(":")[0]
            return _arn(service, call.region, f"{form}{value}")
    return None


# Parameter and the ARN's part before its value, by botocore's service name.
_RESOURCES: dict[str, Sequence[tuple[str, str]]] = {
    "codebuild": (("projectName", "project/"),),
    "codepipeline": (("pipelineName", ""), ("name", "")),
    "ecr": (("repositoryName", "repository/"),),
    "eks": (("clusterName", "cluster/"), ("name", "cluster/")),
    "iam": (("PolicyArn", ""), ("OpenIDConnectProviderArn", "")),
    "logs": (("logGroupName", "log-group:"),),
    "sns": (("TopicArn", ""),),
    "sts": (("RoleArn", ""),),
}
# Their resource in AWS's messages ends with ":log-stream:NAME", so grants need "GROUP-ARN:*".
_LOG_STREAM_OPERATIONS = {
    *("CreateLogGroup", "CreateLogStream", "DeleteLogStream", "GetLogEvents", "PutLogEvents"),
}
_RANDOM_SUFFIX = re.compile(r"-\w{6}\Z")


def _parameter_arn(call: Call, name: str) -> str:
    if name.startswith("arn:"):
        return name
    return _arn("ssm", call.region, f"parameter/{name.lstrip('/')}")


def _parameter(context: RequestContext, call: Call, name: str) -> Any | None:
    name = name.rpartition(":parameter")[2] if name.startswith("arn:") else name
    return context.backend("ssm", call.region).get_parameters([name]).get(name)


def _secret(context: RequestContext, call: Call) -> Any | None:
    secrets = context.backend("secretsmanager", call.region).secrets
    name = call["SecretId"]
    return next(
        (
            s
            for s in secrets.values()
            if name in {s.arn, s.name, _RANDOM_SUFFIX.sub("", str(s.arn))}
        ),
        None,
    )


def _secret_arn(call: Call) -> str:
    name = str(call["SecretId"])
    if name.startswith("arn:"):
        return name
    return f"arn:aws:secretsmanager:{call.region}:{ACCOUNT_ID}:secret:{name}"
