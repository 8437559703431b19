"""A VPC for a Kubernetes cluster: private nodes, public load balancers, a way out, and a record of what passed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.encryption import encryption_key, for_logs, log_group
from components.network.endpoints import gateway_endpoint, interface_endpoints
from components.network.plan import ZONES, Plan, plan
from components.place import place_of
from components.policy import allow, document, service_trust

__all__ = ["Network", "NetworkArgs", "Plan", "plan"]

# EKS can't place a control plane in these zones, whatever the account calls them
# (https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html).
ZONES_WITHOUT_EKS = ["use1-az3", "usw1-az2", "cac1-az3"]


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """What a network needs to know."""

    prefix: str
    """Stage prefix of physical names, such as `platform-dev`."""
    cidr: str
    """IPv4 network of the VPC, /16 to /20."""
    zones: int
    """Availability zones in use, 1 to 3. EKS asks for two."""
    nat: Literal["none", "single", "per-zone"]
    """The way out for private subnets: none, one shared gateway, or one in each zone."""
    interface_endpoints: Sequence[str] = ()
    """AWS services reached without NAT: last parts of endpoint names, such as `ecr.api`, `sts`, `logs`."""
    flow_log_days: int = 30
    """Days for which the record of connections is kept."""
    protected: bool = False
    """Refuse deletion, and keep the flow logs' key as long as KMS allows."""


class Network(pulumi.ComponentResource):
    """Guarantees a subnet plan that never moves, nodes without public addresses, and an empty default security group.

    Refuses to own anything that lives in the network: security groups of services, load balancers, DNS.
    Raises ValueError for a CIDR or a number of zones that can't be planned, RunError where the region has too few zones.
    """

    vpc_id: pulumi.Output[str]
    """The VPC."""
    cidr: str
    """The VPC's IPv4 network."""
    private_subnet_ids: list[pulumi.Output[str]]
    """One subnet per zone in use, for nodes, pods and databases."""
    public_subnet_ids: list[pulumi.Output[str]]
    """One subnet per zone in use, for load balancers and NAT only."""
    outside_cidrs: list[pulumi.Output[str]]
    """The NAT gateways' addresses: where private subnets come from, as the internet sees them."""
    egress: list[pulumi.Resource]
    """What must stand before a machine in a private subnet can reach out, and be deleted after it."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("platform:index:Network", name, {}, opts)
        if not 1 <= args.zones <= ZONES:
            raise ValueError(f"{name}: {args.zones} zones asked for; the plan holds 1 to {ZONES}")
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        ranges = plan(args.cidr)
        self.cidr = args.cidr
        available = self._zones_available()  # before anything is made: where there are too few, nothing is touched

        self._vpc = aws.ec2.Vpc(
            name,
            cidr_block=args.cidr,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=self._tags(),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protected),
        )
        self.vpc_id = self._vpc.id
        # A rule-less default group: whoever forgets to name a group gets no access instead of all of it (EC2.2).
        aws.ec2.DefaultSecurityGroup(name, vpc_id=self._vpc.id, tags=self._tags("default"), opts=self._child)

        public = [self._subnet("public", n, ranges.public[n], available[n]) for n in range(args.zones)]
        private = [self._subnet("private", n, ranges.private[n], available[n]) for n in range(args.zones)]
        self.public_subnet_ids = [subnet.id for subnet in public]
        self.private_subnet_ids = [subnet.id for subnet in private]

        internet = self._internet(public)
        private_tables = self._private_tables(public, private, internet)
        gateway_endpoint(name, "s3", self._vpc.id, [table.id for table in private_tables], self)
        interface_endpoints(name, args.interface_endpoints, self._vpc, self.private_subnet_ids, self)
        self._flow_logs()
        self.register_outputs({"vpc_id": self.vpc_id})

    def _zones_available(self) -> Sequence[str]:
        """The zones that EKS can use here, at least as many as are asked for."""
        try:
            found = aws.get_availability_zones(
                state="available",
                exclude_zone_ids=ZONES_WITHOUT_EKS,
                filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
                opts=pulumi.InvokeOptions(parent=self),
            ).names
        except Exception as error:  # the SDK raises nothing more precise, and would show its own frames
            raise pulumi.RunError(
                f"{self._name}: AWS doesn't say which availability zones there are: {error}"
            ) from error
        if len(found) < self._args.zones:
            raise pulumi.RunError(
                f"{self._name}: {self._args.zones} availability zones asked for, but EKS can use only {len(found)} of this "
                f"account's in this region ({', '.join(found) or 'none'}): ask for fewer zones, or take another region"
            )
        return found

    def _tags(self, part: str | None = None) -> dict[str, str]:
        return {"Name": "-".join(filter(None, (self._args.prefix, self._name, part)))}

    def _subnet(self, kind: Literal["public", "private"], zone: int, cidr: str, zone_name: str) -> aws.ec2.Subnet:
        # How Kubernetes finds the subnets for its load balancers
        # (https://docs.aws.amazon.com/eks/latest/userguide/network-load-balancing.html).
        role = "kubernetes.io/role/elb" if kind == "public" else "kubernetes.io/role/internal-elb"
        return aws.ec2.Subnet(
            f"{self._name}-{kind}-{zone}",
            vpc_id=self._vpc.id,
            cidr_block=cidr,
            availability_zone=zone_name,
            map_public_ip_on_launch=False,
            tags={**self._tags(f"{kind}-{zone}"), role: "1"},
            # A zone that AWS adds to its list later must not move the subnets that are already there.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["availabilityZone"]),
        )

    def _table(
        self, key: str, subnets: Sequence[tuple[int, aws.ec2.Subnet]]
    ) -> tuple[aws.ec2.RouteTable, list[pulumi.Resource]]:
        table = aws.ec2.RouteTable(f"{self._name}-{key}", vpc_id=self._vpc.id, tags=self._tags(key), opts=self._child)
        return table, [
            aws.ec2.RouteTableAssociation(
                f"{self._name}-{key.partition('-')[0]}-{zone}",
                route_table_id=table.id,
                subnet_id=subnet.id,
                opts=self._child,
            )
            for zone, subnet in subnets
        ]

    def _internet(self, public: Sequence[aws.ec2.Subnet]) -> aws.ec2.Route:
        gateway = aws.ec2.InternetGateway(self._name, vpc_id=self._vpc.id, tags=self._tags(), opts=self._child)
        table, _ = self._table("public", list(enumerate(public)))
        return aws.ec2.Route(
            f"{self._name}-public",
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
            opts=self._child,
        )

    def _private_tables(
        self, public: Sequence[aws.ec2.Subnet], private: Sequence[aws.ec2.Subnet], internet: aws.ec2.Route
    ) -> list[aws.ec2.RouteTable]:
        """One table per zone, always: going from one NAT gateway to three then changes routes and replaces nothing."""
        gateways = {"none": 0, "single": 1, "per-zone": len(public)}[self._args.nat]
        nats = [self._nat(zone, public[zone], internet) for zone in range(gateways)]
        self.outside_cidrs = [pulumi.Output.concat(nat.public_ip, "/32") for nat in nats]
        tables: list[aws.ec2.RouteTable] = []
        self.egress = []
        for zone, subnet in enumerate(private):
            table, associations = self._table(f"private-{zone}", [(zone, subnet)])
            tables.append(table)
            self.egress += associations
            if nats:
                self.egress.append(
                    aws.ec2.Route(
                        f"{self._name}-private-{zone}",
                        route_table_id=table.id,
                        destination_cidr_block="0.0.0.0/0",
                        nat_gateway_id=nats[zone % len(nats)].id,
                        opts=self._child,
                    )
                )
        return tables

    def _nat(self, zone: int, subnet: aws.ec2.Subnet, internet: aws.ec2.Route) -> aws.ec2.NatGateway:
        # The route keeps the internet gateway attached until the address is released.
        after_internet = pulumi.ResourceOptions(parent=self, depends_on=[internet])
        name, tags = f"{self._name}-nat-{zone}", self._tags(f"nat-{zone}")
        address = aws.ec2.Eip(name, domain="vpc", tags=tags, opts=after_internet)
        return aws.ec2.NatGateway(name, allocation_id=address.id, subnet_id=subnet.id, tags=tags, opts=after_internet)

    def _flow_logs(self) -> None:
        name = f"{self._name}-flow"
        place = place_of(self)
        group_name = f"/platform/{self._args.prefix}/{self._name}/flow"
        key = encryption_key(
            name,
            place=place,
            purpose=f"Flow logs of {self._args.prefix}-{self._name}",
            alias=f"{self._args.prefix}-{self._name}-flow",
            protected=self._args.protected,
            parent=self,
            statements=[for_logs(place, group_name)],
        )
        group = log_group(
            name,
            group_name=group_name,
            days=self._args.flow_log_days,
            key=key,
            parent=self,
            protected=self._args.protected,
        )
        role = aws.iam.Role(
            name,
            assume_role_policy=service_trust(
                "vpc-flow-logs.amazonaws.com",
                account_id=place.account_id,
                source_arn=place.arn("ec2", "vpc-flow-log/*"),
            ),
            opts=self._child,
        )
        policy = aws.iam.RolePolicy(
            name,
            role=role.id,
            policy=document(
                allow(
                    "WriteOneGroup",
                    ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
                    [group.arn.apply(lambda arn: f"{arn}:*")],
                ),
                # Asked for before the first record; IAM can't limit it to one group
                # (https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html).
                allow("FindGroups", ["logs:DescribeLogGroups"], [place.arn("logs", "log-group:*")]),
            ),
            opts=self._child,
        )
        aws.ec2.FlowLog(
            name,
            vpc_id=self._vpc.id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=60,
            tags=self._tags("flow"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
