"""Targets of load balancers pass health checks, and drain after their deregistration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.sandbox.account.conftest import World


def states(elb: Any, group: str) -> dict[str, str]:
    descriptions = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return {item["Target"]["Id"]: item["TargetHealth"]["State"] for item in descriptions}


def group_in_use(world: World) -> str:
    """Create a target group behind a listener; return its ARN."""
    vpc, subnets = world.network()
    elb = world.client("elbv2")
    balancer = elb.create_load_balancer(Name="web", Type="network", Subnets=subnets)
    group = elb.create_target_group(
        Name="web", Protocol="TCP", Port=80, VpcId=vpc, TargetType="ip"
    )["TargetGroups"][0]["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "10.0.0.9", "Port": 8080}])
    assert states(elb, group) == {"10.0.0.9": "unused"}
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="TCP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    return str(group)


def test_new_target_is_initial_until_its_health_checks(start: Callable[..., World]) -> None:
    world = start(time_scale=1000)
    group = group_in_use(world)
    assert states(world.client("elbv2"), group) == {"10.0.0.9": "initial"}


def test_deregistered_target_drains_for_the_delay_of_its_group(
    start: Callable[..., World],
) -> None:
    world = start()
    elb, group = world.client("elbv2"), group_in_use(world)
    targets = [{"Id": "10.0.0.9", "Port": 8080}]
    assert states(elb, group) == {"10.0.0.9": "healthy"}
    elb.deregister_targets(TargetGroupArn=group, Targets=targets)
    assert states(elb, group) == {}
    elb = start(time_scale=1000).client("elbv2")  # the journal restores the group
    elb.register_targets(TargetGroupArn=group, Targets=targets)
    assert states(elb, group) == {"10.0.0.9": "initial"}
    elb.deregister_targets(TargetGroupArn=group, Targets=targets)
    assert states(elb, group) == {"10.0.0.9": "draining"}


@pytest.mark.parametrize(("kind", "part"), [("network", "net"), ("application", "app")])
def test_arn_names_the_type_of_the_load_balancer(world: World, kind: str, part: str) -> None:
    elb, (_, subnets) = world.client("elbv2"), world.network()
    created = elb.create_load_balancer(
        Name="front", Type=kind, Subnets=subnets, Tags=[{"Key": "team", "Value": "a"}]
    )["LoadBalancers"][0]
    arn = created["LoadBalancerArn"]
    assert f":loadbalancer/{part}/front/" in arn
    described = elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"]
    assert [item["LoadBalancerArn"] for item in described] == [arn]
    tags = elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
    assert tags == [{"Key": "team", "Value": "a"}]
    group = elb.create_target_group(
        Name="group",
        Protocol="TCP" if kind == "network" else "HTTP",
        Port=80,
        VpcId=created["VpcId"],
    )["TargetGroups"][0]["TargetGroupArn"]
    listener = elb.create_listener(
        LoadBalancerArn=arn,
        Protocol="TCP" if kind == "network" else "HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )["Listeners"][0]
    assert f":listener/{part}/front/" in listener["ListenerArn"]
    elb.delete_load_balancer(LoadBalancerArn=arn)
    assert elb.describe_load_balancers()["LoadBalancers"] == []
