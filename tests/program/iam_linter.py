"""parliament, the IAM linter, over each policy of the program, and its accepted findings.

https://github.com/duo-labs/parliament: syntax, actions, resources and condition keys of policies.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from tests.program.variants import recordings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # parliament imports pkg_resources, which is deprecated
    from parliament import analyze_policy_string

# What the linter needs and a trust policy does not have: the role itself is the resource.
_TRUST = "assumeRolePolicy"


@dataclass(frozen=True)
class Policy:
    """A policy document, and the resource that has it first."""

    resource: str
    """Type and logical name, such as `Key::image`."""
    document: str


@dataclass(frozen=True)
class Finding:
    """A finding of the linter."""

    resource: str
    issue: str
    detail: str


@dataclass(frozen=True)
class Accepted:
    """Findings that match the patterns, and the reason why they are accepted."""

    issue: str
    resource: str
    detail: str
    reason: str


ACCEPTED = (
    Accepted("RESOURCE_STAR", "Key::*", "*", "In a key's policy, `*` is the key."),
    Accepted("RESOURCE_STAR", "Role::*", "*sts:AssumeRole*", "A trust policy has no resource."),
    Accepted(
        "RESOURCE_STAR",
        "RolePolicy::*pipeline-*",
        "*ec2:CreateNetworkInterface*",
        "AWS's policy of builds in a VPC (docs.aws.amazon.com/codebuild/latest/userguide/"
        "auth-and-access-control-iam-identity-based-access-control.html).",
    ),
    Accepted(
        "UNKNOWN_CONDITION_FOR_ACTION",
        "Key::*",
        "*kms:EncryptionContext:aws:logs:arn for action kms:DescribeKey",
        "AWS's statement for encrypted log groups has the condition for all actions.",
    ),
    Accepted(
        "MISMATCHED_TYPE",
        "Key::*",
        "*ArnLike requires a value of type Arn but given String",
        "AWS's statement for encrypted log groups compares the encryption context as an ARN.",
    ),
    Accepted(
        "UNKNOWN_CONDITION_FOR_ACTION",
        "Role::github-*",
        "*token.actions.githubusercontent.com:*",
        "GitHub's tokens have these claims; the linter knows the keys of AWS only.",
    ),
    Accepted(
        "UNKNOWN_FEDERATION_SOURCE",
        "Role::github-*",
        "arn:aws:iam::*:oidc-provider/token.actions.githubusercontent.com",
        "The linter knows SAML providers and the social ones of Cognito only.",
    ),
    Accepted(
        "MISMATCHED_TYPE_BUT_USABLE",
        "Policy::github-boundary",
        "*StringNotEquals requires a value of type String but given Arn",
        "AWS's statement for delegated administration compares the boundary as a string "
        "(docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html).",
    ),
    Accepted(
        "RESOURCE_MISMATCH",
        "RolePolicy::pipeline-*",
        "[[]{'action': 'codestar-connections:*",
        "A connection's ARN begins with `arn:aws:codeconnections`; CodePipeline and CodeBuild may "
        "still ask for the permission under the earlier name of the service.",
    ),
)


@cache
def policies() -> tuple[Policy, ...]:
    """Return the distinct policies of all variants."""
    documents: dict[str, str] = {}
    for recording in recordings().values():
        for resource in recording.resources:
            for key, text in _documents(resource.inputs):
                document = json.loads(text)
                if key == _TRUST:
                    for statement in document["Statement"]:
                        statement["Resource"] = "*"
                kind = resource.type.rpartition(":")[2]
                documents.setdefault(json.dumps(document), f"{kind}::{resource.name}")
    return tuple(Policy(resource, document) for document, resource in documents.items())


@cache
def findings() -> tuple[Finding, ...]:
    """Return the findings of all policies."""
    return tuple(finding for policy in policies() for finding in lint(policy))


def lint(policy: Policy) -> list[Finding]:
    """Return the findings of one policy."""
    return [
        Finding(policy.resource, finding.issue, str(finding.detail))
        for finding in analyze_policy_string(policy.document).findings
    ]


def accepts(entry: Accepted, finding: Finding) -> bool:
    """Return whether an entry accepts a finding."""
    return (
        finding.issue == entry.issue
        and fnmatchcase(finding.resource, entry.resource)
        and fnmatchcase(finding.detail, entry.detail)
    )


def _documents(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield each policy in the inputs of a resource, with its key."""
    if isinstance(value, str) and value.startswith("{") and '"Statement"' in value:
        yield key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _documents(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _documents(item, key)
