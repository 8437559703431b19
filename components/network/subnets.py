"""Availability zones, subnet plan and subnets."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.aws.vpc_limits import MAX_PREFIX, MIN_PREFIX

# EKS cannot place a control plane in these zones, under whatever name an account knows them
# (https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html).
ZONE_IDS_WITHOUT_EKS = ["use1-az3", "usw1-az2", "cac1-az3"]
MAX_ZONES = 3


@dataclass(frozen=True, kw_only=True)
class SubnetPlan:
    """One private and one public range for each of three zones; the last sixteenth is unused."""

    private: tuple[str, str, str]
    public: tuple[str, str, str]
    spare: str


def subnet_plan(cidr: str) -> SubnetPlan:
    """Divide `cidr`: a quarter per zone for nodes and pods, a sixteenth for load balancers.

    Always reserves three zones, so that adding a zone moves no subnet.
    Raises ValueError if `cidr` is not an IPv4 network from /16 to /20.
    """
    network = IPv4Network(cidr)
    if not MIN_PREFIX <= network.prefixlen <= MAX_PREFIX:
        raise ValueError(
            f"{cidr} cannot hold three zones of nodes and load balancers: choose a network from "
            f"/{MIN_PREFIX} to /{MAX_PREFIX}, for example {network.network_address}/{MIN_PREFIX}"
        )
    quarters = list(network.subnets(prefixlen_diff=2))
    sixteenths = [str(part) for part in quarters[3].subnets(prefixlen_diff=2)]
    first, second, third = (str(quarter) for quarter in quarters[:MAX_ZONES])
    return SubnetPlan(
        private=(first, second, third),
        public=(sixteenths[0], sixteenths[1], sixteenths[2]),
        spare=sixteenths[3],
    )


def available_zones(name: str, count: int, parent: pulumi.Resource) -> Sequence[str]:
    """Return the zones that EKS can use; raise RunError if there are fewer than `count`."""
    try:
        zones = aws.get_availability_zones(
            state="available",
            exclude_zone_ids=ZONE_IDS_WITHOUT_EKS,
            filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
            opts=pulumi.InvokeOptions(parent=parent),
        ).names
    except Exception as error:  # the SDK raises plain Exception, with a traceback of its own
        raise pulumi.RunError(f"{name}: cannot list availability zones: {error}") from error
    if len(zones) < count:
        raise pulumi.RunError(
            f"{name}: {count} availability zones are configured, but EKS can use only {len(zones)} "
            f"in this account and region ({', '.join(zones) or 'none'}): configure fewer zones, "
            "or use another region"
        )
    return zones


def public_subnets(
    name: str,
    vpc_id: pulumi.Input[str],
    plan: SubnetPlan,
    zones: Sequence[str],
    tag_prefix: str,
    parent: pulumi.Resource,
) -> list[aws.ec2.Subnet]:
    """Create a subnet per zone for load balancers and NAT gateways."""
    return [
        _subnet(name, "public", position, vpc_id, plan.public[position], zone, tag_prefix, parent)
        for position, zone in enumerate(zones)
    ]


def private_subnets(
    name: str,
    vpc_id: pulumi.Input[str],
    plan: SubnetPlan,
    zones: Sequence[str],
    tag_prefix: str,
    parent: pulumi.Resource,
) -> list[aws.ec2.Subnet]:
    """Create a subnet per zone for nodes, pods and databases."""
    return [
        _subnet(name, "private", position, vpc_id, plan.private[position], zone, tag_prefix, parent)
        for position, zone in enumerate(zones)
    ]


def _subnet(
    name: str,
    kind: Literal["public", "private"],
    position: int,
    vpc_id: pulumi.Input[str],
    cidr: str,
    zone: str,
    tag_prefix: str,
    parent: pulumi.Resource,
) -> aws.ec2.Subnet:
    # Load-balancer controllers select subnets by this tag
    # (https://docs.aws.amazon.com/eks/latest/userguide/network-load-balancing.html).
    role = "kubernetes.io/role/elb" if kind == "public" else "kubernetes.io/role/internal-elb"
    return aws.ec2.Subnet(
        f"{name}-{kind}-{position}",
        vpc_id=vpc_id,
        cidr_block=cidr,
        availability_zone=zone,
        map_public_ip_on_launch=False,
        tags={"Name": f"{tag_prefix}-{kind}-{position}", role: "1"},
        # A zone that AWS adds later must not move existing subnets.
        opts=pulumi.ResourceOptions(parent=parent, ignore_changes=["availabilityZone"]),
    )
