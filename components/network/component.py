"""VPC for a Kubernetes cluster."""

import pulumi
import pulumi_aws as aws

from components.network.args import NetworkArgs
from components.network.endpoints import gateway_endpoint, interface_endpoints
from components.network.flow_logs import flow_logs
from components.network.nat import PrivateRoutes, internet_route
from components.network.subnets import (
    MAX_ZONES,
    available_zones,
    private_subnets,
    public_subnets,
    subnet_plan,
)

__all__ = ["Network"]


class Network(pulumi.ComponentResource):
    """VPC with a subnet plan that never moves and nodes without public addresses.

    The default security group has no rules. Does not own what lives in the network: security
    groups of services, load balancers and DNS. Raises ValueError for a CIDR or a number of zones
    outside the plan, and RunError where the region has too few zones.
    """

    vpc_id: pulumi.Output[str]
    cidr: str
    """IPv4 network of the VPC."""
    private_subnet_ids: list[pulumi.Output[str]]
    """One subnet per zone for nodes, pods and databases."""
    public_subnet_ids: list[pulumi.Output[str]]
    """One subnet per zone for load balancers and NAT only."""
    nat_cidrs: list[pulumi.Output[str]]
    """Public addresses of the NAT gateways, from which private subnets reach the internet."""
    egress: list[pulumi.Resource]
    """Routes that a machine in a private subnet needs for outbound traffic."""

    def __init__(
        self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("platform:index:Network", name, {}, opts)
        settings = args.settings
        if not 1 <= settings.zones <= MAX_ZONES:
            raise ValueError(f"{name}: zones must be 1 to {MAX_ZONES}, not {settings.zones}")
        plan = subnet_plan(settings.cidr)
        # Before the first resource: a region with too few zones is refused without side effects.
        zones = available_zones(name, settings.zones, self)[: settings.zones]
        child = pulumi.ResourceOptions(parent=self)
        tag_prefix = f"{args.prefix}-{name}"

        vpc = aws.ec2.Vpc(
            name,
            cidr_block=settings.cidr,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags={"Name": tag_prefix},
            opts=pulumi.ResourceOptions(parent=self, protect=args.protected),
        )
        # A resource that names no security group gets no access instead of full access (EC2.2).
        aws.ec2.DefaultSecurityGroup(
            name, vpc_id=vpc.id, tags={"Name": f"{tag_prefix}-default"}, opts=child
        )
        public = public_subnets(name, vpc.id, plan, zones, tag_prefix, self)
        private = private_subnets(name, vpc.id, plan, zones, tag_prefix, self)
        internet = internet_route(name, vpc.id, public, tag_prefix, self)
        routes = PrivateRoutes.create(
            name, vpc.id, settings.nat, public, private, internet, tag_prefix, self
        )
        gateway_endpoint(name, "s3", vpc.id, [table.id for table in routes.tables], self)

        self.vpc_id = vpc.id
        self.cidr = settings.cidr
        self.public_subnet_ids = [subnet.id for subnet in public]
        self.private_subnet_ids = [subnet.id for subnet in private]
        self.nat_cidrs, self.egress = routes.nat_cidrs, routes.egress
        interface_endpoints(name, settings.interface_endpoints, vpc, self.private_subnet_ids, self)
        flow_logs(
            name,
            vpc_id=vpc.id,
            prefix=args.prefix,
            days=settings.flow_log_days,
            protected=args.protected,
            parent=self,
        )
        self.register_outputs({"vpc_id": self.vpc_id})
