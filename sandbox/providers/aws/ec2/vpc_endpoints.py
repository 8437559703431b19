"""EC2: VPC endpoints.

Replacements and defaults: pulumi_aws's documentation and the AWS provider's schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.providers.aws.ec2.handler import (
    Ec2Handler,
    gone,
    only,
    request_of,
    tagging,
    tags_of,
)
from sandbox.providers.aws.properties import boolean, policy, set_of, text
from sandbox.providers.aws.resource import Call
from sandbox.providers.protocol import Failure, Properties


class VpcEndpoint(Ec2Handler):
    """A gateway or interface endpoint."""

    token = "aws:ec2/vpcEndpoint:VpcEndpoint"
    noun = "EC2 VPC Endpoint"
    inputs = {
        "autoAccept": boolean(write_only=True),
        "ipAddressType": text(computed=True, one_of=("ipv4", "dualstack", "ipv6")),
        "policy": policy(computed=True),
        "privateDnsEnabled": boolean(computed=True),
        "routeTableIds": set_of(text(), computed=True),
        "securityGroupIds": set_of(text(), computed=True),
        "serviceName": text(required=True, replaces=True),
        "subnetIds": set_of(text(), computed=True),
        "vpcEndpointType": text(
            default="Gateway", replaces=True, one_of=("Gateway", "Interface", "GatewayLoadBalancer")
        ),
        "vpcId": text(required=True, replaces=True),
    }
    outputs = (
        "arn",
        "cidrBlocks",
        "dnsEntries",
        "networkInterfaceIds",
        "ownerId",
        "prefixListId",
        "requesterManaged",
        "state",
    )
    missing = ("InvalidVpcEndpointId.NotFound", "InvalidVpcEndpoint.NotFound")

    def validate(self, call: Call, inputs: Properties) -> list[tuple[str, str]]:
        if inputs["vpcEndpointType"] != "Gateway":
            forbidden = [name for name in ("routeTableIds",) if inputs.get(name)]
        else:
            forbidden = [
                n for n in ("subnetIds", "securityGroupIds", "privateDnsEnabled") if inputs.get(n)
            ]
        return [
            (name, f"is not valid for endpoints of type {inputs['vpcEndpointType']}")
            for name in forbidden
        ]

    def create(self, call: Call, inputs: Properties) -> str:
        names = {
            "ipAddressType": "IpAddressType",
            "policy": "PolicyDocument",
            "privateDnsEnabled": "PrivateDnsEnabled",
            "routeTableIds": "RouteTableIds",
            "securityGroupIds": "SecurityGroupIds",
            "subnetIds": "SubnetIds",
        }
        response = call.client("ec2").create_vpc_endpoint(
            VpcId=inputs["vpcId"],
            ServiceName=inputs["serviceName"],
            VpcEndpointType=inputs["vpcEndpointType"],
            **request_of(inputs, names),
            **tagging("vpc-endpoint", inputs),
        )
        id = call.record_created(response["VpcEndpoint"]["VpcEndpointId"])
        call.wait(
            lambda: self._state_of(call, id),
            {"available", "pendingacceptance"},
            failed={"failed"},
            what=id,
        )
        return id

    def _find(self, call: Call, id: str) -> Mapping[str, Any] | None:
        response = gone(call, "describe_vpc_endpoints", self.missing, VpcEndpointIds=[id])
        return only(response.get("VpcEndpoints", []))

    def _state_of(self, call: Call, id: str) -> str:
        endpoint = self._find(call, id)
        return str(endpoint["State"]).lower() if endpoint else "deleted"

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        endpoint = self._find(call, id)
        if endpoint is None or endpoint["State"].lower() in ("deleted", "deleting"):
            return None
        gateway = endpoint["VpcEndpointType"] == "Gateway"
        prefixes: Mapping[str, Any] = {}
        if gateway:
            named = [{"Name": "prefix-list-name", "Values": [endpoint["ServiceName"]]}]
            prefixes = (
                only(call.client("ec2").describe_prefix_lists(Filters=named)["PrefixLists"]) or {}
            )
        entries = endpoint.get("DnsEntries") or []
        return {
            "arn": call.arn("ec2", f"vpc-endpoint/{id}"),
            "cidrBlocks": prefixes.get("Cidrs", []),
            "dnsEntries": [
                {"dnsName": e.get("DnsName"), "hostedZoneId": e.get("HostedZoneId")}
                for e in entries
            ],
            "networkInterfaceIds": endpoint.get("NetworkInterfaceIds") or [],
            "ownerId": endpoint.get("OwnerId") or call.account,
            **(
                {"ipAddressType": endpoint["IpAddressType"]}
                if endpoint.get("IpAddressType")
                else {}
            ),
            **({"policy": endpoint["PolicyDocument"]} if endpoint.get("PolicyDocument") else {}),
            "prefixListId": prefixes.get("PrefixListId"),
            "privateDnsEnabled": bool(endpoint.get("PrivateDnsEnabled")) and not gateway,
            "requesterManaged": bool(endpoint.get("RequesterManaged")),
            "routeTableIds": endpoint.get("RouteTableIds") or [],
            "securityGroupIds": [group["GroupId"] for group in endpoint.get("Groups") or []],
            "serviceName": endpoint["ServiceName"],
            "state": endpoint["State"].lower(),
            "subnetIds": endpoint.get("SubnetIds") or [],
            "tagsAll": tags_of(endpoint),
            "vpcEndpointType": endpoint["VpcEndpointType"],
            "vpcId": endpoint["VpcId"],
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        request: dict[str, Any] = {}
        for name, api in {
            "routeTableIds": "RouteTableIds",
            "securityGroupIds": "SecurityGroupIds",
            "subnetIds": "SubnetIds",
        }.items():
            before, after = set(old.get(name) or []), set(new.get(name) or [])
            request |= {f"Add{api}": sorted(after - before)} if after - before else {}
            request |= {f"Remove{api}": sorted(before - after)} if before - after else {}
        if "policy" in changed:
            request |= (
                {"PolicyDocument": new["policy"]} if new.get("policy") else {"ResetPolicy": True}
            )
        for name, api in {
            "privateDnsEnabled": "PrivateDnsEnabled",
            "ipAddressType": "IpAddressType",
        }.items():
            if name in changed:
                request[api] = new.get(name)
        if request:
            call.client("ec2").modify_vpc_endpoint(VpcEndpointId=id, **request)
            call.wait(
                lambda: self._state_of(call, id),
                {"available", "pendingacceptance"},
                failed={"failed"},
                what=id,
            )

    def delete(self, call: Call, id: str, state: Properties) -> None:
        response = call.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[id])
        problem = only(response.get("Unsuccessful") or [])
        if problem and problem["Error"].get("Code") not in self.missing:
            raise Failure(
                f"api error {problem['Error'].get('Code')}: {problem['Error'].get('Message')}"
            )
        call.wait(lambda: self._state_of(call, id), {"deleted"}, failed={"failed"}, what=id)


TYPES = (VpcEndpoint(),)
