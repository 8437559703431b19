"""Targets of load balancers pass health checks, and drain after their deregistration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
