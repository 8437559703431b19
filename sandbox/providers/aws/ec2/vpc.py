"""EC2: VPCs, subnets, internet and NAT gateways, Elastic IPs.

Replacements and defaults: pulumi_aws's documentation of each type and the AWS provider's schema.
Deletions are retried while another deletion blocks them.
"""

from __future__ import annotations

from typing import Any

from sandbox.providers.aws.ec2.handler import Ec2Handler, cidr, gone, only, tagging, tags_of
from sandbox.providers.aws.properties import boolean, text
from sandbox.providers.aws.resource import Call
from sandbox.providers.protocol import Properties

_HELD = ("DependencyViolation",)


class Vpc(Ec2Handler):
    """A VPC with one IPv4 block."""

    token = "aws:ec2/vpc:Vpc"
    noun = "EC2 VPC"
    inputs = {
        "cidrBlock": text(required=True, replaces=True, rule=cidr(28, 16)),
        "enableDnsHostnames": boolean(computed=True),
        "enableDnsSupport": boolean(default=True),
        "enableNetworkAddressUsageMetrics": boolean(computed=True),
        "instanceTenancy": text(default="default", one_of=("default", "dedicated"), replaces=True),
    }
    outputs = (
        "arn",
        "defaultNetworkAclId",
        "defaultRouteTableId",
        "defaultSecurityGroupId",
        "dhcpOptionsId",
        "mainRouteTableId",
        "ownerId",
    )
    missing = ("InvalidVpcID.NotFound",)

    def create(self, call: Call, inputs: Properties) -> str:
        ec2 = call.client("ec2")
        response = ec2.create_vpc(
            CidrBlock=inputs["cidrBlock"],
            InstanceTenancy=inputs["instanceTenancy"],
            **tagging("vpc", inputs),
        )
        id = call.record_created(response["Vpc"]["VpcId"])
        attributes = {name: inputs[name] for name in _VPC_ATTRIBUTES if name in inputs}
        defaults = {
            "enableDnsSupport": True,
            "enableDnsHostnames": False,
            "enableNetworkAddressUsageMetrics": False,
        }
        self._set(
            call, id, {name: value for name, value in attributes.items() if defaults[name] != value}
        )
        return id

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        ec2 = call.client("ec2")
        vpc = only(ec2.describe_vpcs(VpcIds=[id])["Vpcs"])
        if vpc is None:
            return None
        live: Properties = {}
        for name, attribute in _VPC_ATTRIBUTES.items():
            response = ec2.describe_vpc_attribute(VpcId=id, Attribute=name)
            live[name] = response.get(attribute, {}).get("Value")
        inside: list[dict[str, Any]] = [{"Name": "vpc-id", "Values": [id]}]
        main = only(
            ec2.describe_route_tables(
                Filters=[*inside, {"Name": "association.main", "Values": ["true"]}]
            )["RouteTables"]
        )
        group = only(
            ec2.describe_security_groups(
                Filters=[*inside, {"Name": "group-name", "Values": ["default"]}]
            )["SecurityGroups"]
        )
        acl = only(
            ec2.describe_network_acls(Filters=[*inside, {"Name": "default", "Values": ["true"]}])[
                "NetworkAcls"
            ]
        )
        main_id = main["RouteTableId"] if main else None
        return {
            **live,
            "arn": call.arn("ec2", f"vpc/{id}"),
            "cidrBlock": vpc["CidrBlock"],
            "instanceTenancy": vpc["InstanceTenancy"],
            "dhcpOptionsId": vpc.get("DhcpOptionsId"),
            "defaultNetworkAclId": acl["NetworkAclId"] if acl else None,
            "defaultRouteTableId": state.get("defaultRouteTableId") or main_id,
            "defaultSecurityGroupId": group["GroupId"] if group else None,
            "mainRouteTableId": main_id,
            "ownerId": vpc.get("OwnerId") or call.account,
            "tagsAll": tags_of(vpc),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        self._set(
            call, id, {name: bool(new.get(name)) for name in changed if name in _VPC_ATTRIBUTES}
        )

    def _set(self, call: Call, id: str, attributes: Properties) -> None:
        for name, value in attributes.items():  # the API accepts one attribute per request
            call.client("ec2").modify_vpc_attribute(
                VpcId=id, **{_VPC_ATTRIBUTES[name]: {"Value": value}}
            )

    def delete(self, call: Call, id: str, state: Properties) -> None:
        call.retrying(lambda: call.client("ec2").delete_vpc(VpcId=id), _HELD)


_VPC_ATTRIBUTES = {
    "enableDnsSupport": "EnableDnsSupport",
    "enableDnsHostnames": "EnableDnsHostnames",
    "enableNetworkAddressUsageMetrics": "EnableNetworkAddressUsageMetrics",
}


class Subnet(Ec2Handler):
    """A subnet with one IPv4 block."""

    token = "aws:ec2/subnet:Subnet"
    noun = "EC2 Subnet"
    inputs = {
        "availabilityZone": text(computed=True, replaces=True),
        "availabilityZoneId": text(computed=True, replaces=True),
        "cidrBlock": text(required=True, replaces=True, rule=cidr(28, 16)),
        "mapPublicIpOnLaunch": boolean(default=False),
        "vpcId": text(required=True, replaces=True),
    }
    conflicts = (("availabilityZone", "availabilityZoneId"),)
    outputs = ("arn", "ownerId")
    missing = ("InvalidSubnetID.NotFound",)

    def create(self, call: Call, inputs: Properties) -> str:
        ec2 = call.client("ec2")
        names = {"availabilityZone": "AvailabilityZone", "availabilityZoneId": "AvailabilityZoneId"}
        place = {api: inputs[name] for name, api in names.items() if inputs.get(name)}
        response = ec2.create_subnet(
            VpcId=inputs["vpcId"],
            CidrBlock=inputs["cidrBlock"],
            **place,
            **tagging("subnet", inputs),
        )
        id = call.record_created(response["Subnet"]["SubnetId"])
        call.wait(lambda: self._state_of(call, id), {"available"}, what=id)
        maps_public_ip = bool(inputs.get("mapPublicIpOnLaunch"))
        if response["Subnet"].get("MapPublicIpOnLaunch", False) != maps_public_ip:
            ec2.modify_subnet_attribute(SubnetId=id, MapPublicIpOnLaunch={"Value": maps_public_ip})
        return id

    def _state_of(self, call: Call, id: str) -> str:
        return str(
            call.client("ec2")
            .describe_subnets(SubnetIds=[id])["Subnets"][0]
            .get("State", "available")
        )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        subnet = only(call.client("ec2").describe_subnets(SubnetIds=[id])["Subnets"])
        if subnet is None:
            return None
        return {
            "arn": subnet.get("SubnetArn") or call.arn("ec2", f"subnet/{id}"),
            "availabilityZone": subnet["AvailabilityZone"],
            "availabilityZoneId": subnet.get("AvailabilityZoneId"),
            "cidrBlock": subnet["CidrBlock"],
            "mapPublicIpOnLaunch": subnet.get("MapPublicIpOnLaunch", False),
            "ownerId": subnet.get("OwnerId") or call.account,
            "tagsAll": tags_of(subnet),
            "vpcId": subnet["VpcId"],
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        value = bool(new.get("mapPublicIpOnLaunch"))
        call.client("ec2").modify_subnet_attribute(
            SubnetId=id, MapPublicIpOnLaunch={"Value": value}
        )

    def delete(self, call: Call, id: str, state: Properties) -> None:
        call.retrying(lambda: call.client("ec2").delete_subnet(SubnetId=id), _HELD)


class InternetGateway(Ec2Handler):
    """An internet gateway, optionally attached to a VPC."""

    token = "aws:ec2/internetGateway:InternetGateway"
    noun = "EC2 Internet Gateway"
    inputs = {"vpcId": text(computed=True)}
    outputs = ("arn", "ownerId")
    missing = ("InvalidInternetGatewayID.NotFound",)

    def create(self, call: Call, inputs: Properties) -> str:
        ec2 = call.client("ec2")
        response = ec2.create_internet_gateway(**tagging("internet-gateway", inputs))
        id = call.record_created(response["InternetGateway"]["InternetGatewayId"])
        if inputs.get("vpcId"):
            ec2.attach_internet_gateway(InternetGatewayId=id, VpcId=inputs["vpcId"])
        return id

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        gateway = only(
            call.client("ec2").describe_internet_gateways(InternetGatewayIds=[id])[
                "InternetGateways"
            ]
        )
        if gateway is None:
            return None
        attached = only(gateway.get("Attachments") or [])
        return {
            "arn": call.arn("ec2", f"internet-gateway/{id}"),
            "ownerId": gateway.get("OwnerId") or call.account,
            "tagsAll": tags_of(gateway),
            "vpcId": attached["VpcId"] if attached else None,
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        self._detach(call, id, old.get("vpcId"))
        if new.get("vpcId"):
            call.client("ec2").attach_internet_gateway(InternetGatewayId=id, VpcId=new["vpcId"])

    def _detach(self, call: Call, id: str, vpc: str | None) -> None:
        if vpc:
            # Public addresses in the VPC block the detachment until their owners are deleted.
            absent = ("Gateway.NotAttached", "InvalidVpcID.NotFound")
            call.retrying(
                lambda: gone(
                    call, "detach_internet_gateway", absent, InternetGatewayId=id, VpcId=vpc
                ),
                _HELD,
            )

    def delete(self, call: Call, id: str, state: Properties) -> None:
        self._detach(call, id, state.get("vpcId"))
        call.retrying(
            lambda: call.client("ec2").delete_internet_gateway(InternetGatewayId=id), _HELD
        )


class Eip(Ec2Handler):
    """An Elastic IP."""

    token = "aws:ec2/eip:Eip"
    noun = "EC2 EIP"
    inputs = {
        "domain": text(computed=True, replaces=True, one_of=("vpc",)),
        "networkBorderGroup": text(computed=True, replaces=True),
    }
    outputs = (
        "allocationId",
        "arn",
        "associationId",
        "instance",
        "networkInterface",
        "privateIp",
        "publicDns",
        "publicIp",
    )
    missing = ("InvalidAllocationID.NotFound", "InvalidAddressID.NotFound")

    def create(self, call: Call, inputs: Properties) -> str:
        border = (
            {"NetworkBorderGroup": inputs["networkBorderGroup"]}
            if inputs.get("networkBorderGroup")
            else {}
        )
        response = call.client("ec2").allocate_address(
            Domain="vpc", **border, **tagging("elastic-ip", inputs)
        )
        return call.record_created(response["AllocationId"])

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        address = only(call.client("ec2").describe_addresses(AllocationIds=[id])["Addresses"])
        if address is None:
            return None
        ip = address["PublicIp"]
        return {
            "allocationId": id,
            "arn": call.arn("ec2", f"elastic-ip/{id}"),
            "associationId": address.get("AssociationId") or "",
            "domain": address.get("Domain", "vpc"),
            "instance": address.get("InstanceId") or "",
            "networkBorderGroup": address.get("NetworkBorderGroup") or call.region,
            "networkInterface": address.get("NetworkInterfaceId") or "",
            "privateIp": address.get("PrivateIpAddress") or "",
            "publicDns": f"ec2-{ip.replace('.', '-')}.{_suffix(call.region, 'compute')}",
            "publicIp": ip,
            "tagsAll": tags_of(address),
        }

    def delete(self, call: Call, id: str, state: Properties) -> None:
        retryable = ("InvalidIPAddress.InUse", "AuthFailure", "DependencyViolation")
        call.retrying(lambda: call.client("ec2").release_address(AllocationId=id), retryable)


def _suffix(region: str, kind: str) -> str:
    # us-east-1 has its own format of DNS names.
    return f"{kind}-1.amazonaws.com" if region == "us-east-1" else f"{region}.{kind}.amazonaws.com"


class NatGateway(Ec2Handler):
    """A zonal NAT gateway."""

    token = "aws:ec2/natGateway:NatGateway"
    noun = "EC2 NAT Gateway"
    inputs = {
        "allocationId": text(computed=True, replaces=True),
        "connectivityType": text(default="public", one_of=("public", "private"), replaces=True),
        "privateIp": text(computed=True, replaces=True),
        "subnetId": text(required=True, replaces=True),
    }
    outputs = ("associationId", "networkInterfaceId", "publicIp")
    missing = ("NatGatewayNotFound", "InvalidNatGatewayID.NotFound")

    def validate(self, call: Call, inputs: Properties) -> list[tuple[str, str]]:
        if inputs["connectivityType"] == "public" and inputs.get("allocationId") is None:
            return [
                ("allocationId", "a public NAT gateway requires the allocation ID of an Elastic IP")
            ]
        if inputs["connectivityType"] == "private" and inputs.get("allocationId") is not None:
            return [("allocationId", "a private NAT gateway has no Elastic IP")]
        return []

    def create(self, call: Call, inputs: Properties) -> str:
        names = {"allocationId": "AllocationId", "privateIp": "PrivateIpAddress"}
        optional = {api: inputs[name] for name, api in names.items() if inputs.get(name)}
        response = call.client("ec2").create_nat_gateway(
            SubnetId=inputs["subnetId"],
            ConnectivityType=inputs["connectivityType"],
            **optional,
            **tagging("natgateway", inputs),
        )
        id = call.record_created(response["NatGateway"]["NatGatewayId"])
        call.wait(
            lambda: self._state_of(call, id), {"available"}, failed={"failed", "deleted"}, what=id
        )
        return id

    def _find(self, call: Call, id: str) -> Any:
        response = gone(call, "describe_nat_gateways", self.missing, NatGatewayIds=[id])
        return only(response.get("NatGateways", []))

    def _state_of(self, call: Call, id: str) -> str:
        gateway = self._find(call, id)
        return str(gateway["State"]) if gateway else "deleted"

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        gateway = self._find(call, id)
        if gateway is None or gateway["State"] in ("deleted", "deleting"):
            return None
        address = only(gateway.get("NatGatewayAddresses") or []) or {}
        return {
            "allocationId": address.get("AllocationId"),
            "associationId": address.get("AssociationId"),
            "connectivityType": gateway.get("ConnectivityType", "public"),
            "networkInterfaceId": address.get("NetworkInterfaceId"),
            "privateIp": address.get("PrivateIp"),
            "publicIp": address.get("PublicIp"),
            "subnetId": gateway["SubnetId"],
            "tagsAll": tags_of(gateway),
        }

    def delete(self, call: Call, id: str, state: Properties) -> None:
        if self._state_of(call, id) == "deleted":
            return
        call.client("ec2").delete_nat_gateway(NatGatewayId=id)
        call.wait(lambda: self._state_of(call, id), {"deleted"}, failed={"failed"}, what=id)


TYPES = (Vpc(), Subnet(), InternetGateway(), Eip(), NatGateway())
