"""IAM statements of the pipeline's roles."""

import json
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import pytest

from settings.sections import Source
from tests.components.factories import REPOSITORY_ARN, pipeline, record
from tests.program.recording import Recording

ACCESS_ENTRY = "aws:eks/accessEntry:AccessEntry"
DEV_ARN = REPOSITORY_ARN.replace("test/image", "dev/image")
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"


def statements(recording: Recording, role: str) -> dict[str, Any]:
    """Statements of a role by their ID."""
    policy = json.loads(recording.one(ROLE_POLICY, role).inputs["policy"])
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def test_internal_service_is_verified_through_the_kubernetes_api() -> None:
    recording = record(lambda: pipeline("one", url=None))
    entries = {entry.name for entry in recording.all(ACCESS_ENTRY)}
    assert entries == {"one-deploy", "one-verify"}
    assert "DescribeCluster" in statements(recording, "one-verify")


def test_service_with_a_url_is_verified_without_cluster_access() -> None:
    recording = record(lambda: pipeline("one"))
    assert {entry.name for entry in recording.all(ACCESS_ENTRY)} == {"one-deploy"}
    assert "DescribeCluster" not in statements(recording, "one-verify")


def test_approval_may_use_the_key_of_its_topic() -> None:
    encrypt = statements(record(lambda: pipeline("one")), "one")["EncryptApprovalRequests"]
    assert encrypt["Resource"] == ["arn:aws:kms:us-east-1:123456789012:key/test"]
    condition = {"StringEquals": {"kms:ViaService": "sns.us-east-1.amazonaws.com"}}
    assert encrypt["Condition"] == condition


def test_only_pipeline_and_source_role_write_artifacts() -> None:
    recording = record(lambda: pipeline("one"))
    writers = {
        policy.name
        for policy in recording.all(ROLE_POLICY)
        if "s3:PutObject" in policy.inputs["policy"]
    }
    pull_requests = {"one-pull-request-pipeline", "one-pull-request-source"}
    assert writers == {"one", "one-source", *pull_requests}


def test_upload_without_encryption_header_is_not_denied() -> None:
    recording = record(lambda: pipeline("one"))
    policy = json.loads(recording.one("aws:s3/bucketPolicy:BucketPolicy", "one").inputs["policy"])
    (deny,) = [s for s in policy["Statement"] if s["Sid"] == "DenyOtherEncryption"]
    assert deny["Condition"] == {
        "Null": {"s3:x-amz-server-side-encryption": "false"},
        "StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"},
    }


def test_source_role_may_upload_with_an_acl_header() -> None:
    """The source action fails with `Access Denied` otherwise (aws/aws-cdk#13557)."""
    artifacts = statements(record(lambda: pipeline("one")), "one-source")["Artifacts"]
    assert "s3:PutObjectAcl" in artifacts["Action"]


def test_s3_source_role_may_list_the_bucket_and_read_version_tags() -> None:
    recording = record(lambda: pipeline("one", source=Source(kind="s3")))
    source = statements(recording, "one-source")
    assert "s3:ListBucket" in source["ReadSourceBucket"]["Action"]
    assert "s3:GetObjectVersionTagging" in source["ReadSourceObject"]["Action"]


def test_pipeline_role_trusts_the_service_for_the_account_without_source_arn() -> None:
    role = record(lambda: pipeline("one")).one("aws:iam/role:Role", "one")
    (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


@pytest.mark.parametrize("promote_from", [None, "dev/image-proven"])
def test_only_the_verify_role_may_write_proven_images(promote_from: str | None) -> None:
    recording = record(partial(pipeline, "one", promote_from=promote_from))
    proven_arns = [f"{REPOSITORY_ARN}-proven", f"{DEV_ARN}-proven"]
    writers = {
        policy.name
        for policy in recording.all(ROLE_POLICY)
        for statement in json.loads(policy.inputs["policy"])["Statement"]
        for action in ("ecr:PutImage", "ecr:BatchDeleteImage", "ecr:InitiateLayerUpload")
        for arn in proven_arns
        if allows(statement, action, arn)
    }
    assert writers == {"one-verify"}


def allows(statement: dict[str, Any], action: str, resource: str) -> bool:
    """Whether a statement allows an action, whatever its conditions."""
    return (
        statement["Effect"] == "Allow"
        and any(fnmatchcase(action, pattern) for pattern in statement["Action"])
        and any(fnmatchcase(resource, pattern) for pattern in statement["Resource"])
    )
