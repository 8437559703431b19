"""Settings that an existing VPC decides, and what of it has no counterpart."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from settings.types import RETENTION_DAYS

Settings = dict[str, Any]
# The program's own: it creates them in every VPC.
_GATEWAY_ENDPOINTS = ("s3",)


def from_vpc(description: Mapping[str, Any]) -> tuple[Settings, list[str]]:
    """Return settings by path, and notes. `description` has the answers of EC2 by kind."""
    vpc, subnets = description["vpc"], description["subnets"]
    zones = sorted({subnet["AvailabilityZone"] for subnet in subnets})
    settings: Settings = {
        "aws.region": description["region"],
        "network.cidr": vpc["CidrBlock"],
        "network.nat": _nat(description["nat_gateways"], zones),
    }
    if len(zones) in (2, 3):
        settings["network.zones"] = len(zones)
    endpoints = sorted(
        _service(item)
        for item in description["endpoints"]
        if item["VpcEndpointType"] == "Interface"
    )
    if endpoints:
        settings["network.interface_endpoints"] = endpoints
    days = description.get("flow_log_days")
    if days in RETENTION_DAYS:
        settings["network.flow_log_days"] = days
    return settings, [f"{note} has no counterpart" for note in _notes(description, zones)]


def _nat(gateways: Sequence[Mapping[str, Any]], zones: Sequence[str]) -> str:
    if not gateways:
        return "none"
    return "per-zone" if len(gateways) >= len(zones) > 1 else "single"


def _service(endpoint: Mapping[str, Any]) -> str:
    """Return the last part of an endpoint's service, such as `ecr.api`."""
    return str(endpoint["ServiceName"]).split(".", 3)[-1]


def _notes(description: Mapping[str, Any], zones: Sequence[str]) -> Iterator[str]:
    if len(zones) not in (2, 3):
        yield f"the number of zones, {len(zones)},"
    days = description.get("flow_log_days")
    if days is not None and days not in RETENTION_DAYS:
        yield f"the retention of flow logs, {days} days,"
    yield from _addresses(description)
    yield from _routes(description)
    for acl in description["network_acls"]:
        if not acl["IsDefault"]:
            yield f"the network ACL {acl['NetworkAclId']}"
    for group in description["security_groups"]:
        if group["GroupName"] != "default":
            yield f"the security group {group['GroupName']}"


def _addresses(description: Mapping[str, Any]) -> Iterator[str]:
    vpc = description["vpc"]
    for block in vpc.get("CidrBlockAssociationSet") or []:
        if block["CidrBlock"] != vpc["CidrBlock"]:
            yield f"the further network {block['CidrBlock']}"
    if vpc.get("Ipv6CidrBlockAssociationSet"):
        yield "IPv6"
    if vpc.get("InstanceTenancy", "default") != "default":
        yield f"the tenancy {vpc['InstanceTenancy']}"
    for subnet in description["subnets"]:
        yield (
            f"the network {subnet['CidrBlock']} of {subnet['SubnetId']}: the program plans its own "
            "subnets, so it"
        )


def _routes(description: Mapping[str, Any]) -> Iterator[str]:
    for endpoint in description["endpoints"]:
        kind, service = endpoint["VpcEndpointType"], _service(endpoint)
        if kind != "Interface" and service not in _GATEWAY_ENDPOINTS:
            yield f"the {kind.lower()} endpoint of {service}"
    for peering in description["peerings"]:
        yield f"the peering connection {peering['VpcPeeringConnectionId']}"
    for route in (route for table in description["route_tables"] for route in table["Routes"]):
        target = next((route[key] for key in _OTHER_TARGETS if route.get(key)), None)
        if target:
            destination = route.get("DestinationCidrBlock", "another destination")
            yield f"the route to {destination} through {target}"


_OTHER_TARGETS = (
    *("TransitGatewayId", "VpcPeeringConnectionId", "EgressOnlyInternetGatewayId"),
    *("InstanceId", "NetworkInterfaceId", "CarrierGatewayId", "LocalGatewayId"),
)
