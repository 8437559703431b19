"""Permissions boundaries and session policies limit what identity policies allow."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.sandbox.account.conftest import World

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/limit"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str, resource: str = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def deny(action: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


@pytest.fixture
def worker(world: World) -> World:
    """Create an administrator's role within a boundary that allows S3, but no deletion."""
    iam = world.client("iam")
    iam.create_policy(PolicyName="limit", PolicyDocument=policy(allow("s3:*"), deny("s3:Delete*")))
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    iam.create_role(
        RoleName="worker", AssumeRolePolicyDocument=policy(trust), PermissionsBoundary=BOUNDARY
    )
    iam.put_role_policy(RoleName="worker", PolicyName="all", PolicyDocument=policy(allow("*")))
    world.client("s3").create_bucket(Bucket="data")
    return world


def client(world: World, service: str, **session: Any) -> Any:
    credentials = world.client("sts").assume_role(
        RoleArn=ROLE, RoleSessionName="session", **session
    )["Credentials"]
    return boto3.client(
        service,
        endpoint_url=world.url,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        region_name="us-east-1",
    )


def refusal(request: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as refused:
        request(**parameters)
    return str(refused.value.response["Error"]["Message"])


def test_boundary_limits_the_role(worker: World) -> None:
    s3 = client(worker, "s3")
    s3.put_object(Bucket="data", Key="a", Body=b"")
    assert refusal(s3.delete_object, Bucket="data", Key="a").endswith(
        '"arn:aws:s3:::data/a" with an explicit deny in a permissions boundary'
    )
    assert refusal(client(worker, "sns").create_topic, Name="a").endswith(
        "because no permissions boundary allows the sns:CreateTopic action"
    )
    worker.client("iam").delete_role_permissions_boundary(RoleName="worker")
    s3.delete_object(Bucket="data", Key="a")


def test_boundary_allows_nothing_by_itself(worker: World) -> None:
    worker.client("iam").delete_role_policy(RoleName="worker", PolicyName="all")
    assert refusal(client(worker, "s3").list_objects_v2, Bucket="data").endswith(
        "because no identity-based policy allows the s3:ListBucket action"
    )


def test_session_policy_limits_the_session(worker: World) -> None:
    inline = policy(allow("s3:GetObject"), allow("sns:*"))
    s3 = client(worker, "s3", Policy=inline)
    assert refusal(s3.put_object, Bucket="data", Key="a", Body=b"").endswith(
        "because no session policy allows the s3:PutObject action"
    )
    sns = client(worker, "sns", Policy=inline)
    assert "permissions boundary" in refusal(sns.create_topic, Name="a")
    managed = [{"arn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}]
    s3 = client(worker, "s3", PolicyArns=managed)
    assert s3.list_objects_v2(Bucket="data")["KeyCount"] == 0
    assert "session policy" in refusal(s3.put_object, Bucket="data", Key="a", Body=b"")


def test_session_policy_must_exist_and_be_valid(worker: World) -> None:
    sts = worker.client("sts")
    names = {"RoleArn": ROLE, "RoleSessionName": "session"}
    assert "invalid Json" in refusal(sts.assume_role, Policy="{", **names)
    missing = [{"arn": f"arn:aws:iam::{ACCOUNT}:policy/missing"}]
    assert "does not exist" in refusal(sts.assume_role, PolicyArns=missing, **names)


def test_resource_policy_is_limited_unless_it_names_the_session(worker: World) -> None:
    own, sns = worker.client("sns"), client(worker, "sns")
    topic = own.create_topic(Name="a")["TopicArn"]

    def permit(principal: str) -> None:
        statement = {**allow("sns:Publish", topic), "Principal": {"AWS": principal}}
        own.set_topic_attributes(
            TopicArn=topic, AttributeName="Policy", AttributeValue=policy(statement)
        )

    permit(ROLE)
    assert "permissions boundary" in refusal(sns.publish, TopicArn=topic, Message="a")
    permit(f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/session")
    sns.publish(TopicArn=topic, Message="a")


def test_user_is_limited_by_a_boundary(worker: World) -> None:
    iam = worker.client("iam")
    user = iam.create_user(UserName="anna", PermissionsBoundary=BOUNDARY)["User"]
    assert user["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY
    iam.put_user_policy(UserName="anna", PolicyName="all", PolicyDocument=policy(allow("*")))
    key = iam.create_access_key(UserName="anna")["AccessKey"]
    sns = boto3.client(
        "sns",
        endpoint_url=worker.url,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        region_name="us-east-1",
    )
    assert "permissions boundary" in refusal(sns.create_topic, Name="a")


def test_boundary_requires_itself_of_new_roles(worker: World) -> None:
    """AWS's pattern for delegated administration, which `make bootstrap` uses."""
    iam = worker.client("iam")
    condition = {"StringNotEquals": {"iam:PermissionsBoundary": BOUNDARY}}
    statements = (
        allow("*"),
        deny("iam:CreateRole", Condition=condition),
        deny("iam:PutRolePolicy", Condition=condition),
        deny("iam:DetachRolePolicy", ROLE),
    )
    iam.create_policy_version(
        PolicyArn=BOUNDARY, PolicyDocument=policy(*statements), SetAsDefault=True
    )
    trust = policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    )
    iam.create_role(RoleName="free", AssumeRolePolicyDocument=trust)
    limited = client(worker, "iam")
    assert "explicit deny in a permissions boundary" in refusal(
        limited.create_role, RoleName="one", AssumeRolePolicyDocument=trust
    )
    limited.create_role(
        RoleName="one", AssumeRolePolicyDocument=trust, PermissionsBoundary=BOUNDARY
    )
    inline = {"PolicyName": "all", "PolicyDocument": policy(allow("*"))}
    limited.put_role_policy(RoleName="one", **inline)
    assert "explicit deny" in refusal(limited.put_role_policy, RoleName="free", **inline)
    arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    for name in ("worker", "one"):
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    assert "explicit deny" in refusal(limited.detach_role_policy, RoleName="worker", PolicyArn=arn)
    limited.detach_role_policy(RoleName="one", PolicyArn=arn)
