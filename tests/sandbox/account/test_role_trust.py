"""A role is assumed by the principals that its trust policy names, under its conditions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from sandbox.contracts import service_principal
from tests.sandbox.account.conftest import World

ACCOUNT = "arn:aws:iam::123456789012"
PROJECT = "arn:aws:codebuild:us-east-1:123456789012:project/build"
CODEBUILD = {"Service": "codebuild.amazonaws.com"}


def create_role(world: World, name: str, *trust: Mapping[str, Any]) -> str:
    """Create a role with these statements of trust and return its ARN."""
    statements = [{"Effect": "Allow", "Action": "sts:AssumeRole", **item} for item in trust]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    created = world.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)
    return str(created["Role"]["Arn"])


def sts_of(world: World, keys: Mapping[str, str]) -> Any:
    return boto3.client(
        "sts",
        endpoint_url=world.url,
        region_name="us-east-1",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys.get("SessionToken"),
    )


def is_assumed(sts: Any, role: str, **parameters: Any) -> bool:
    try:
        sts.assume_role(RoleArn=role, RoleSessionName="session", **parameters)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied"
        assert f"is not authorized to perform: sts:AssumeRole on resource: {role}" in str(error)
        return False
    return True


@pytest.mark.parametrize(
    ("trust", "service", "source", "assumed"),
    [
        ({"Principal": CODEBUILD}, "codebuild", PROJECT, True),
        ({"Principal": CODEBUILD}, "codepipeline", PROJECT, False),
        ({"Principal": {"AWS": f"{ACCOUNT}:root"}}, "codebuild", PROJECT, False),
        ({"Principal": CODEBUILD, "Effect": "Deny"}, "codebuild", PROJECT, False),
        (
            {
                "Principal": CODEBUILD,
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": "123456789012"},
                    "ArnLike": {"aws:SourceArn": "arn:aws:codebuild:*:*:project/b*"},
                },
            },
            "codebuild",
            PROJECT,
            True,
        ),
        (
            {"Principal": CODEBUILD, "Condition": {"ArnEquals": {"aws:SourceArn": f"{PROJECT}-2"}}},
            "codebuild",
            PROJECT,
            False,
        ),
    ],
)
def test_service_assumes_roles_that_trust_it(
    world: World, trust: dict[str, Any], service: str, source: str, assumed: bool
) -> None:
    role = create_role(world, "r", trust)
    key = f"{service}.amazonaws.com"
    sts = sts_of(world, {"AccessKeyId": key, "SecretAccessKey": "sandbox"})
    service_principal.name_source(sts, source)
    assert is_assumed(sts, role) is assumed


def test_tags_of_a_session_must_be_trusted_too(world: World) -> None:
    principal = {"Service": "pods.eks.amazonaws.com"}
    key = {"AccessKeyId": "pods.eks.amazonaws.com", "SecretAccessKey": "sandbox"}
    sts, tags = sts_of(world, key), [{"Key": "eks-cluster-name", "Value": "main"}]
    untagged = create_role(world, "untagged", {"Principal": principal})
    actions = ["sts:AssumeRole", "sts:TagSession"]
    tagged = create_role(world, "tagged", {"Principal": principal, "Action": actions})
    assert is_assumed(sts, tagged, Tags=tags)
    with pytest.raises(ClientError, match="not authorized to perform: sts:TagSession"):
        sts.assume_role(RoleArn=untagged, RoleSessionName="session", Tags=tags)


def test_administrator_needs_the_trust_of_the_role(world: World) -> None:
    sts = world.client("sts")
    assert not is_assumed(sts, create_role(world, "service", {"Principal": CODEBUILD}))
    assert is_assumed(sts, create_role(world, "root", {"Principal": {"AWS": f"{ACCOUNT}:root"}}))
    user = {"AWS": f"{ACCOUNT}:user/sandbox"}
    assert is_assumed(sts, create_role(world, "user", {"Principal": user}))
    secret = {"StringEquals": {"sts:ExternalId": "42"}}
    external = create_role(world, "external", {"Principal": user, "Condition": secret})
    assert not is_assumed(sts, external)
    assert is_assumed(sts, external, ExternalId="42")


def test_trust_in_the_account_leaves_the_decision_to_identity_policies(world: World) -> None:
    iam, root = world.client("iam"), {"AWS": f"{ACCOUNT}:root"}
    caller = create_role(world, "caller", {"Principal": root})
    by_account = create_role(world, "by-account", {"Principal": root})
    by_name = create_role(world, "by-name", {"Principal": {"AWS": caller}})
    session = world.client("sts").assume_role(RoleArn=caller, RoleSessionName="session")
    sts = sts_of(world, session["Credentials"])
    assert is_assumed(sts, by_name)  # needs no identity policy within the account
    assert not is_assumed(sts, by_account)
    grant = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": by_account}
    document = json.dumps({"Version": "2012-10-17", "Statement": grant})
    iam.put_role_policy(RoleName="caller", PolicyName="assume", PolicyDocument=document)
    assert is_assumed(sts, by_account)
