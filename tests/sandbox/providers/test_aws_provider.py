"""The AWS provider's base class: refusals, names, tags, drift, secrets, errors."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from sandbox.providers.property_values import UNKNOWN, decode, encode
from tests.sandbox.providers.aws_samples import allow, trust
from tests.sandbox.providers.engine_client import CheckFailed, Client, Failed, Made, Served

VPC = "aws:ec2/vpc:Vpc"
GROUP = "aws:cloudwatch/logGroup:LogGroup"
BUCKET = "aws:s3/bucket:Bucket"


def _fault(account: str, **fault: Any) -> None:
    request = urllib.request.Request(
        f"{account}/_sandbox/faults", data=json.dumps(fault).encode(), method="POST"
    )
    urllib.request.urlopen(request).close()


@pytest.fixture
def faults(account: str) -> Iterator[Any]:
    yield lambda **fault: _fault(account, **fault)
    urllib.request.urlopen(
        urllib.request.Request(f"{account}/_sandbox/faults", method="DELETE")
    ).close()


# Refusals


def test_misspelled_property_is_refused_with_a_suggestion(aws: Client) -> None:
    with pytest.raises(CheckFailed) as caught:
        aws.check(VPC, "x", {"cidrBlok": "10.0.0.0/16", "cidrBlock": "10.0.0.0/16"})
    assert (
        str(caught.value)
        == 'cidrBlok: aws:ec2/vpc:Vpc has no property "cidrBlok"; did you mean "cidrBlock"?'
    )


def test_unemulated_property_is_refused_by_name(aws: Client) -> None:
    with pytest.raises(
        CheckFailed,
        match=r'^ipv4IpamPoolId: aws:ec2/vpc:Vpc property "ipv4IpamPoolId" is not emulated',
    ):
        aws.check(VPC, "x", {"ipv4IpamPoolId": "ipam-1", "cidrBlock": "10.0.0.0/16"})


def test_misspelled_nested_property_is_refused_with_its_path(aws: Client) -> None:
    rule = {"protocol": "tcp", "fromPort": 1, "toPort": 1, "cidrBlocs": []}
    with pytest.raises(CheckFailed) as caught:
        aws.check("aws:ec2/securityGroup:SecurityGroup", "x", {"ingress": [rule]})
    assert str(caught.value) == (
        "ingress[0].cidrBlocs: aws:ec2/securityGroup:SecurityGroup has no property"
        ' "cidrBlocs"; did you mean "cidrBlocks"?'
    )


def test_all_problems_of_a_resource_are_reported(aws: Client) -> None:
    with pytest.raises(CheckFailed) as caught:
        aws.check(
            VPC,
            "x",
            {
                "cidrBlock": "10.0.0.1/16",
                "instanceTenancy": "dedicate",
                "enableDnsSupport": "perhaps",
            },
        )
    assert len(str(caught.value).splitlines()) == 3
    assert "must be the network address of its block: 10.0.0.0/16" in str(caught.value)
    assert 'did you mean "dedicated"?' in str(caught.value)


def test_unemulated_type_is_refused_by_name(aws: Client) -> None:
    with pytest.raises(Failed, match="the resource type aws:ec2/instance:Instance is not emulated"):
        aws.check("aws:ec2/instance:Instance", "x", {})
    with pytest.raises(Failed, match="aws:ec2/vcp:Vcp is not a type of pulumi_aws"):
        aws.check("aws:ec2/vcp:Vcp", "x", {})


@pytest.mark.parametrize(
    ("token", "inputs", "reason"),
    [
        (
            "aws:ec2/subnet:Subnet",
            {"vpcId": "vpc-1", "cidrBlock": "10.0.0.0/29"},
            "between /16 and /28, not /29",
        ),
        (GROUP, {"retentionInDays": 8}, "must be one of 0, 1, 3"),
        ("aws:kms/key:Key", {"deletionWindowInDays": 3}, "from 7 to 30, not 3"),
        ("aws:kms/alias:Alias", {"name": "app", "targetKeyId": "k"}, "of the form alias/name"),
        ("aws:iam/role:Role", {"name": "r" * 65, "assumeRolePolicy": "{}"}, "1 to 64 long, not 65"),
        ("aws:iam/role:Role", {"assumeRolePolicy": "{"}, "must be JSON"),
        ("aws:ecr/repository:Repository", {"name": "App"}, "lower-case letters and digits"),
        (BUCKET, {"bucket": "Not_A_Bucket"}, "must be a bucket name"),
        ("aws:ec2/natGateway:NatGateway", {"subnetId": "s"}, "requires the allocation ID"),
        (
            "aws:ec2/route:Route",
            {
                "routeTableId": "r",
                "destinationCidrBlock": "0.0.0.0/0",
                "gatewayId": "g",
                "natGatewayId": "n",
            },
            'conflicts with "gatewayId"',
        ),
        ("aws:ec2/flowLog:FlowLog", {}, "one of vpcId, subnetId, eniId must be set"),
    ],
)
def test_invalid_inputs_are_refused_as_by_the_aws_provider(
    aws: Client, token: str, inputs: dict[str, Any], reason: str
) -> None:
    with pytest.raises(CheckFailed) as caught:
        aws.check(token, "x", inputs)
    assert reason in str(caught.value)


# Names


def test_auto_name_has_seven_hex_digits_and_is_stable(aws: Client) -> None:
    first = aws.check(GROUP, "logs", {})
    stem, _, digits = first["name"].rpartition("-")
    assert stem == "logs"
    assert len(digits) == 7
    int(digits, 16)
    assert aws.check(GROUP, "logs", {"retentionInDays": 7}, first)["name"] == first["name"]
    assert aws.check(BUCKET, "CamelCase", {})["bucket"].startswith("camelcase-")


def test_removed_name_becomes_an_auto_name(aws: Client) -> None:
    inputs = aws.check(GROUP, "logs", {"name": "mine"})
    assert aws.check(GROUP, "logs", {}, inputs)["name"] != "mine"


def test_replacement_deletes_first_only_for_an_explicit_name(aws: Client) -> None:
    for inputs, first in (({"name": "given"}, True), ({}, False)):
        created = aws.create(
            "aws:iam/role:Role", "r", {**inputs, "assumeRolePolicy": trust("ec2.amazonaws.com")}
        )
        response, _ = aws.diff(
            created, {**inputs, "assumeRolePolicy": trust("ec2.amazonaws.com"), "path": "/x/"}
        )
        assert list(response.replaces) == ["path"]
        assert response.deleteBeforeReplace is first
        aws.delete(created)


# Tags


def test_default_tags_are_applied_beside_the_resources_tags(
    served_aws: Served, witness: Any
) -> None:
    aws = served_aws.attach(
        "aws", {"region": "us-east-1", "defaultTags": '{"tags": {"stage": "dev", "team": "a"}}'}
    )
    created = aws.create(VPC, "x", {"cidrBlock": "10.0.0.0/16", "tags": {"team": "b"}})
    result = witness("ec2").describe_vpcs(VpcIds=[created.id])["Vpcs"][0]["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in result} == {"stage": "dev", "team": "b"}
    assert created.state["tags"] == {"team": "b"}
    assert created.state["tagsAll"] == {"stage": "dev", "team": "b"}
    read = aws.read(created)
    assert read is not None
    assert read.inputs == created.inputs
    aws.delete(created)


def test_changed_default_tags_update_every_resource(served_aws: Served, witness: Any) -> None:
    before = served_aws.attach(
        "aws", {"region": "us-east-1", "defaultTags": '{"tags": {"stage": "dev"}}'}
    )
    created = before.create(GROUP, "x", {})
    after = served_aws.attach(
        "aws", {"region": "us-east-1", "defaultTags": '{"tags": {"owner": "us"}}'}
    )
    response, _ = after.diff(created, {})
    assert sorted(response.detailedDiff) == ["tagsAll.owner", "tagsAll.stage"]
    after.update(created, {})
    assert witness("logs").list_tags_for_resource(resourceArn=created.state["arn"])["tags"] == {
        "owner": "us"
    }
    after.delete(created)


def test_ignored_tags_are_left_unchanged(served_aws: Served, witness: Any) -> None:
    aws = served_aws.attach(
        "aws", {"region": "us-east-1", "ignoreTags": '{"keyPrefixes": ["kubernetes.io/"]}'}
    )
    created = aws.create(VPC, "x", {"cidrBlock": "10.0.0.0/16"})
    witness("ec2").create_tags(
        Resources=[created.id], Tags=[{"Key": "kubernetes.io/cluster/c", "Value": "shared"}]
    )
    read = aws.read(created)
    assert read is not None
    assert read.inputs == created.inputs
    aws.delete(created)


# Refresh


def test_drift_is_detected_by_refresh_and_fixed_by_update(aws: Client, witness: Any) -> None:
    program = {"retentionInDays": 7, "tags": {"a": "b"}}
    created = aws.create(GROUP, "drifting", program)
    logs = witness("logs")
    logs.put_retention_policy(logGroupName=created.id, retentionInDays=365)
    logs.tag_resource(resourceArn=created.state["arn"], tags={"a": "changed", "extra": "1"})
    read = aws.read(created)
    assert read is not None
    assert read.state["retentionInDays"] == 365
    response, _ = aws.diff(read, program)
    assert {"retentionInDays", "tags.a", "tags.extra"} <= {*response.detailedDiff}
    mended = aws.update(read, program)
    assert mended.state["retentionInDays"] == 7
    assert logs.list_tags_for_resource(resourceArn=created.state["arn"])["tags"] == {"a": "b"}
    aws.delete(mended)


def test_drift_of_unset_properties_is_detected(aws: Client, witness: Any) -> None:
    created = aws.create("aws:iam/policy:Policy", "p", {"policy": allow("s3:GetObject")})
    witness("iam").tag_policy(PolicyArn=created.id, Tags=[{"Key": "by", "Value": "hand"}])
    read = aws.read(created)
    assert read is not None
    response, _ = aws.diff(read, {"policy": allow("s3:GetObject")})
    assert "tags" in response.diffs
    aws.delete(created)


def test_missing_resource_is_read_as_deleted(aws: Client, witness: Any) -> None:
    created = aws.create(BUCKET, "b", {})
    witness("s3").delete_bucket(Bucket=created.id)
    assert aws.read(created) is None
    aws.delete(created)


def test_equivalent_policies_are_no_change(aws: Client) -> None:
    created = aws.create("aws:iam/policy:Policy", "p", {"policy": allow("s3:GetObject")})
    other = json.dumps(
        {
            "Statement": [{"Resource": ["*"], "Action": ["s3:GetObject"], "Effect": "Allow"}],
            "Version": "2012-10-17",
        },
        indent=4,
    )
    response, _ = aws.diff(created, {"policy": other})
    assert not response.diffs
    aws.delete(created)


def test_policy_accepts_a_structure(aws: Client) -> None:
    document = json.loads(allow("s3:GetObject"))
    created = aws.create("aws:iam/policy:Policy", "p", {"policy": document})
    assert json.loads(created.state["policy"]) == document
    aws.delete(created)


# Secrets, errors, several providers


def test_secret_input_is_secret_in_the_state(aws: Client) -> None:
    created = aws.create(
        GROUP, "g", {"name": "quiet", "tags": {"owner": "x"}}, secrets=[("tags", "owner")]
    )
    assert ("tags", "owner") in created.secrets
    aws.delete(created)


def test_aws_error_is_one_paragraph_with_code_and_message(aws: Client) -> None:
    with pytest.raises(Failed) as caught:
        aws.create(
            "aws:ec2/subnet:Subnet",
            "x",
            {"vpcId": "vpc-0123456789abcdef0", "cidrBlock": "10.0.0.0/24"},
        )
    said = str(caught.value)
    assert said.startswith(
        "creating EC2 Subnet (x): operation CreateSubnet, https response error StatusCode: 400"
    )
    assert "api error InvalidVpcID.NotFound" in said
    assert caught.value.partial is None


def test_partial_creation_returns_its_id(aws: Client, faults: Any, witness: Any) -> None:
    faults(
        service="logs", operation="PutRetentionPolicy", code="InvalidParameterException", count=1
    )
    with pytest.raises(Failed) as caught:
        aws.create(GROUP, "half", {"name": "half", "retentionInDays": 7})
    assert caught.value.partial is not None
    assert caught.value.partial.id == "half"
    assert witness("logs").describe_log_groups(logGroupNamePrefix="half")["logGroups"]
    # The state holds what exists; the next update sets the rest.
    inputs, state = (
        decode(caught.value.partial.inputs).values,
        decode(caught.value.partial.properties).values,
    )
    created = Made(GROUP, "half", "half", inputs, state)
    aws.update(created, {"name": "half", "retentionInDays": 7})
    (group,) = witness("logs").describe_log_groups(logGroupNamePrefix="half")["logGroups"]
    assert group["retentionInDays"] == 7
    witness("logs").delete_log_group(logGroupName="half")


def test_orphan_of_a_killed_engine_is_deleted(
    served_aws: Served, account: str, faults: Any, witness: Any
) -> None:
    aws = served_aws.attach("aws", {"region": "us-east-1", "maxRetries": "25"})

    def groups() -> list[Any]:
        result: list[Any] = witness("logs").describe_log_groups(logGroupNamePrefix="orphan")[
            "logGroups"
        ]
        return result

    def until(there: bool) -> None:
        deadline = time.monotonic() + 120
        while bool(groups()) is not there:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    inputs = aws.check(GROUP, "orphan", {"name": "orphan", "retentionInDays": 7})
    # The creation blocks until the test ends.
    faults(service="logs", operation="PutRetentionPolicy", code="ThrottlingException", count=1000)
    request = provider_pb2.CreateRequest(urn=aws.urn(GROUP, "orphan"), properties=encode(inputs))
    call = aws.stub.Create.future(request)
    until(True)
    call.cancel()
    urllib.request.urlopen(
        urllib.request.Request(f"{account}/_sandbox/faults", method="DELETE")
    ).close()
    until(False)


def test_blocked_deletion_is_retried(aws: Client, faults: Any) -> None:
    created = aws.create(VPC, "x", {"cidrBlock": "10.0.0.0/16"})
    faults(service="ec2", operation="DeleteVpc", code="DependencyViolation", count=2)
    aws.delete(created)
    assert aws.read(created) is None


def test_providers_with_different_configuration_are_isolated(
    served_aws: Served, witness: Any
) -> None:
    east = served_aws.attach(
        "aws", {"region": "us-east-1", "defaultTags": '{"tags": {"at": "east"}}'}
    )
    west = served_aws.attach(
        "aws", {"region": "eu-west-1", "defaultTags": '{"tags": {"at": "west"}}'}
    )
    created = {
        at: client.create(GROUP, "x", {"name": "same"})
        for at, client in (("east", east), ("west", west))
    }
    for at, region in (("east", "us-east-1"), ("west", "eu-west-1")):
        assert created[at].state["region"] == region
        arn = created[at].state["arn"]
        assert witness("logs", region).list_tags_for_resource(resourceArn=arn)["tags"] == {"at": at}
    east.delete(created["east"])
    assert west.read(created["west"]) is not None
    west.delete(created["west"])


def test_resource_may_set_its_region(aws: Client, witness: Any) -> None:
    created = aws.create(GROUP, "x", {"name": "elsewhere", "region": "us-west-2"})
    assert ":us-west-2:" in created.state["arn"]
    assert aws.read(created) is not None
    imported = aws.import_(GROUP, "x", "elsewhere@us-west-2")
    assert imported is not None
    assert imported.state["region"] == "us-west-2"
    response, _ = aws.diff(created, {"name": "elsewhere", "region": "eu-west-1"})
    assert list(response.replaces) == ["region"]
    aws.delete(created)
    assert not witness("logs", "us-west-2").describe_log_groups(logGroupNamePrefix="elsewhere")[
        "logGroups"
    ]


def test_forbidden_account_is_refused(served_aws: Served) -> None:
    with pytest.raises(Failed, match="AWS account ID not allowed: 123456789012"):
        served_aws.attach("aws", {"region": "us-east-1", "allowedAccountIds": '["210987654321"]'})


@pytest.mark.parametrize(
    ("region", "wrong"),
    [
        ("eu-central-9", 'invalid AWS Region: eu-central-9; did you mean "eu-central-2"?'),
        (
            "cn-north-1",
            (
                "cn-north-1 belongs to the partition aws-cn; the sandbox emulates an account of "
                "the partition aws"
            ),
        ),
    ],
)
def test_invalid_region_is_refused(served_aws: Served, region: str, wrong: str) -> None:
    with pytest.raises(CheckFailed) as caught:
        served_aws.attach("aws", {"region": region})
    assert str(caught.value) == f"region: {wrong}"


def test_unemulated_configuration_is_refused(served_aws: Served) -> None:
    with pytest.raises(
        CheckFailed, match=r"^httpProxy: the sandbox's AWS provider does not emulate"
    ):
        served_aws.attach("aws", {"region": "us-east-1", "httpProxy": "http://proxy"})
    with pytest.raises(
        CheckFailed,
        match=r'"regoin" is not a configuration of the AWS provider; did you mean "region"?',
    ):
        served_aws.attach("aws", {"regoin": "us-east-1"})


def test_unknown_default_tags_make_all_tags_unknown_in_a_preview(aws: Client) -> None:
    assert (
        aws.preview(VPC, "x", {"cidrBlock": "10.0.0.0/16", "tags": UNKNOWN})["tagsAll"] is UNKNOWN
    )
