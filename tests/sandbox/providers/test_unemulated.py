"""Types and arguments that are not emulated: refused by name, or recorded on request."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest

from sandbox.runtime.home import Home
from tests.sandbox.providers.engine_client import CheckFailed, Client, Failed

FUNCTION = "aws:lambda/function:Function"
SUBNET = "aws:ec2/subnet:Subnet"
ARGUMENTS = {"role": "arn:aws:iam::123456789012:role/r", "runtime": "python3.13"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SANDBOX_HOME", str(tmp_path))
    return Home(tmp_path)


@pytest.fixture
def recording(home: Home) -> Home:
    """The stack of the tests has `--unemulated record`."""
    home.choose_unemulated("project", "test", "record")
    return home


@pytest.mark.usefixtures("home")
def test_type_that_is_not_emulated_is_refused_with_the_option_that_records_it(
    owned: Client,
) -> None:
    with pytest.raises(Failed, match=r"lambda/function:Function is not emulated .*--unemulated"):
        owned.check(FUNCTION, "f", ARGUMENTS)


@pytest.mark.usefixtures("recording")
def test_only_a_type_that_does_not_exist_gets_a_suggestion(owned: Client) -> None:
    with pytest.raises(Failed, match=r'vpcs:Vpc is not a type of pulumi_aws; did you mean "aws:'):
        owned.check("aws:ec2/vpcs:Vpc", "v", {})


def test_recorded_resource_has_its_inputs_and_generated_outputs(
    owned: Client, recording: Home
) -> None:
    created = owned.create(FUNCTION, "f", ARGUMENTS)
    name = created.state["name"]
    assert name.startswith("f-")
    assert created.id == name
    assert created.state["arn"] == f"arn:aws:lambda:us-east-1:123456789012:function/{name}"
    assert created.state["runtime"] == "python3.13"
    assert created.state["tagsAll"] == {"Owner": "us"}
    assert not owned.diff(created, ARGUMENTS)[0].detailedDiff
    recording.choose_unemulated("project", "test", "refuse")  # what is recorded remains so
    updated = owned.update(created, ARGUMENTS | {"runtime": "python3.14"})
    assert (updated.state["runtime"], updated.state["arn"]) == ("python3.14", created.state["arn"])
    owned.delete(updated)


@pytest.mark.usefixtures("recording")
def test_unknown_argument_of_a_recorded_type_is_refused(owned: Client) -> None:
    with pytest.raises(CheckFailed, match='has no property "runtiem"; did you mean "runtime"'):
        owned.check(FUNCTION, "f", {"runtiem": "python3.13"})


def test_argument_with_its_own_default_is_accepted(owned: Client) -> None:
    subnet = {"vpcId": "vpc-1", "cidrBlock": "10.0.0.0/24"}
    inputs = owned.check(SUBNET, "s", {**subnet, "assignIpv6AddressOnCreation": False})
    assert "assignIpv6AddressOnCreation" not in inputs
    with pytest.raises(CheckFailed, match='"assignIpv6AddressOnCreation" is not emulated'):
        owned.check(SUBNET, "s", {**subnet, "assignIpv6AddressOnCreation": True})


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("aws:route53/getZone:getZone", "not emulated by the sandbox; sandbox/providers/aws"),
        ("aws:ec2/getVpcc:getVpcc", 'did you mean "aws:ec2/getVpc:getVpc"'),
    ],
)
def test_only_a_function_that_does_not_exist_gets_a_suggestion(
    owned: Client, token: str, message: str
) -> None:
    with pytest.raises(Exception, match=message):
        owned.invoke(token, {})


def test_missing_default_vpc_is_explained(owned: Client) -> None:
    with pytest.raises(Exception, match="has no default VPC: create it with `aws ec2 create-def"):
        owned.invoke("aws:ec2/getVpc:getVpc", {"default": True})


def test_default_vpc_is_found_after_it_was_created(owned: Client, account: str) -> None:
    region = "us-west-2"
    vpc = boto3.client("ec2", region_name=region).create_default_vpc()["Vpc"]["VpcId"]
    assert owned.invoke("aws:ec2/getVpc:getVpc", {"default": True, "region": region})["id"] == vpc
    subnets = owned.invoke(
        "aws:ec2/getSubnets:getSubnets",
        {"filters": [{"name": "vpc-id", "values": [vpc]}], "region": region},
    )
    assert len(subnets["ids"]) == 4
