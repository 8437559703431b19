"""EC2 where moto differs: NAT gateways, endpoints, missing IDs, launch template versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import amends, checks, implements
from sandbox.account.core.schedule import SECONDS

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

# AWS shows deleted NAT gateways and endpoints for about an hour (VPC user guide, "Delete a NAT
# gateway").
SECONDS["ec2", "tombstone"] = 3600

# operation: (parameter of IDs, result list, ID key, error code of a missing one)
_LOOKUPS = {
    "DescribeVpcs": ("VpcIds", "Vpcs", "VpcId", "InvalidVpcID.NotFound"),
    "DescribeSubnets": ("SubnetIds", "Subnets", "SubnetId", "InvalidSubnetID.NotFound"),
    "DescribeRouteTables": (
        "RouteTableIds",
        "RouteTables",
        "RouteTableId",
        "InvalidRouteTableID.NotFound",
    ),
    "DescribeInternetGateways": (
        "InternetGatewayIds",
        "InternetGateways",
        "InternetGatewayId",
        "InvalidInternetGatewayID.NotFound",
    ),
    "DescribeNatGateways": ("NatGatewayIds", "NatGateways", "NatGatewayId", "NatGatewayNotFound"),
    "DescribeSecurityGroups": ("GroupIds", "SecurityGroups", "GroupId", "InvalidGroup.NotFound"),
    "DescribeSecurityGroupRules": (
        "SecurityGroupRuleIds",
        "SecurityGroupRules",
        "SecurityGroupRuleId",
        "InvalidSecurityGroupRuleId.NotFound",
    ),
    "DescribeVpcEndpoints": (
        "VpcEndpointIds",
        "VpcEndpoints",
        "VpcEndpointId",
        "InvalidVpcEndpointId.NotFound",
    ),
    "DescribeFlowLogs": ("FlowLogIds", "FlowLogs", "FlowLogId", "InvalidFlowLogId.NotFound"),
    "DescribeAddresses": (
        "AllocationIds",
        "Addresses",
        "AllocationId",
        "InvalidAllocationID.NotFound",
    ),
    "DescribeNetworkInterfaces": (
        "NetworkInterfaceIds",
        "NetworkInterfaces",
        "NetworkInterfaceId",
        "InvalidNetworkInterfaceID.NotFound",
    ),
    "DescribeLaunchTemplates": (
        "LaunchTemplateIds",
        "LaunchTemplates",
        "LaunchTemplateId",
        "InvalidLaunchTemplateId.NotFound",
    ),
}


def _refuse_missing(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    parameter, listing, name, code = _LOOKUPS[call.operation]
    if call.get("Filters") or call.get("Filter"):
        return
    existing = {item[name] for item in result.get(listing) or []}
    missing = [requested for requested in call.get(parameter) or [] if requested not in existing]
    if missing:
        raise AwsError(code, f"The ID '{missing[0]}' does not exist")


amends("ec2", *_LOOKUPS)(_refuse_missing)


@checks("ec2", "CreateNatGateway")
def check_nat_gateway(context: RequestContext, call: Call) -> None:
    """Refuse a NAT gateway without subnet, free address or internet gateway."""
    ec2 = context.backend("ec2", call.region)
    subnet = moto_backends.subnet(context, call.region, call.get("SubnetId") or "")
    if subnet is None:
        raise AwsError(
            "InvalidSubnetID.NotFound", f"The subnet ID '{call.get('SubnetId')}' does not exist"
        )
    if call.get("ConnectivityType", "public") != "public":
        return
    allocation = call.get("AllocationId")
    if not allocation:
        raise AwsError(
            "MissingParameter",
            (
                "The request must include the AllocationId parameter. Add the required parameter "
                "and retry the request."
            ),
        )
    address = next((a for a in ec2.addresses if a.allocation_id == allocation), None)
    if address is None:
        raise AwsError(
            "InvalidAllocationID.NotFound", f"The allocation ID '{allocation}' does not exist"
        )
    if address.association_id:
        raise AwsError(
            "Resource.AlreadyAssociated",
            f"resource {allocation} is already associated with {address.association_id}",
        )
    if not any(
        gateway.vpc and gateway.vpc.id == subnet.vpc_id
        for gateway in ec2.internet_gateways.values()
    ):
        raise AwsError(
            "Gateway.NotAttached", f"Network {subnet.vpc_id} has no Internet gateway attached"
        )


@amends("ec2", "CreateNatGateway")
def nat_gateway_pending(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Keep a NAT gateway pending while AWS provisions it."""
    nat = context.backend("ec2", call.region).nat_gateways[result["NatGateway"]["NatGatewayId"]]
    nat.state = result["NatGateway"]["State"] = "pending"

    def ready() -> None:
        if nat.state == "pending":
            nat.state = "available"

    context.later(("ec2", "nat.create"), ready)


@checks("ec2", "DeleteNatGateway")
def check_nat_gateway_exists(context: RequestContext, call: Call) -> None:
    """Refuse a missing ID."""
    nat = context.backend("ec2", call.region).nat_gateways.get(call["NatGatewayId"])
    if nat is None or nat.state == "deleted":
        raise AwsError("NatGatewayNotFound", f"NatGateway {call['NatGatewayId']} was not found")


@implements("ec2", "DeleteNatGateway")
def delete_nat_gateway(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete a NAT gateway; it releases its address, and stays visible for an hour."""
    ec2 = context.backend("ec2", call.region)
    nat = ec2.nat_gateways[call["NatGatewayId"]]
    nat.state = "deleting"

    def gone() -> None:
        nat.state = "deleted"
        for address in ec2.addresses:
            if address.eni is not None and address.eni.id == nat._eni.id:
                address.eni = None
                address.association_id = None
        ec2.enis.pop(nat._eni.id, None)
        context.later(("ec2", "tombstone"), lambda: ec2.nat_gateways.pop(nat.id, None))

    context.later(("ec2", "nat.delete"), gone)
    return {"NatGatewayId": nat.id}


@amends("ec2", "CreateVpcEndpoint")
def endpoint_pending(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Keep an interface endpoint pending; a gateway endpoint is available immediately."""
    endpoint = context.backend("ec2", call.region).vpc_end_points[
        result["VpcEndpoint"]["VpcEndpointId"]
    ]
    endpoint.vpc_endpoint_type = result["VpcEndpoint"]["VpcEndpointType"] = (
        endpoint.vpc_endpoint_type or "Gateway"
    )
    if endpoint.vpc_endpoint_type != "Interface":
        return
    endpoint.state = result["VpcEndpoint"]["State"] = "pending"

    def ready() -> None:
        if endpoint.state == "pending":
            endpoint.state = "available"

    context.later(("ec2", "endpoint.create"), ready)


@checks("ec2", "CreateVpcEndpoint")
def check_endpoint(context: RequestContext, call: Call) -> None:
    """Refuse an endpoint with missing references, or a duplicate gateway endpoint."""
    ec2 = context.backend("ec2", call.region)
    if call["VpcId"] not in ec2.vpcs:
        raise AwsError("InvalidVpcId.NotFound", f"The Vpc Id {call['VpcId']} does not exist")
    for table in call.get("RouteTableIds") or []:
        if table not in ec2.route_tables:
            raise AwsError(
                "InvalidRouteTableId.NotFound", f"The routeTable ID '{table}' does not exist"
            )
    for subnet_id in call.get("SubnetIds") or []:
        if moto_backends.subnet(context, call.region, subnet_id) is None:
            raise AwsError(
                "InvalidSubnetId.NotFound", f"The subnet ID '{subnet_id}' does not exist"
            )
    for group_id in call.get("SecurityGroupIds") or []:
        if moto_backends.security_group(context, call.region, group_id) is None:
            raise AwsError(
                "InvalidSecurityGroupId.NotFound",
                f"The security group ID '{group_id}' does not exist",
            )


@implements("ec2", "ModifyVpcEndpoint")
def modify_endpoint(context: RequestContext, call: Call) -> dict[str, Any]:
    """Update an endpoint; moto's update leaves routes that prevent its deletion."""
    ec2 = context.backend("ec2", call.region)
    endpoint = ec2.vpc_end_points.get(call["VpcEndpointId"])
    if endpoint is None or endpoint.state == "deleted":
        raise AwsError(
            "InvalidVpcEndpointId.NotFound",
            f"The Vpc Endpoint Id '{call['VpcEndpointId']}' does not exist",
        )
    for table in call.get("AddRouteTableIds") or []:
        if table not in ec2.route_tables:
            raise AwsError(
                "InvalidRouteTableId.NotFound", f"The routeTable ID '{table}' does not exist"
            )
    for table in call.get("AddRouteTableIds") or []:
        if table not in endpoint.route_table_ids:
            ec2.create_route(
                table,
                None,
                destination_prefix_list_id=endpoint.destination_prefix_list_id,
                gateway_id=endpoint.id,
            )
            endpoint.route_table_ids.append(table)
    for table in call.get("RemoveRouteTableIds") or []:
        if table in endpoint.route_table_ids:
            ec2.delete_route(table, endpoint.destination_prefix_list_id)
            endpoint.route_table_ids.remove(table)
    endpoint.modify(
        call.get("PolicyDocument"),
        call.get("AddSubnetIds"),
        call.get("RemoveSubnetIds"),
        None,
        None,
        call.get("AddSecurityGroupIds"),
        call.get("RemoveSecurityGroupIds"),
    )
    if "PrivateDnsEnabled" in call.params:
        endpoint.private_dns_enabled = call["PrivateDnsEnabled"]
    return {"Return": True}


@amends("ec2", "DeleteVpcEndpoints")
def endpoints_going(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Keep endpoints deleting while AWS does, and visible for an hour."""
    ec2 = context.backend("ec2", call.region)
    for endpoint_id in call["VpcEndpointIds"]:
        endpoint = ec2.vpc_end_points.get(endpoint_id)
        if endpoint is not None:
            endpoint.state = "deleting"
            _bury(context, ec2, endpoint)


def _bury(context: RequestContext, ec2: Any, endpoint: Any) -> None:
    def gone() -> None:
        endpoint.state = "deleted"
        context.later(("ec2", "tombstone"), lambda: ec2.vpc_end_points.pop(endpoint.id, None))

    context.later(("ec2", "endpoint.delete"), gone)


@amends("ec2", "DeleteRouteTable")
def forget_route_table(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Remove a deleted route table from gateway endpoints, as AWS does."""
    for endpoint in context.backend("ec2", call.region).vpc_end_points.values():
        if call["RouteTableId"] in (endpoint.route_table_ids or []):
            endpoint.route_table_ids.remove(call["RouteTableId"])


@amends("ec2", "DeleteVpc")
def forget_vpc(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Delete a VPC's default network ACL with it."""
    ec2 = context.backend("ec2", call.region)
    for acl in [acl for acl in ec2.network_acls.values() if acl.vpc_id == call["VpcId"]]:
        del ec2.network_acls[acl.id]
        ec2.tags.pop(acl.id, None)
    ec2.tags.pop(call["VpcId"], None)


@implements("ec2", "DeleteLaunchTemplateVersions")
def delete_launch_template_versions(context: RequestContext, call: Call) -> dict[str, Any]:
    """Hide deleted versions: moto numbers versions by position."""
    ec2 = context.backend("ec2", call.region)
    template_id = call.get("LaunchTemplateId") or ec2.launch_template_name_to_ids.get(
        call.get("LaunchTemplateName")
    )
    template = ec2.launch_templates.get(template_id)
    if template is None:
        raise AwsError(
            "InvalidLaunchTemplateId.NotFound", f"The launch template {template_id} does not exist"
        )
    done, failed = [], []
    for number in call["Versions"]:
        version = next((v for v in template.versions if str(v.number) == number), None)
        shown = {
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "VersionNumber": int(number),
        }
        if version is None:
            error = {
                "Code": "launchTemplateVersionDoesNotExist",
                "Message": f"Version {number} does not exist",
            }
            failed.append({**shown, "ResponseError": error})
        elif version.number in {template.default_version_number, template.versions[-1].number}:
            kind = "default" if version.number == template.default_version_number else "newest"
            text = (
                f"Version {number} is the {kind} version and cannot be deleted (deleting the "
                "newest version is not emulated by the sandbox)"
            )
            failed.append({**shown, "ResponseError": {"Code": "unexpectedError", "Message": text}})
        else:
            context.table("ec2.deleted_template_version")[call.region, template.id, number] = {}
            done.append(shown)
    return {
        "SuccessfullyDeletedLaunchTemplateVersions": done,
        "UnsuccessfullyDeletedLaunchTemplateVersions": failed,
    }


@amends("ec2", "DescribeLaunchTemplateVersions")
def hide_deleted_versions(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Exclude deleted launch template versions."""
    deleted = context.table("ec2.deleted_template_version")
    result["LaunchTemplateVersions"] = [
        version
        for version in result.get("LaunchTemplateVersions") or []
        if (call.region, version["LaunchTemplateId"], str(version["VersionNumber"])) not in deleted
    ]


@amends("ec2", "CreateLaunchTemplate")
def keep_own_tags_out(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Remove the template's own tags from its instances' tags, where moto adds them."""
    template = context.backend("ec2", call.region).launch_templates[
        result["LaunchTemplate"]["LaunchTemplateId"]
    ]
    specifications = (call.get("LaunchTemplateData") or {}).get("TagSpecifications") or []
    data = template.versions[0].data
    data["TagSpecifications"] = data.get("TagSpecifications", [])[: len(specifications)]
    if not specifications:
        del data["TagSpecifications"]


@amends("ec2", "CreateSubnet")
def no_public_addresses(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Assign no public addresses in a new subnet; moto treats a zone's first as default."""
    subnet = moto_backends.subnet(context, call.region, result["Subnet"]["SubnetId"])
    if subnet is not None:
        subnet.map_public_ip_on_launch = subnet.default_for_az = False
    result["Subnet"]["MapPublicIpOnLaunch"] = result["Subnet"]["DefaultForAz"] = False
