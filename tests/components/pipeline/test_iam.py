"""IAM statements of the pipeline's roles."""

import json
from typing import Any

from tests.components.factories import pipeline, record
from tests.program.recording import Recording

ACCESS_ENTRY = "aws:eks/accessEntry:AccessEntry"
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
    assert writers == {"one", "one-source"}


def test_upload_without_encryption_header_is_not_denied() -> None:
    recording = record(lambda: pipeline("one"))
    policy = json.loads(recording.one("aws:s3/bucketPolicy:BucketPolicy", "one").inputs["policy"])
    (deny,) = [s for s in policy["Statement"] if s["Sid"] == "DenyOtherEncryption"]
    assert deny["Condition"] == {
        "Null": {"s3:x-amz-server-side-encryption": "false"},
        "StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"},
    }
