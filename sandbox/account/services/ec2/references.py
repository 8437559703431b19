"""References that prevent the deletion of EC2 objects.

Codes and messages: docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import checks
from sandbox.account.core.referential_integrity import refuses

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call


def live_nat_gateways(ec2: Any) -> list[Any]:
    """Return the NAT gateways that exist or are being deleted."""
    return [nat for nat in ec2.nat_gateways.values() if nat.state != "deleted"]


def live_endpoints(ec2: Any) -> list[Any]:
    """Return the VPC endpoints that exist or are being deleted."""
    return [endpoint for endpoint in ec2.vpc_end_points.values() if endpoint.state != "deleted"]


@refuses(
    "ec2",
    "DeleteVpc",
    "DependencyViolation",
    "The vpc '{VpcId}' has dependencies and cannot be deleted. (Sandbox: {referrers})",
)
def vpc_contents(context: RequestContext, call: Call) -> Iterator[str]:
    """Yield the contents of a VPC except its default objects."""
    ec2, vpc = context.backend("ec2", call.region), call["VpcId"]
    yield from (s.id for s in moto_backends.subnets(context, call.region) if s.vpc_id == vpc)
    yield from (i.id for i in ec2.internet_gateways.values() if i.vpc and i.vpc.id == vpc)
    yield from (g.id for g in ec2.groups.get(vpc, {}).values() if g.name != "default")
    yield from (
        t.id for t in ec2.route_tables.values() if t.vpc_id == vpc and not t.main_association_id
    )
    yield from (n.id for n in live_nat_gateways(ec2) if n.vpc_id == vpc)
    yield from (e.id for e in live_endpoints(ec2) if e.vpc_id == vpc)
    yield from (a.id for a in ec2.network_acls.values() if a.vpc_id == vpc and not a.default)


def _in_subnet(context: RequestContext, region: str, subnet_id: str) -> Iterator[str]:
    ec2 = context.backend("ec2", region)
    yield from (n.id for n in live_nat_gateways(ec2) if n.subnet_id == subnet_id)
    yield from (e.id for e in live_endpoints(ec2) if subnet_id in (e.subnet_ids or []))
    owned = {n._eni.id for n in ec2.nat_gateways.values()}
    yield from (e.id for e in ec2.enis.values() if e.subnet.id == subnet_id and e.id not in owned)
    for key, cluster in context.table("eks.cluster").items():
        if key[0] == region and subnet_id in cluster["resourcesVpcConfig"]["subnetIds"]:
            yield f"network interfaces of EKS cluster {key[1]}"
    for key, group in context.table("eks.nodegroup").items():
        if key[0] == region and subnet_id in group["subnets"]:
            yield f"nodes of EKS node group {key[2]}"
    for database in context.backend("rds", region).databases.values():
        placed = getattr(database, "db_subnet_group", None)
        if placed is not None and any(s.id == subnet_id for s in placed._subnets):
            yield f"RDS instance {database.db_instance_identifier}"


@refuses(
    "ec2",
    "DeleteSubnet",
    "DependencyViolation",
    "The subnet '{SubnetId}' has dependencies and cannot be deleted. (Sandbox: {referrers})",
)
def subnet_contents(context: RequestContext, call: Call) -> Iterator[str]:
    """Yield the owners of network interfaces in a subnet."""
    return _in_subnet(context, call.region, call["SubnetId"])


@refuses(
    "ec2",
    "DetachInternetGateway",
    "DependencyViolation",
    (
        "Network {VpcId} has some mapped public address(es). Please unmap those public address(es) "
        "before detaching the gateway. (Sandbox: {referrers})"
    ),
)
def mapped_addresses(context: RequestContext, call: Call) -> Iterator[str]:
    """Yield the NAT gateways and addresses that need the internet gateway."""
    ec2 = context.backend("ec2", call.region)
    for nat in live_nat_gateways(ec2):
        if nat.vpc_id == call["VpcId"] and nat.connectivity_type != "private":
            yield nat.id
    owned = {n._eni.id for n in ec2.nat_gateways.values()}
    for address in ec2.addresses:
        if (
            address.eni is not None
            and address.eni.id not in owned
            and address.eni.subnet.vpc_id == call["VpcId"]
        ):
            yield address.public_ip


@refuses(
    "ec2", "ReleaseAddress", "InvalidIPAddress.InUse", "Address is in use. (Sandbox: {referrers})"
)
def address_users(context: RequestContext, call: Call) -> Iterator[str]:
    """Yield the association of an Elastic IP."""
    for address in context.backend("ec2", call.region).addresses:
        is_referenced = (
            call.get("AllocationId") in {address.allocation_id}
            or call.get("PublicIp") == address.public_ip
        )
        if is_referenced and address.association_id:
            yield address.eni.id if address.eni is not None else address.association_id


@checks("ec2", "DeleteSecurityGroup")
def default_group_stays(context: RequestContext, call: Call) -> None:
    """Refuse to delete a default security group."""
    group = moto_backends.security_group(context, call.region, call.get("GroupId") or "")
    if group is not None and group.name == "default":
        text = f'the specified group: "{group.id}" name: "default" cannot be deleted by a user'
        raise AwsError("CannotDelete", text)


@refuses(
    "ec2",
    "DeleteSecurityGroup",
    "DependencyViolation",
    "resource {GroupId} has a dependent object. (Sandbox: {referrers})",
)
def group_users(context: RequestContext, call: Call) -> Iterator[str]:
    """Yield the users of a security group."""
    region, group_id = call.region, call.get("GroupId")
    call.params.setdefault("GroupId", call.get("GroupName"))
    ec2 = context.backend("ec2", region)
    for groups in ec2.groups.values():
        for other in groups.values():
            rules = (*other.ingress_rules, *other.egress_rules)
            if other.id != group_id and any(
                rule.source_group.get("GroupId") == group_id for rule in rules
            ):
                yield f"a rule of {other.id}"
    yield from (e.id for e in ec2.enis.values() if any(g.id == group_id for g in e.group_set))
    yield from (e.id for e in live_endpoints(ec2) if group_id in (e.security_group_ids or []))
    for key, cluster in context.table("eks.cluster").items():
        vpc = cluster["resourcesVpcConfig"]
        if key[0] == region and group_id in {
            *vpc["securityGroupIds"],
            vpc["clusterSecurityGroupId"],
        }:
            yield f"network interfaces of EKS cluster {key[1]}"
    for database in context.backend("rds", region).databases.values():
        if group_id in database.vpc_security_group_ids:
            yield f"RDS instance {database.db_instance_identifier}"
    for balancer in context.backend("elbv2", region).load_balancers.values():
        if group_id in balancer.security_groups:
            yield balancer.name


@refuses(
    "ec2",
    "DeleteRouteTable",
    "DependencyViolation",
    (
        "The routeTable '{RouteTableId}' has dependencies and cannot be deleted. (Sandbox: "
        "{referrers})"
    ),
)
def route_table_users(context: RequestContext, call: Call) -> Iterator[str]:
    """Yield a route table's associations."""
    table = context.backend("ec2", call.region).route_tables.get(call["RouteTableId"])
    if table is not None and table.main_association_id:
        yield f"it is the main route table of {table.vpc_id}"
    if table is not None:
        yield from table._associations.values()


@refuses(
    "ec2",
    "DeleteNetworkInterface",
    "InvalidNetworkInterface.InUse",
    "Interface {NetworkInterfaceId} is in use by {referrers}",
)
def interface_users(context: RequestContext, call: Call) -> Iterator[str]:
    """Yield the owner of an interface."""
    ec2, interface = context.backend("ec2", call.region), call["NetworkInterfaceId"]
    yield from (n.id for n in live_nat_gateways(ec2) if n._eni.id == interface)
    yield from (e.id for e in live_endpoints(ec2) if interface in e.network_interface_ids)
