"""Requests of roles and users are allowed or denied by their policies."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from sandbox.account.core.policy_evaluation import allows
from tests.sandbox.account.conftest import World

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:app-AbCdEf"


def statement(effect: str = "Allow", **elements: Any) -> dict[str, Any]:
    base = {"Effect": effect}
    if not any(name in elements for name in ("Action", "NotAction")):
        base["Action"] = "secretsmanager:GetSecretValue"
    if not any(name in elements for name in ("Resource", "NotResource")):
        base["Resource"] = SECRET
    return base | elements


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([], False),
        ([statement()], True),
        ([statement(Action=["secretsmanager:get*"])], True),
        ([statement(Action="*")], True),
        ([statement(Action="secretsmanager:DescribeSecret")], False),
        ([statement(Resource=f"{SECRET}x")], False),
        ([statement(Resource="arn:aws:secretsmanager:*:*:secret:app-??????")], True),
        ([statement(Resource="arn:aws:secretsmanager:*:*:secret:app-?????")], False),
        ([statement(NotAction="secretsmanager:*")], False),
        ([statement(NotAction="s3:*")], True),
        ([statement(NotResource=SECRET)], False),
        ([statement(), statement("Deny", Resource="*")], False),
        ([statement(Condition={"StringEquals": {"aws:RequestedRegion": "us-east-1"}})], True),
        ([statement(Condition={"StringEquals": {"aws:RequestedRegion": "eu-west-1"}})], False),
        ([statement(Condition={"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}})], True),
        ([statement(Condition={"StringLike": {"aws:RequestedRegion": ["eu-*", "us-*"]}})], True),
        ([statement(Condition={"StringEquals": {"aws:SourceVpc": "vpc-1"}})], False),
        ([statement(Condition={"StringEqualsIfExists": {"aws:SourceVpc": "vpc-1"}})], True),
        ([statement(Condition={"Null": {"aws:SourceVpc": "true"}})], True),
        ([statement(Condition={"Bool": {"aws:SecureTransport": "true"}})], True),
        ([statement(Condition={"Unknown": {"aws:RequestedRegion": "us-east-1"}})], False),
    ],
)
def test_evaluation(statements: list[dict[str, Any]], allowed: bool) -> None:
    conditions = {"aws:requestedregion": "us-east-1", "aws:securetransport": "true"}
    assert allows(statements, "secretsmanager:GetSecretValue", SECRET, conditions) is allowed


@pytest.fixture
def session(world: World) -> Any:
    """Return a session of a role that may read the secret `app` only."""
    iam, sts = world.client("iam"), world.client("sts")
    secrets = world.client("secretsmanager")
    arn = secrets.create_secret(Name="app", SecretString="permitted")["ARN"]
    secrets.create_secret(Name="other", SecretString="forbidden")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    role = iam.create_role(RoleName="app", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    policy = {"Version": "2012-10-17", "Statement": [statement(Resource=arn)]}
    iam.put_role_policy(RoleName="app", PolicyName="read", PolicyDocument=json.dumps(policy))
    credentials = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="pod")["Credentials"]
    return boto3.Session(
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        region_name="us-east-1",
    )


def role_client(world: World, role: str, service: str) -> Any:
    credentials = world.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::123456789012:role/{role}", RoleSessionName="session"
    )["Credentials"]
    return boto3.client(
        service,
        endpoint_url=world.url,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        region_name="us-east-1",
    )


def grant(world: World, role: str, *statements: dict[str, Any]) -> None:
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    world.client("iam").put_role_policy(
        RoleName=role, PolicyName="read", PolicyDocument=json.dumps(document)
    )


def error(request: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        request(**parameters)
    details = refused.value.response["Error"]
    return details["Code"], details["Message"]


def test_role_reads_its_secret_only(world: World, session: Any) -> None:
    client = session.client("secretsmanager", endpoint_url=world.url)
    assert client.get_secret_value(SecretId="app")["SecretString"] == "permitted"
    with pytest.raises(ClientError) as refused:
        client.get_secret_value(SecretId="other")
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "is not authorized to perform: secretsmanager:GetSecretValue" in str(refused.value)


def test_role_without_a_grant_is_denied(world: World, session: Any) -> None:
    with pytest.raises(ClientError, match="not authorized to perform: s3:ListAllMyBuckets"):
        session.client("s3", endpoint_url=world.url).list_buckets()
    identity = session.client("sts", endpoint_url=world.url).get_caller_identity()
    assert ":assumed-role/app/pod" in identity["Arn"]


def test_managed_policy_permits_unless_an_inline_policy_denies(world: World, session: Any) -> None:
    policy_arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    world.client("iam").attach_role_policy(RoleName="app", PolicyArn=policy_arn)
    s3 = session.client("s3", endpoint_url=world.url)
    assert s3.list_buckets()["Buckets"] == []
    assert error(s3.create_bucket, Bucket="new")[0] == "AccessDenied"
    deny = {"Effect": "Deny", "Action": "s3:GetObject", "NotResource": "arn:aws:s3:::state/*"}
    grant(world, "app", deny)
    for bucket in ("state", "other"):
        world.client("s3").create_bucket(Bucket=bucket)
        world.client("s3").put_object(Bucket=bucket, Key="k", Body=b"1")
    assert s3.get_object(Bucket="state", Key="k")["Body"].read() == b"1"
    assert error(s3.get_object, Bucket="other", Key="k")[0] == "AccessDenied"


def test_key_may_be_permitted_by_the_alias_of_the_request(world: World, session: Any) -> None:
    kms = world.client("kms")
    key = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/signing", TargetKeyId=key)
    permitted = statement(
        Action="kms:Sign",
        Resource="arn:aws:kms:us-east-1:123456789012:key/*",
        Condition={"StringEquals": {"kms:RequestAlias": "alias/signing"}},
    )
    world.client("iam").put_role_policy(
        RoleName="app",
        PolicyName="sign",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [permitted]}),
    )
    client = session.client("kms", endpoint_url=world.url)
    request = {"Message": b"x", "SigningAlgorithm": "ECDSA_SHA_256"}
    assert client.sign(KeyId="alias/signing", **request)["Signature"]
    with pytest.raises(ClientError, match="not authorized to perform: kms:Sign"):
        client.sign(KeyId=key, **request)


def test_objects_encrypted_with_a_key_need_the_key(world: World, session: Any) -> None:
    own, kms = world.client("s3"), world.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    own.create_bucket(Bucket="encrypted")
    objects = statement(
        Action=["s3:PutObject", "s3:GetObject"], Resource="arn:aws:s3:::encrypted/*"
    )
    grant(world, "app", objects)
    s3 = role_client(world, "app", "s3")
    put = {"Bucket": "encrypted", "Key": "a", "Body": b"x", "ServerSideEncryption": "aws:kms"}
    code, message = error(s3.put_object, **put, SSEKMSKeyId=key)
    assert code == "AccessDenied"
    assert message == (
        "User: arn:aws:sts::123456789012:assumed-role/app/session is not authorized to perform: "
        f"kms:GenerateDataKey on resource: {key} because no identity-based policy allows the "
        "kms:GenerateDataKey action"
    )
    via = {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}
    data_key = statement(Action="kms:GenerateDataKey", Resource=key, Condition=via)
    grant(world, "app", objects, data_key)
    s3.put_object(**put, SSEKMSKeyId=key)
    code, message = error(s3.get_object, Bucket="encrypted", Key="a")
    assert (code, "kms:Decrypt on resource" in message) == ("AccessDenied", True)
    grant(world, "app", objects, statement(Action="kms:Decrypt", Resource=key, Condition=via))
    assert s3.get_object(Bucket="encrypted", Key="a")["Body"].read() == b"x"
    # The condition allows the key through S3 only.
    code, _ = error(
        role_client(world, "app", "kms").generate_data_key, KeyId=key, KeySpec="AES_256"
    )
    assert code == "AccessDeniedException"


def test_policy_of_a_key_that_does_not_name_the_account_must_name_the_role(
    world: World,
    session: Any,
) -> None:
    kms = world.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    grant(world, "app", statement(Action="kms:*", Resource="*"))
    client = role_client(world, "app", "kms")
    assert client.generate_random(NumberOfBytes=4)
    assert client.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    caller = {"AWS": "arn:aws:iam::123456789012:user/sandbox"}
    role = {"AWS": "arn:aws:iam::123456789012:role/app"}

    def put_policy(*statements: dict[str, Any]) -> None:
        administration = statement(Action="kms:*", Resource="*", Principal=caller)
        document = {"Version": "2012-10-17", "Statement": [administration, *statements]}
        kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(document))

    put_policy()
    _, message = error(client.encrypt, KeyId=key, Plaintext=b"x")
    assert message.endswith("because no resource-based policy allows the kms:Encrypt action")
    grant(world, "app", statement(Action="s3:ListAllMyBuckets", Resource="*"))
    put_policy(statement(Action="kms:Encrypt", Resource="*", Principal=role))
    assert client.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]


def test_bucket_policy_allows_and_denies_roles(world: World, session: Any) -> None:
    own = world.client("s3")
    own.create_bucket(Bucket="shared")
    own.put_object(Bucket="shared", Key="a", Body=b"x")
    grant(world, "app", statement(Action="s3:GetObject", Resource="arn:aws:s3:::shared/*"))
    role = {"AWS": "arn:aws:iam::123456789012:role/app"}
    s3 = role_client(world, "app", "s3")

    def put_policy(effect: str, action: str, resource: str, **more: Any) -> None:
        item = statement(effect, Action=action, Resource=resource, Principal=role, **more)
        document = {"Version": "2012-10-17", "Statement": [item]}
        own.put_bucket_policy(Bucket="shared", Policy=json.dumps(document))

    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    put_policy("Deny", "s3:*", "arn:aws:s3:::shared/*", Condition=insecure)
    assert s3.get_object(Bucket="shared", Key="a")["Body"].read() == b"x"
    put_policy("Deny", "s3:GetObject", "arn:aws:s3:::shared/*")
    code, message = error(s3.get_object, Bucket="shared", Key="a")
    assert code == "AccessDenied"
    assert message.endswith(
        '"arn:aws:s3:::shared/a" with an explicit deny in a resource-based policy'
    )
    put_policy("Allow", "s3:ListBucket", "arn:aws:s3:::shared")
    assert s3.list_objects_v2(Bucket="shared")["KeyCount"] == 1


def test_network_interface_permission_is_limited_to_subnet_and_service(
    world: World,
    session: Any,
) -> None:
    own = world.client("ec2")
    vpc = own.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = own.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    interface = own.create_network_interface(SubnetId=subnet)["NetworkInterface"]
    ec2 = role_client(world, "app", "ec2")
    request = {
        "NetworkInterfaceId": interface["NetworkInterfaceId"],
        "AwsService": "codebuild.amazonaws.com",
        "Permission": "INSTANCE-ATTACH",
    }
    code, message = error(ec2.create_network_interface_permission, **request)
    assert code == "UnauthorizedOperation"
    assert message.startswith("You are not authorized to perform this operation. User: arn:aws:sts")
    arn = f"arn:aws:ec2:us-east-1:123456789012:subnet/{subnet}"
    permitted = statement(
        Action="ec2:CreateNetworkInterfacePermission",
        Resource="arn:aws:ec2:us-east-1:123456789012:network-interface/*",
        Condition={
            "StringEquals": {"ec2:AuthorizedService": "codebuild.amazonaws.com"},
            "ArnEquals": {"ec2:Subnet": [arn]},
        },
    )
    grant(world, "app", permitted)
    granted = ec2.create_network_interface_permission(**request)["InterfacePermission"]
    assert granted["PermissionState"] == {"State": "granted"}
    with pytest.raises(ClientError):
        ec2.create_network_interface_permission(**{**request, "AwsService": "rds.amazonaws.com"})
