"""What every AWS type gets from the base: refusals by name, names, tags, drift, secrets, errors, several providers."""

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
    request = urllib.request.Request(f"{account}/_sandbox/faults", data=json.dumps(fault).encode(), method="POST")
    urllib.request.urlopen(request).close()


@pytest.fixture
def faults(account: str) -> Iterator[Any]:
    yield lambda **fault: _fault(account, **fault)
    urllib.request.urlopen(urllib.request.Request(f"{account}/_sandbox/faults", method="DELETE")).close()


# Refusals


def test_a_misspelt_property_is_refused_with_the_nearest_name(aws: Client) -> None:
    with pytest.raises(CheckFailed) as caught:
        aws.check(VPC, "x", {"cidrBlok": "10.0.0.0/16", "cidrBlock": "10.0.0.0/16"})
    assert str(caught.value) == 'cidrBlok: aws:ec2/vpc:Vpc has no property "cidrBlok"; did you mean "cidrBlock"?'


def test_a_real_property_that_is_not_emulated_is_refused_as_such(aws: Client) -> None:
    with pytest.raises(
        CheckFailed, match=r'^ipv4IpamPoolId: aws:ec2/vpc:Vpc property "ipv4IpamPoolId" isn\'t emulated'
    ):
        aws.check(VPC, "x", {"ipv4IpamPoolId": "ipam-1", "cidrBlock": "10.0.0.0/16"})


def test_a_misspelt_property_inside_a_structure_is_refused_with_its_path(aws: Client) -> None:
    rule = {"protocol": "tcp", "fromPort": 1, "toPort": 1, "cidrBlocs": []}
    with pytest.raises(CheckFailed) as caught:
        aws.check("aws:ec2/securityGroup:SecurityGroup", "x", {"ingress": [rule]})
    assert str(caught.value) == (
        "ingress[0].cidrBlocs: aws:ec2/securityGroup:SecurityGroup has no property"
        ' "cidrBlocs"; did you mean "cidrBlocks"?'
    )


def test_every_problem_of_a_resource_is_reported_at_once(aws: Client) -> None:
    with pytest.raises(CheckFailed) as caught:
        aws.check(VPC, "x", {"cidrBlock": "10.0.0.1/16", "instanceTenancy": "dedicate", "enableDnsSupport": "perhaps"})
    assert len(str(caught.value).splitlines()) == 3
    assert "must be the network address of its block: 10.0.0.0/16" in str(caught.value)
    assert 'did you mean "dedicated"?' in str(caught.value)


def test_a_type_that_is_not_emulated_is_refused_by_name(aws: Client) -> None:
    with pytest.raises(Failed, match="the resource type aws:ec2/instance:Instance isn't emulated"):
        aws.check("aws:ec2/instance:Instance", "x", {})
    with pytest.raises(Failed, match="aws:ec2/vcp:Vcp is no type of pulumi_aws"):
        aws.check("aws:ec2/vcp:Vcp", "x", {})


@pytest.mark.parametrize(
    ("token", "inputs", "reason"),
    [
        ("aws:ec2/subnet:Subnet", {"vpcId": "vpc-1", "cidrBlock": "10.0.0.0/29"}, "between /16 and /28, not /29"),
        (GROUP, {"retentionInDays": 8}, "must be one of 0, 1, 3"),
        ("aws:kms/key:Key", {"deletionWindowInDays": 3}, "from 7 to 30, not 3"),
        ("aws:kms/alias:Alias", {"name": "app", "targetKeyId": "k"}, "of the form alias/name"),
        ("aws:iam/role:Role", {"name": "r" * 65, "assumeRolePolicy": "{}"}, "1 to 64 long, not 65"),
        ("aws:iam/role:Role", {"assumeRolePolicy": "{"}, "must be JSON"),
        ("aws:ecr/repository:Repository", {"name": "App"}, "lower-case letters and digits"),
        (BUCKET, {"bucket": "Not_A_Bucket"}, "must be a bucket name"),
        ("aws:ec2/natGateway:NatGateway", {"subnetId": "s"}, "needs the allocation id"),
        (
            "aws:ec2/route:Route",
            {"routeTableId": "r", "destinationCidrBlock": "0.0.0.0/0", "gatewayId": "g", "natGatewayId": "n"},
            'conflicts with "gatewayId"',
        ),
        ("aws:ec2/flowLog:FlowLog", {}, "one of vpcId, subnetId, eniId must be given"),
    ],
)  # fmt: skip
def test_what_the_real_provider_refuses_before_a_call_is_refused(
    aws: Client, token: str, inputs: dict[str, Any], reason: str
) -> None:
    with pytest.raises(CheckFailed) as caught:
        aws.check(token, "x", inputs)
    assert reason in str(caught.value)


# Names


def test_a_resource_without_a_name_gets_its_own_with_seven_hex_digits_and_keeps_it(aws: Client) -> None:
    first = aws.check(GROUP, "logs", {})
    stem, _, digits = first["name"].rpartition("-")
    assert stem == "logs"
    assert len(digits) == 7
    int(digits, 16)
    assert aws.check(GROUP, "logs", {"retentionInDays": 7}, first)["name"] == first["name"]
    assert aws.check(BUCKET, "CamelCase", {})["bucket"].startswith("camelcase-")


def test_a_name_that_the_program_no_longer_gives_is_made_up_anew(aws: Client) -> None:
    given = aws.check(GROUP, "logs", {"name": "mine"})
    assert aws.check(GROUP, "logs", {}, given)["name"] != "mine"


def test_a_replacement_deletes_first_only_where_the_program_gave_the_name(aws: Client) -> None:
    for inputs, first in (({"name": "given"}, True), ({}, False)):
        made = aws.create("aws:iam/role:Role", "r", {**inputs, "assumeRolePolicy": trust("ec2.amazonaws.com")})
        answer, _ = aws.diff(made, {**inputs, "assumeRolePolicy": trust("ec2.amazonaws.com"), "path": "/x/"})
        assert list(answer.replaces) == ["path"]
        assert answer.deleteBeforeReplace is first
        aws.delete(made)


# Tags


def test_default_tags_reach_the_account_and_leave_the_programs_tags_alone(served_aws: Served, witness: Any) -> None:
    aws = served_aws.attach("aws", {"region": "us-east-1", "defaultTags": '{"tags": {"stage": "dev", "team": "a"}}'})
    made = aws.create(VPC, "x", {"cidrBlock": "10.0.0.0/16", "tags": {"team": "b"}})
    found = witness("ec2").describe_vpcs(VpcIds=[made.id])["Vpcs"][0]["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in found} == {"stage": "dev", "team": "b"}
    assert made.state["tags"] == {"team": "b"}
    assert made.state["tagsAll"] == {"stage": "dev", "team": "b"}
    read = aws.read(made)
    assert read is not None
    assert read.inputs == made.inputs
    aws.delete(made)


def test_a_change_of_default_tags_is_a_change_of_every_resource(served_aws: Served, witness: Any) -> None:
    before = served_aws.attach("aws", {"region": "us-east-1", "defaultTags": '{"tags": {"stage": "dev"}}'})
    made = before.create(GROUP, "x", {})
    after = served_aws.attach("aws", {"region": "us-east-1", "defaultTags": '{"tags": {"owner": "us"}}'})
    answer, _ = after.diff(made, {})
    assert sorted(answer.detailedDiff) == ["tagsAll.owner", "tagsAll.stage"]
    after.update(made, {})
    assert witness("logs").list_tags_for_resource(resourceArn=made.state["arn"])["tags"] == {"owner": "us"}
    after.delete(made)


def test_tags_that_are_ignored_belong_to_somebody_else(served_aws: Served, witness: Any) -> None:
    aws = served_aws.attach("aws", {"region": "us-east-1", "ignoreTags": '{"keyPrefixes": ["kubernetes.io/"]}'})
    made = aws.create(VPC, "x", {"cidrBlock": "10.0.0.0/16"})
    witness("ec2").create_tags(Resources=[made.id], Tags=[{"Key": "kubernetes.io/cluster/c", "Value": "shared"}])
    read = aws.read(made)
    assert read is not None
    assert read.inputs == made.inputs
    aws.delete(made)


# Refresh


def test_drift_shows_after_a_refresh_and_is_mended_by_the_next_update(aws: Client, witness: Any) -> None:
    program = {"retentionInDays": 7, "tags": {"a": "b"}}
    made = aws.create(GROUP, "drifting", program)
    logs = witness("logs")
    logs.put_retention_policy(logGroupName=made.id, retentionInDays=365)
    logs.tag_resource(resourceArn=made.state["arn"], tags={"a": "changed", "extra": "1"})
    read = aws.read(made)
    assert read is not None
    assert read.state["retentionInDays"] == 365
    answer, _ = aws.diff(read, program)
    assert {"retentionInDays", "tags.a", "tags.extra"} <= {*answer.detailedDiff}
    mended = aws.update(read, program)
    assert mended.state["retentionInDays"] == 7
    assert logs.list_tags_for_resource(resourceArn=made.state["arn"])["tags"] == {"a": "b"}
    aws.delete(mended)


def test_drift_shows_where_the_program_said_nothing(aws: Client, witness: Any) -> None:
    made = aws.create("aws:iam/policy:Policy", "p", {"policy": allow("s3:GetObject")})
    witness("iam").tag_policy(PolicyArn=made.id, Tags=[{"Key": "by", "Value": "hand"}])
    read = aws.read(made)
    assert read is not None
    answer, _ = aws.diff(read, {"policy": allow("s3:GetObject")})
    assert "tags" in answer.diffs
    aws.delete(made)


def test_what_vanished_reads_as_gone(aws: Client, witness: Any) -> None:
    made = aws.create(BUCKET, "b", {})
    witness("s3").delete_bucket(Bucket=made.id)
    assert aws.read(made) is None
    aws.delete(made)


def test_policies_that_mean_the_same_are_no_change(aws: Client) -> None:
    made = aws.create("aws:iam/policy:Policy", "p", {"policy": allow("s3:GetObject")})
    other = json.dumps(
        {
            "Statement": [{"Resource": ["*"], "Action": ["s3:GetObject"], "Effect": "Allow"}],
            "Version": "2012-10-17",
        },
        indent=4,
    )
    answer, _ = aws.diff(made, {"policy": other})
    assert not answer.diffs
    aws.delete(made)


def test_a_policy_may_be_given_as_a_structure(aws: Client) -> None:
    document = json.loads(allow("s3:GetObject"))
    made = aws.create("aws:iam/policy:Policy", "p", {"policy": document})
    assert json.loads(made.state["policy"]) == document
    aws.delete(made)


# Secrets, errors, several providers


def test_a_secret_input_stays_secret_in_the_state(aws: Client) -> None:
    made = aws.create(GROUP, "g", {"name": "quiet", "tags": {"owner": "x"}}, secrets=[("tags", "owner")])
    assert ("tags", "owner") in made.secrets
    aws.delete(made)


def test_an_error_of_aws_is_one_paragraph_with_code_and_message(aws: Client) -> None:
    with pytest.raises(Failed) as caught:
        aws.create("aws:ec2/subnet:Subnet", "x", {"vpcId": "vpc-0123456789abcdef0", "cidrBlock": "10.0.0.0/24"})
    said = str(caught.value)
    assert said.startswith("creating EC2 Subnet (x): operation CreateSubnet, https response error StatusCode: 400")
    assert "api error InvalidVpcID.NotFound" in said
    assert caught.value.partial is None


def test_a_creation_that_fails_half_way_leaves_its_id_with_the_engine(aws: Client, faults: Any, witness: Any) -> None:
    faults(service="logs", operation="PutRetentionPolicy", code="InvalidParameterException", count=1)
    with pytest.raises(Failed) as caught:
        aws.create(GROUP, "half", {"name": "half", "retentionInDays": 7})
    assert caught.value.partial is not None
    assert caught.value.partial.id == "half"
    assert witness("logs").describe_log_groups(logGroupNamePrefix="half")["logGroups"]
    # What the engine remembers is what is there: the next update sets the rest.
    inputs, state = decode(caught.value.partial.inputs).values, decode(caught.value.partial.properties).values
    made = Made(GROUP, "half", "half", inputs, state)
    aws.update(made, {"name": "half", "retentionInDays": 7})
    (group,) = witness("logs").describe_log_groups(logGroupNamePrefix="half")["logGroups"]
    assert group["retentionInDays"] == 7
    witness("logs").delete_log_group(logGroupName="half")


def test_what_an_engine_was_killed_over_is_deleted_again(
    served_aws: Served, account: str, faults: Any, witness: Any
) -> None:
    aws = served_aws.attach("aws", {"region": "us-east-1", "maxRetries": "25"})

    def groups() -> list[Any]:
        found: list[Any] = witness("logs").describe_log_groups(logGroupNamePrefix="orphan")["logGroups"]
        return found

    def until(there: bool) -> None:
        deadline = time.monotonic() + 120
        while bool(groups()) is not there:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    inputs = aws.check(GROUP, "orphan", {"name": "orphan", "retentionInDays": 7})
    # The creation is half way, and stays there, until nobody waits for it any more.
    faults(service="logs", operation="PutRetentionPolicy", code="ThrottlingException", count=1000)
    request = provider_pb2.CreateRequest(urn=aws.urn(GROUP, "orphan"), properties=encode(inputs))
    call = aws.stub.Create.future(request)
    until(True)
    call.cancel()
    urllib.request.urlopen(urllib.request.Request(f"{account}/_sandbox/faults", method="DELETE")).close()
    until(False)


def test_a_deletion_that_another_one_holds_up_is_tried_again(aws: Client, faults: Any) -> None:
    made = aws.create(VPC, "x", {"cidrBlock": "10.0.0.0/16"})
    faults(service="ec2", operation="DeleteVpc", code="DependencyViolation", count=2)
    aws.delete(made)
    assert aws.read(made) is None


def test_two_providers_with_different_regions_and_tags_do_not_mix(served_aws: Served, witness: Any) -> None:
    east = served_aws.attach("aws", {"region": "us-east-1", "defaultTags": '{"tags": {"at": "east"}}'})
    west = served_aws.attach("aws", {"region": "eu-west-1", "defaultTags": '{"tags": {"at": "west"}}'})
    made = {at: client.create(GROUP, "x", {"name": "same"}) for at, client in (("east", east), ("west", west))}
    for at, region in (("east", "us-east-1"), ("west", "eu-west-1")):
        assert made[at].state["region"] == region
        arn = made[at].state["arn"]
        assert witness("logs", region).list_tags_for_resource(resourceArn=arn)["tags"] == {"at": at}
    east.delete(made["east"])
    assert west.read(made["west"]) is not None
    west.delete(made["west"])


def test_a_resource_may_name_a_region_of_its_own(aws: Client, witness: Any) -> None:
    made = aws.create(GROUP, "x", {"name": "elsewhere", "region": "us-west-2"})
    assert ":us-west-2:" in made.state["arn"]
    assert aws.read(made) is not None
    imported = aws.import_(GROUP, "x", "elsewhere@us-west-2")
    assert imported is not None
    assert imported.state["region"] == "us-west-2"
    answer, _ = aws.diff(made, {"name": "elsewhere", "region": "eu-west-1"})
    assert list(answer.replaces) == ["region"]
    aws.delete(made)
    assert not witness("logs", "us-west-2").describe_log_groups(logGroupNamePrefix="elsewhere")["logGroups"]


def test_an_account_that_is_not_allowed_is_refused(served_aws: Served) -> None:
    with pytest.raises(Failed, match="AWS account ID not allowed: 123456789012"):
        served_aws.attach("aws", {"region": "us-east-1", "allowedAccountIds": '["210987654321"]'})


@pytest.mark.parametrize(
    ("region", "wrong"),
    [
        ("eu-central-9", 'invalid AWS Region: eu-central-9; did you mean "eu-central-2"?'),
        (
            "cn-north-1",
            "cn-north-1 belongs to the partition aws-cn; the sandbox emulates an account of the partition aws",
        ),
    ],
)
def test_a_region_that_the_account_does_not_have_is_refused(served_aws: Served, region: str, wrong: str) -> None:
    with pytest.raises(CheckFailed) as caught:
        served_aws.attach("aws", {"region": region})
    assert str(caught.value) == f"region: {wrong}"


def test_configuration_that_is_not_emulated_is_refused(served_aws: Served) -> None:
    with pytest.raises(CheckFailed, match=r"^httpProxy: the sandbox's AWS provider doesn't emulate"):
        served_aws.attach("aws", {"region": "us-east-1", "httpProxy": "http://proxy"})
    with pytest.raises(CheckFailed, match=r'"regoin" is no configuration of the AWS provider; did you mean "region"?'):
        served_aws.attach("aws", {"regoin": "us-east-1"})


def test_unknown_default_tags_make_all_tags_unknown_in_a_preview(aws: Client) -> None:
    assert aws.preview(VPC, "x", {"cidrBlock": "10.0.0.0/16", "tags": UNKNOWN})["tagsAll"] is UNKNOWN
