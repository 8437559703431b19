"""Network component: zones, subnets, endpoints, NAT and flow logs."""

import json
from typing import Any

import pulumi
import pytest

from tests.components.factories import network, record
from tests.program.recording import INVOKES


@pytest.mark.parametrize("zones", [0, 4])
def test_number_of_zones_outside_the_plan_is_refused(zones: int) -> None:
    with pytest.raises(ValueError) as caught:
        record(lambda: network("one", zones=zones))
    assert str(caught.value) == f"one: zones must be 1 to 3, not {zones}"


def test_region_with_too_few_zones_is_refused_before_the_first_resource(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    zones = INVOKES["aws:index/getAvailabilityZones:getAvailabilityZones"]
    monkeypatch.setitem(zones, "names", ["us-west-1a", "us-west-1c"])
    with pytest.raises(pulumi.RunError) as caught:
        record(lambda: network("one", zones=3))
    assert str(caught.value) == (
        "one: 3 availability zones are configured, but EKS can use only 2 in this account and "
        "region (us-west-1a, us-west-1c): configure fewer zones, or use another region"
    )


def test_third_zone_does_not_change_the_subnets_of_the_first_two() -> None:
    def subnets(zones: int) -> dict[str, Any]:
        recording = record(lambda: network("one", zones=zones))
        return {subnet.name: subnet.inputs for subnet in recording.all("aws:ec2/subnet:Subnet")}

    assert subnets(2).items() <= subnets(3).items()
    assert len(subnets(3)) == 6


def test_subnets_have_load_balancer_tags_and_assign_no_public_address() -> None:
    for subnet in record(lambda: network("one")).all("aws:ec2/subnet:Subnet"):
        role = "elb" if "public" in subnet.name else "internal-elb"
        assert subnet.inputs["tags"][f"kubernetes.io/role/{role}"] == "1"
        assert subnet.inputs["mapPublicIpOnLaunch"] is False


def test_s3_always_has_a_gateway_endpoint_and_configured_services_an_interface_endpoint() -> None:
    recording = record(lambda: network("one", interface_endpoints=["sts"]))
    endpoints = recording.all("aws:ec2/vpcEndpoint:VpcEndpoint")
    assert {(e.inputs["serviceName"], e.inputs["vpcEndpointType"]) for e in endpoints} == {
        ("com.amazonaws.us-east-1.s3", "Gateway"),
        ("com.amazonaws.us-east-1.sts", "Interface"),
    }
    assert len(record(lambda: network("one")).all("aws:ec2/vpcEndpoint:VpcEndpoint")) == 1


def test_endpoints_serve_principals_of_the_account_and_what_aws_serves_to_anyone() -> None:
    recording = record(lambda: network("one", interface_endpoints=["sts", "logs"]))
    policies = {
        endpoint.name: json.loads(endpoint.inputs["policy"])["Statement"]
        for endpoint in recording.all("aws:ec2/vpcEndpoint:VpcEndpoint")
    }
    own = {"StringEquals": {"aws:PrincipalAccount": "123456789012"}}
    assert [statements[0]["Condition"] for statements in policies.values()] == [own] * 3
    others = {
        name: [(statement["Action"], statement["Resource"]) for statement in statements[1:]]
        for name, statements in policies.items()
    }
    buckets = ("prod-us-east-1-starport-layer-bucket", "al2023-repos-us-east-1-de612dc2")
    assert others == {
        "one-s3": [(["s3:GetObject"], [f"arn:aws:s3:::{bucket}/*" for bucket in buckets])],
        "one-sts": [
            (["sts:AssumeRoleWithWebIdentity"], ["arn:aws:iam::123456789012:role/*"]),
        ],
        "one-logs": [],
    }


def test_flow_log_role_writes_to_its_log_group_only() -> None:
    recording = record(lambda: network("one"))
    policy = recording.one("aws:iam/rolePolicy:RolePolicy", "one-flow").inputs["policy"]
    write, describe = json.loads(policy)["Statement"]
    group_arn = "arn:aws:logs:us-east-1:123456789012:log-group:/platform/test/one/flow:*"
    assert write["Resource"] == [group_arn]
    assert describe["Action"] == ["logs:DescribeLogGroups"]


def test_network_without_nat_has_no_outbound_route_for_private_subnets() -> None:
    recording = record(lambda: network("one", nat="none"))
    assert recording.all("aws:ec2/natGateway:NatGateway") == []
    assert [route.name for route in recording.all("aws:ec2/route:Route")] == ["one-public"]
