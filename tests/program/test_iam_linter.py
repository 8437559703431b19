"""The IAM linter has no unexplained finding about any policy of the program."""

import json

import pytest

from tests.program import iam_linter
from tests.program.iam_linter import ACCEPTED, Policy, accepts, findings, lint, policies


def test_no_finding_is_unexplained() -> None:
    unexplained = [
        finding for finding in findings() if not any(accepts(entry, finding) for entry in ACCEPTED)
    ]
    assert unexplained == []


@pytest.mark.parametrize("entry", ACCEPTED, ids=lambda entry: f"{entry.issue} {entry.resource}")
def test_no_explanation_is_stale(entry: iam_linter.Accepted) -> None:
    assert any(accepts(entry, finding) for finding in findings())


def test_each_kind_of_policy_is_linted() -> None:
    assert {policy.resource.partition("::")[0] for policy in policies()} == {
        "BucketPolicy",
        "Key",
        "Policy",
        "Role",
        "RolePolicy",
        "TopicPolicy",
        "VpcEndpoint",
    }


@pytest.mark.parametrize(
    ("action", "resource", "issue"),
    [
        ("s3:ReadObject", "*", "UNKNOWN_ACTION"),
        ("s3:GetObject", "arn:aws:s3:::bucket", "RESOURCE_MISMATCH"),
        (
            "logs:DescribeLogGroups",
            "arn:aws:logs:us-east-1:123456789012:log-group:*",
            "RESOURCE_MISMATCH",
        ),
    ],
)
def test_faulty_statement_is_found(action: str, resource: str, issue: str) -> None:
    statement = {"Effect": "Allow", "Action": [action], "Resource": [resource]}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    assert issue in {finding.issue for finding in lint(Policy("RolePolicy::one", document))}
