"""What a network and a cluster guarantee, and what they refuse."""

import json
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from tests.components.makers import (
    NODES,
    cluster,
    made,
    network,
)
from tests.program.recording import INVOKES


@pytest.mark.parametrize("zones", [0, 4])
def test_a_network_refuses_zones_that_its_plan_does_not_hold(zones: int) -> None:
    with pytest.raises(ValueError) as caught:
        made(lambda: network("one", zones=zones))
    assert str(caught.value) == f"one: {zones} zones asked for; the plan holds 1 to 3"


def test_a_network_asks_before_it_makes_anything_whether_there_are_enough_zones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    zones = INVOKES["aws:index/getAvailabilityZones:getAvailabilityZones"]
    monkeypatch.setitem(zones, "names", ["us-west-1a", "us-west-1c"])
    with pytest.raises(pulumi.RunError) as caught:
        made(lambda: network("one", zones=3))
    assert str(caught.value) == (
        "one: 3 availability zones asked for, but EKS can use only 2 of this account's in this region "
        "(us-west-1a, us-west-1c): ask for fewer zones, or take another region"
    )


def test_a_third_zone_changes_nothing_of_the_first_two() -> None:
    def subnets(zones: int) -> dict[str, Any]:
        found = made(lambda: network("one", zones=zones)).all("aws:ec2/subnet:Subnet")
        return {subnet.name: subnet.inputs for subnet in found}

    assert subnets(2).items() <= subnets(3).items()
    assert len(subnets(3)) == 6


def test_load_balancers_find_their_subnets_and_nodes_get_no_public_address() -> None:
    for subnet in made(lambda: network("one")).all("aws:ec2/subnet:Subnet"):
        role = "elb" if "public" in subnet.name else "internal-elb"
        assert subnet.inputs["tags"][f"kubernetes.io/role/{role}"] == "1"
        assert subnet.inputs["mapPublicIpOnLaunch"] is False


def test_s3_is_always_reached_directly_and_other_services_where_asked() -> None:
    endpoints = made(lambda: network("one", interface_endpoints=["sts"])).all("aws:ec2/vpcEndpoint:VpcEndpoint")
    assert {(e.inputs["serviceName"], e.inputs["vpcEndpointType"]) for e in endpoints} == {
        ("com.amazonaws.us-east-1.s3", "Gateway"),
        ("com.amazonaws.us-east-1.sts", "Interface"),
    }
    assert len(made(lambda: network("one")).all("aws:ec2/vpcEndpoint:VpcEndpoint")) == 1


def test_flow_logs_are_written_to_one_group_by_whoever_may_look_for_it() -> None:
    policy = made(lambda: network("one")).one("aws:iam/rolePolicy:RolePolicy", "one-flow").inputs["policy"]
    write, find = json.loads(policy)["Statement"]
    assert write["Resource"] == ["arn:aws:logs:us-east-1:123456789012:log-group:/platform/test/one/flow:*"]
    assert find["Action"] == ["logs:DescribeLogGroups"]


def test_a_network_without_nat_has_no_way_out() -> None:
    recording = made(lambda: network("one", nat="none"))
    assert recording.all("aws:ec2/natGateway:NatGateway") == []
    assert [route.name for route in recording.all("aws:ec2/route:Route")] == ["one-public"]


def test_nodes_are_encrypted_pinned_and_keep_their_credentials_from_pods() -> None:
    recording = made(lambda: cluster("one"))
    template = recording.one("aws:ec2/launchTemplate:LaunchTemplate", "one-nodes").inputs
    assert template["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
    }
    assert template["blockDeviceMappings"][0]["ebs"]["encrypted"] == "true"
    group = recording.one("eks:index:ManagedNodeGroup", "one-nodes-a").inputs
    assert group["ignoreScalingChanges"] is True
    assert (group["releaseVersion"], group["version"]) == ("1.35.0-20260901", "1.35")


def test_a_control_plane_is_closed_encrypted_and_heard() -> None:
    inputs = made(lambda: cluster("one", protected=True)).one("eks:index:Cluster", "one").inputs
    assert inputs["authenticationMode"] == "API"
    assert inputs["enabledClusterLogTypes"] == ["api", "audit", "authenticator", "controllerManager", "scheduler"]
    assert inputs["encryptionConfigKeyArn"] == "arn:aws:kms:us-east-1:123456789012:key/one"
    assert inputs["upgradePolicy"] == {"supportType": "STANDARD"}
    assert inputs["deletionProtection"] is True
    assert inputs["publicAccessCidrs"] == ["203.0.113.0/24"]


def test_a_private_endpoint_names_no_networks_and_its_proxy_gets_into_the_kubeconfig() -> None:
    recording = made(
        lambda: cluster("one", public_endpoint=False, allowed_cidrs=[], proxy_url="http://proxy.test:3128")
    )
    inputs = recording.one("eks:index:Cluster", "one").inputs
    assert inputs["endpointPublicAccess"] is False
    assert "publicAccessCidrs" not in inputs
    kubeconfig = json.loads(recording.one("pulumi:providers:kubernetes", "one").inputs["kubeconfig"])
    assert kubeconfig["clusters"][0]["cluster"]["proxy-url"] == "http://proxy.test:3128"


def test_what_is_in_the_vpc_reaches_a_private_endpoint_before_anything_is_asked_of_it() -> None:
    recording = made(lambda: cluster("one", public_endpoint=False, allowed_cidrs=[]))
    (rule,) = recording.all("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert (rule.inputs["securityGroupId"], rule.inputs["cidrIpv4"]) == ("sg-test-one", "10.0.0.0/16")
    assert (rule.inputs["fromPort"], rule.inputs["toPort"]) == (443, 443)
    assert f"{rule.type}::{rule.name}" in recording.one("pulumi:providers:kubernetes", "one").depends_on
    assert made(lambda: cluster("one")).all("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule") == []


def test_auto_mode_is_told_to_enforce_network_policies() -> None:
    recording = made(lambda: cluster("one", auto_mode=True))
    switch = recording.one("kubernetes:core/v1:ConfigMap", "one-network-policies").inputs
    assert (switch["metadata"]["namespace"], switch["metadata"]["name"]) == ("kube-system", "amazon-vpc-cni")
    assert switch["data"] == {"enable-network-policy-controller": "true"}
    assert recording.all("kubernetes:karpenter.sh/v1:NodePool") == []


def test_auto_mode_gets_a_pool_of_graviton_where_the_image_is_for_that() -> None:
    nodes = replace(NODES, architecture="arm64", instance_types=["m7g.large"])
    recording = made(lambda: cluster("one", auto_mode=True, nodes=nodes))
    pool = recording.one("kubernetes:karpenter.sh/v1:NodePool", "one-arm64").inputs["spec"]["template"]["spec"]
    assert {"key": "kubernetes.io/arch", "operator": "In", "values": ["arm64"]} in pool["requirements"]
    assert pool["nodeClassRef"] == {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": "default"}
    metrics = recording.one("aws:eks/addon:Addon", "one-metrics-server")
    assert "kubernetes:karpenter.sh/v1:NodePool::one-arm64" in metrics.depends_on


def test_administrators_that_do_not_exist_are_refused_before_anything_is_made() -> None:
    """EKS would refuse them too, when the control plane stands. Of another account's roles nothing is known."""
    role = "arn:aws:iam::123456789012:role"
    with pytest.raises(pulumi.RunError) as caught:
        made(
            lambda: cluster(
                "one", deployers=[f"{role}/ci", f"{role}/deplyer"], break_glass=[f"{role}/team/glass", f"{role}/gone"]
            )
        )
    assert str(caught.value) == (
        f"one: EKS lets in only roles that exist, and IAM has none with the ARN {role}/deplyer or {role}/team/glass or "
        f"{role}/gone: create what is missing first, or take it out of the cluster's deployers and break-glass roles"
    )
    assert made(lambda: cluster("one", break_glass=["arn:aws:iam::210987654321:role/glass"])).resources


def test_deployers_and_break_glass_come_in_by_name() -> None:
    role = "arn:aws:iam::123456789012:role"
    recording = made(lambda: cluster("one", deployers=[f"{role}/ci"], break_glass=[f"{role}/glass"]))
    entries = recording.one("eks:index:Cluster", "one").inputs["accessEntries"]
    assert entries["ci"]["principalArn"] == f"{role}/ci"
    assert (
        recording.one("aws:eks/accessEntry:AccessEntry", "one-break-glass-glass").inputs["principalArn"]
        == f"{role}/glass"
    )
