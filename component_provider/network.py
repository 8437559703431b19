"""Network with flat arguments."""

from dataclasses import dataclass
from typing import NotRequired, TypedDict, cast

import pulumi

from components import network
from components.network.args import Nat


class NetworkArgs(TypedDict):
    """Arguments of Network."""

    prefix: str
    """Prefix of physical names, such as `platform-dev`."""
    cidr: str
    """IPv4 network of the VPC, /16 to /20."""
    zones: int
    """Number of availability zones, 1 to 3."""
    nat: str
    """NAT gateways of the private subnets: `none`, `single` or `per-zone`."""
    interface_endpoints: NotRequired[list[str]]
    """Last parts of endpoint names, such as `ecr.api`."""
    flow_log_days: int
    """Retention of the flow logs in days."""
    protected: NotRequired[bool]
    """Refuse deletion, and retain the flow logs."""


@dataclass(frozen=True, kw_only=True)
class _NetworkSettings:
    cidr: str
    zones: int
    nat: Nat
    interface_endpoints: list[str]
    flow_log_days: int


class Network(pulumi.ComponentResource):
    """VPC with public and private subnets, NAT, endpoints and flow logs."""

    vpc_id: pulumi.Output[str]
    """ID of the VPC."""
    private_subnet_ids: pulumi.Output[list[str]]
    """One subnet per zone for nodes, pods and databases."""
    public_subnet_ids: pulumi.Output[list[str]]
    """One subnet per zone for load balancers and NAT."""

    def __init__(
        self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("platform:index:Network", name, {}, opts)
        inner = network.Network(
            name,
            network.NetworkArgs(
                prefix=args["prefix"],
                protected=args.get("protected", False),
                settings=_NetworkSettings(
                    cidr=args["cidr"],
                    zones=int(args["zones"]),
                    nat=cast(Nat, args["nat"]),
                    interface_endpoints=args.get("interface_endpoints") or [],
                    flow_log_days=int(args["flow_log_days"]),
                ),
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.vpc_id = inner.vpc_id
        self.private_subnet_ids = pulumi.Output.all(*inner.private_subnet_ids)
        self.public_subnet_ids = pulumi.Output.all(*inner.public_subnet_ids)
        self.register_outputs({"vpcId": self.vpc_id})
