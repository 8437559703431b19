"""Internet gateway, NAT gateways and route tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.network.args import Nat

INTERNET = "0.0.0.0/0"


def internet_route(
    name: str,
    vpc_id: pulumi.Input[str],
    public: Sequence[aws.ec2.Subnet],
    tag_prefix: str,
    parent: pulumi.Resource,
) -> aws.ec2.Route:
    """Route the public subnets through an internet gateway."""
    child = pulumi.ResourceOptions(parent=parent)
    gateway = aws.ec2.InternetGateway(name, vpc_id=vpc_id, tags={"Name": tag_prefix}, opts=child)
    table = aws.ec2.RouteTable(
        f"{name}-public", vpc_id=vpc_id, tags={"Name": f"{tag_prefix}-public"}, opts=child
    )
    for position, subnet in enumerate(public):
        aws.ec2.RouteTableAssociation(
            f"{name}-public-{position}", route_table_id=table.id, subnet_id=subnet.id, opts=child
        )
    return aws.ec2.Route(
        f"{name}-public",
        route_table_id=table.id,
        destination_cidr_block=INTERNET,
        gateway_id=gateway.id,
        opts=child,
    )


@dataclass(frozen=True, kw_only=True)
class PrivateRoutes:
    """Route tables of the private subnets, and the resources that outbound traffic depends on."""

    tables: list[aws.ec2.RouteTable]
    nat_cidrs: list[pulumi.Output[str]]
    egress: list[pulumi.Resource]

    @classmethod
    def create(
        cls,
        name: str,
        vpc_id: pulumi.Input[str],
        nat: Nat,
        public: Sequence[aws.ec2.Subnet],
        private: Sequence[aws.ec2.Subnet],
        internet: aws.ec2.Route,
        tag_prefix: str,
        parent: pulumi.Resource,
    ) -> PrivateRoutes:
        """Create a table per zone: changing the number of gateways then replaces no table."""
        child = pulumi.ResourceOptions(parent=parent)
        count = {"none": 0, "single": 1, "per-zone": len(public)}[nat]
        gateways = [
            _nat_gateway(f"{name}-nat-{zone}", public[zone], internet, tag_prefix, zone, parent)
            for zone in range(count)
        ]
        tables: list[aws.ec2.RouteTable] = []
        egress: list[pulumi.Resource] = []
        for zone, subnet in enumerate(private):
            key = f"private-{zone}"
            tags = {"Name": f"{tag_prefix}-{key}"}
            table = aws.ec2.RouteTable(f"{name}-{key}", vpc_id=vpc_id, tags=tags, opts=child)
            tables.append(table)
            egress.append(
                aws.ec2.RouteTableAssociation(
                    f"{name}-{key}", route_table_id=table.id, subnet_id=subnet.id, opts=child
                )
            )
            if gateways:
                egress.append(
                    aws.ec2.Route(
                        f"{name}-{key}",
                        route_table_id=table.id,
                        destination_cidr_block=INTERNET,
                        nat_gateway_id=gateways[zone % len(gateways)].id,
                        opts=child,
                    )
                )
        nat_cidrs = [pulumi.Output.concat(gateway.public_ip, "/32") for gateway in gateways]
        return cls(tables=tables, nat_cidrs=nat_cidrs, egress=egress)


def _nat_gateway(
    name: str,
    subnet: aws.ec2.Subnet,
    internet: aws.ec2.Route,
    tag_prefix: str,
    zone: int,
    parent: pulumi.Resource,
) -> aws.ec2.NatGateway:
    # The dependency keeps the internet gateway attached until the address is released.
    opts = pulumi.ResourceOptions(parent=parent, depends_on=[internet])
    tags = {"Name": f"{tag_prefix}-nat-{zone}"}
    address = aws.ec2.Eip(name, domain="vpc", tags=tags, opts=opts)
    return aws.ec2.NatGateway(
        name, allocation_id=address.id, subnet_id=subnet.id, tags=tags, opts=opts
    )
