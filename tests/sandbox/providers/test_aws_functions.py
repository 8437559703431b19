"""AWS functions return what pulumi_aws's result classes expect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.providers.aws.policy_documents import same_policy
from tests.sandbox.providers.aws_samples import Needs, trust
from tests.sandbox.providers.engine_client import CheckFailed, Client, Failed


def test_zones_belong_to_the_region(aws: Client) -> None:
    result = aws.invoke(
        "aws:index/getAvailabilityZones:getAvailabilityZones", {"state": "available"}
    )
    assert result["names"][:3] == ["us-east-1a", "us-east-1b", "us-east-1c"]
    assert len(result["zoneIds"]) == len(result["names"])
    fewer = aws.invoke(
        "aws:index/getAvailabilityZones:getAvailabilityZones",
        {"excludeNames": ["us-east-1a"], "region": "eu-west-1"},
    )
    assert fewer["names"][0] == "eu-west-1a"


def test_identity_region_and_partition(aws: Client) -> None:
    assert (
        aws.invoke("aws:index/getCallerIdentity:getCallerIdentity", {})["accountId"]
        == "123456789012"
    )
    region = aws.invoke("aws:index/getRegion:getRegion", {})
    assert (region["region"], region["name"], region["description"]) == (
        "us-east-1",
        "us-east-1",
        "US East (N. Virginia)",
    )
    assert aws.invoke("aws:index/getPartition:getPartition", {}) == {
        "id": "aws",
        "dnsSuffix": "amazonaws.com",
        "partition": "aws",
        "reverseDnsPrefix": "com.amazonaws",
    }


def test_role_is_looked_up_by_name(aws: Client, witness: Any) -> None:
    created = witness("iam").create_role(
        RoleName="ci", Path="/team/", AssumeRolePolicyDocument=trust("ec2.amazonaws.com")
    )["Role"]
    result = aws.invoke("aws:iam/getRole:getRole", {"name": "ci"})
    assert (result["arn"], result["path"], result["uniqueId"]) == (
        created["Arn"],
        "/team/",
        created["RoleId"],
    )
    with pytest.raises(Failed, match=r"reading IAM Role \(gone\): couldn't find resource"):
        aws.invoke("aws:iam/getRole:getRole", {"name": "gone"})


def test_policy_document_is_composed(aws: Client) -> None:
    result = aws.invoke(
        "aws:iam/getPolicyDocument:getPolicyDocument",
        {
            "statements": [
                {
                    "sid": "read",
                    "actions": ["s3:GetObject", "s3:ListBucket"],
                    "resources": ["arn:aws:s3:::b/&{aws:username}"],
                    "principals": [{"type": "AWS", "identifiers": ["123456789012"]}],
                    "conditions": [
                        {"test": "Bool", "variable": "aws:SecureTransport", "values": ["true"]}
                    ],
                }
            ],
            "overridePolicyDocuments": [
                json.dumps({"Statement": [{"Sid": "more", "Effect": "Deny", "Action": "*"}]})
            ],
        },
    )
    expected = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "read",
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:ListBucket"],
                "Resource": "arn:aws:s3:::b/${aws:username}",
                "Principal": {"AWS": "123456789012"},
                "Condition": {"Bool": {"aws:SecureTransport": "true"}},
            },
            {"Sid": "more", "Effect": "Deny", "Action": "*"},
        ],
    }
    assert same_policy(result["json"], json.dumps(expected))
    assert json.loads(result["minifiedJson"]) == json.loads(result["json"])


def test_misspelled_argument_is_refused(aws: Client) -> None:
    with pytest.raises(
        CheckFailed,
        match=r'has no argument "stat" that the sandbox emulates; did you mean "state"?',
    ):
        aws.invoke("aws:index/getAvailabilityZones:getAvailabilityZones", {"stat": "available"})


def test_unemulated_function_is_refused_by_name(aws: Client) -> None:
    with pytest.raises(Failed, match="the function aws:route53/getZone:getZone is not emulated"):
        aws.invoke("aws:route53/getZone:getZone", {})


def test_registry_password_is_secret(aws: Client) -> None:
    from pulumi.runtime.proto import provider_pb2 as pb

    from sandbox.providers.property_values import decode

    token = "aws:ecr/getAuthorizationToken:getAuthorizationToken"
    response = decode(getattr(aws.call("Invoke", pb.InvokeRequest(tok=token)), "return"))
    assert response.values["userName"] == "AWS"
    assert response.secrets == {("authorizationToken",), ("password",)}


def test_ssm_parameter_is_read(aws: Client, witness: Any) -> None:
    witness("ssm").put_parameter(Name="/app/level", Value="7", Type="String")
    result = aws.invoke("aws:ssm/getParameter:getParameter", {"name": "/app/level"})
    assert (result["value"], result["type"], result["version"]) == ("7", "String", 1)
    with pytest.raises(Failed, match="ParameterNotFound"):
        aws.invoke("aws:ssm/getParameter:getParameter", {"name": "/app/nothing"})


def test_vpc_and_its_subnets_are_looked_up(aws: Client) -> None:
    needs = Needs(aws)
    vpc = needs.make("aws:ec2/vpc:Vpc", {"cidrBlock": "10.44.0.0/16", "tags": {"Name": "found"}})
    subnet = needs.subnet_in(vpc, "10.44.1.0/24")
    result = aws.invoke("aws:ec2/getVpc:getVpc", {"tags": {"Name": "found"}})
    assert (result["id"], result["cidrBlock"], result["enableDnsSupport"]) == (
        vpc.id,
        "10.44.0.0/16",
        True,
    )
    assert result["mainRouteTableId"] == vpc.state["mainRouteTableId"]
    inside = aws.invoke(
        "aws:ec2/getSubnets:getSubnets", {"filters": [{"name": "vpc-id", "values": [vpc.id]}]}
    )
    assert inside["ids"] == [subnet.id]
    with pytest.raises(Failed, match="no matching EC2 VPC found"):
        aws.invoke("aws:ec2/getVpc:getVpc", {"tags": {"Name": "nowhere"}})
    needs.remove()


def test_s3_prefix_list_is_looked_up(aws: Client) -> None:
    name = "com.amazonaws.us-east-1.s3"
    result = aws.invoke("aws:ec2/getManagedPrefixList:getManagedPrefixList", {"name": name})
    assert result["name"] == name
    assert result["id"].startswith("pl-")
