"""The address plan: three zones, whatever the number in use."""

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.network.plan import plan


def test_a_vpc_is_three_quarters_for_pods_and_a_sixteenth_per_zone_for_load_balancers() -> None:
    ranges = plan("10.10.0.0/16")
    assert ranges.private == ("10.10.0.0/18", "10.10.64.0/18", "10.10.128.0/18")
    assert ranges.public == ("10.10.192.0/20", "10.10.208.0/20", "10.10.224.0/20")
    assert ranges.spare == "10.10.240.0/20"


@given(st.integers(16, 20), st.integers(0, 2**32 - 1))
def test_the_parts_fill_the_whole_and_never_overlap(prefix: int, address: int) -> None:
    whole = IPv4Network((address, prefix), strict=False)
    ranges = plan(str(whole))
    parts = [IPv4Network(part) for part in (*ranges.private, *ranges.public, ranges.spare)]
    assert sum(part.num_addresses for part in parts) == whole.num_addresses
    assert all(part.subnet_of(whole) for part in parts)
    assert not any(one.overlaps(other) for one in parts for other in parts if one is not other)


@pytest.mark.parametrize("prefix", [8, 15, 21, 28])
def test_a_network_that_cannot_be_planned_is_refused(prefix: int) -> None:
    with pytest.raises(ValueError) as caught:
        plan(f"10.0.0.0/{prefix}")
    assert str(caught.value) == (
        f"10.0.0.0/{prefix} can't hold three zones of nodes and load balancers: choose a network from /16 to /20, "
        "for example 10.0.0.0/16"
    )
