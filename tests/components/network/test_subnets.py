"""Subnet plan: three zones, whatever the number in use."""

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.network.subnets import subnet_plan


def test_plan_has_a_quarter_per_zone_for_pods_and_a_sixteenth_for_load_balancers() -> None:
    plan = subnet_plan("10.10.0.0/16")
    assert plan.private == ("10.10.0.0/18", "10.10.64.0/18", "10.10.128.0/18")
    assert plan.public == ("10.10.192.0/20", "10.10.208.0/20", "10.10.224.0/20")
    assert plan.spare == "10.10.240.0/20"


@given(st.integers(16, 20), st.integers(0, 2**32 - 1))
def test_subnets_fill_the_network_without_overlap(prefix: int, address: int) -> None:
    network = IPv4Network((address, prefix), strict=False)
    plan = subnet_plan(str(network))
    subnets = [IPv4Network(subnet) for subnet in (*plan.private, *plan.public, plan.spare)]
    assert sum(subnet.num_addresses for subnet in subnets) == network.num_addresses
    assert all(subnet.subnet_of(network) for subnet in subnets)
    assert not any(one.overlaps(other) for one in subnets for other in subnets if one is not other)


@pytest.mark.parametrize("prefix", [8, 15, 21, 28])
def test_network_outside_slash_16_to_20_is_refused(prefix: int) -> None:
    with pytest.raises(ValueError) as caught:
        subnet_plan(f"10.0.0.0/{prefix}")
    assert str(caught.value) == (
        f"10.0.0.0/{prefix} cannot hold three zones of nodes and load balancers: "
        "choose a network from /16 to /20, for example 10.0.0.0/16"
    )
