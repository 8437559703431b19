"""`sandbox new --from-vpc`: the description of a VPC, and the stack file that is made from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from sandbox.account import Account
from sandbox.cli.vpc_description import NoVpcError, describe_vpc
from settings.new_stack import new_stack

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def vpc(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A VPC with two zones, one NAT gateway, an endpoint and a further security group."""
    account = Account(tmp_path_factory.mktemp("account"), time_scale=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", account.start())
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        ec2 = boto3.client("ec2")
        vpc_id = ec2.create_vpc(CidrBlock="10.60.0.0/16")["Vpc"]["VpcId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc_id)
        subnets = [
            ec2.create_subnet(VpcId=vpc_id, CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]
            for cidr, zone in (("10.60.0.0/24", "eu-west-1a"), ("10.60.1.0/24", "eu-west-1b"))
        ]
        address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        ec2.create_nat_gateway(SubnetId=subnets[0]["SubnetId"], AllocationId=address)
        ec2.create_vpc_endpoint(
            VpcId=vpc_id,
            VpcEndpointType="Interface",
            ServiceName="com.amazonaws.eu-west-1.ecr.api",
            SubnetIds=[subnets[0]["SubnetId"]],
        )
        ec2.create_security_group(VpcId=vpc_id, GroupName="office", Description="Office")
        yield vpc_id
    account.stop()


def test_vpc_decides_what_has_a_counterpart_and_the_rest_is_listed(vpc: str) -> None:
    description = json.loads(json.dumps(describe_vpc(vpc, None, on_aws=True), default=str))
    text, notes = new_stack("adopted", "dev", None, ROOT, description)
    config = yaml.safe_load(text)["config"]
    assert config["platform:aws"]["region"] == "eu-west-1"
    network = config["platform:network"]
    assert network["cidr"] == "10.60.0.0/16"
    assert (network["zones"], network["nat"]) == (2, "single")
    assert network["interface_endpoints"] == ["ecr.api"]
    missing = [note for note in notes if note.endswith("has no counterpart")]
    assert "the security group office has no counterpart" in missing
    assert sum("of subnet-" in note for note in missing) == 2
    assert len(missing) == 3


def test_missing_vpc_is_refused(vpc: str) -> None:
    with pytest.raises(NoVpcError, match="vpc-absent cannot be read in your account"):
        describe_vpc("vpc-absent", None, on_aws=True)
