"""EC2: route tables, routes and associations.

Replacements and defaults: pulumi_aws's documentation of each type and the AWS provider's schema.
IDs and import forms are the AWS provider's: a route's is `r-<table><crc32 of the destination>`,
imported as `<table>_<destination>`; an association is imported as `<subnet or gateway>/<table>`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from sandbox.providers.aws.ec2.handler import (
    Ec2Handler,
    cidr,
    gone,
    ipv6_cidr,
    only,
    request_of,
    tagging,
    tags_of,
)
from sandbox.providers.aws.properties import block, set_of, text
from sandbox.providers.aws.resource import Call, Handler
from sandbox.providers.protocol import Failure, Properties

_DESTINATIONS = {
    "cidrBlock": "DestinationCidrBlock",
    "ipv6CidrBlock": "DestinationIpv6CidrBlock",
    "destinationPrefixListId": "DestinationPrefixListId",
}
_TARGETS = {
    "egressOnlyGatewayId": "EgressOnlyInternetGatewayId",
    "gatewayId": "GatewayId",
    "natGatewayId": "NatGatewayId",
    "networkInterfaceId": "NetworkInterfaceId",
    "transitGatewayId": "TransitGatewayId",
    "vpcEndpointId": "VpcEndpointId",
    "vpcPeeringConnectionId": "VpcPeeringConnectionId",
}
_ROUTE_DESTINATIONS = {
    "destinationCidrBlock": "DestinationCidrBlock",
    "destinationIpv6CidrBlock": "DestinationIpv6CidrBlock",
    "destinationPrefixListId": "DestinationPrefixListId",
}


def _table(call: Call, id: str) -> Mapping[str, Any] | None:
    response = gone(
        call, "describe_route_tables", ("InvalidRouteTableID.NotFound",), RouteTableIds=[id]
    )
    return only(response.get("RouteTables", []))


def _target(route: Mapping[str, Any]) -> dict[str, Any]:
    target = {name: route[api] for name, api in _TARGETS.items() if route.get(api)}
    # EC2 returns a gateway endpoint as a gateway.
    if str(target.get("gatewayId", "")).startswith("vpce-"):
        target["vpcEndpointId"] = target.pop("gatewayId")
    return target


class RouteTable(Ec2Handler):
    """A route table with inline routes, or with `Route` resources."""

    token = "aws:ec2/routeTable:RouteTable"
    noun = "EC2 Route Table"
    inputs = {
        "routes": set_of(
            block({name: text() for name in (*_DESTINATIONS, *_TARGETS)}), computed=True
        ),
        "vpcId": text(required=True, replaces=True),
    }
    outputs = ("arn", "ownerId", "propagatingVgws")
    missing = ("InvalidRouteTableID.NotFound",)

    def create(self, call: Call, inputs: Properties) -> str:
        ec2 = call.client("ec2")
        response = ec2.create_route_table(VpcId=inputs["vpcId"], **tagging("route-table", inputs))
        id = call.record_created(response["RouteTable"]["RouteTableId"])
        for route in inputs.get("routes") or []:
            ec2.create_route(
                RouteTableId=id, **request_of(route, _DESTINATIONS), **request_of(route, _TARGETS)
            )
        return id

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        table = _table(call, id)
        if table is None:
            return None
        return {
            "arn": call.arn("ec2", f"route-table/{id}"),
            "ownerId": table.get("OwnerId") or call.account,
            "propagatingVgws": [item["GatewayId"] for item in table.get("PropagatingVgws") or []],
            "routes": [
                self._route(route) for route in table.get("Routes", []) if self._is_own(route)
            ],
            "tagsAll": tags_of(table),
            "vpcId": table["VpcId"],
        }

    def _is_own(self, route: Mapping[str, Any]) -> bool:
        # Exclude the local route and a gateway endpoint's prefix lists.
        endpoint = (
            str(route.get("GatewayId", "")).startswith("vpce-")
            and "DestinationPrefixListId" in route
        )
        return route.get("GatewayId") != "local" and not endpoint

    def _route(self, route: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **{name: route[api] for name, api in _DESTINATIONS.items() if route.get(api)},
            **_target(route),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        ec2 = call.client("ec2")
        before = {str(request_of(route, _DESTINATIONS)): route for route in old.get("routes") or []}
        after = {str(request_of(route, _DESTINATIONS)): route for route in new.get("routes") or []}
        for key, route in before.items():
            if key not in after:
                absent = ("InvalidRoute.NotFound",)
                gone(
                    call,
                    "delete_route",
                    absent,
                    RouteTableId=id,
                    **request_of(route, _DESTINATIONS),
                )
        for key, route in after.items():
            request = {**request_of(route, _DESTINATIONS), **request_of(route, _TARGETS)}
            if key not in before:
                ec2.create_route(RouteTableId=id, **request)
            elif request_of(before[key], _TARGETS) != request_of(route, _TARGETS):
                ec2.replace_route(RouteTableId=id, **request)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        ec2 = call.client("ec2")
        for association in (_table(call, id) or {}).get("Associations", []):
            if not association.get("Main"):
                absent = ("InvalidAssociationID.NotFound",)
                gone(
                    call,
                    "disassociate_route_table",
                    absent,
                    AssociationId=association["RouteTableAssociationId"],
                )
        call.retrying(lambda: ec2.delete_route_table(RouteTableId=id), ("DependencyViolation",))


class Route(Handler):
    """One route of a table."""

    token = "aws:ec2/route:Route"
    noun = "Route in Route Table"
    inputs = {
        "destinationCidrBlock": text(replaces=True, rule=cidr()),
        "destinationIpv6CidrBlock": text(replaces=True, rule=ipv6_cidr),
        "destinationPrefixListId": text(replaces=True),
        **{name: text() for name in _TARGETS},
        "routeTableId": text(required=True, replaces=True),
    }
    outputs = ("instanceId", "instanceOwnerId", "origin", "state")
    conflicts = (tuple(_ROUTE_DESTINATIONS), tuple(_TARGETS))
    one_needed = conflicts
    missing = ("InvalidRoute.NotFound", "InvalidRouteTableID.NotFound")

    def create(self, call: Call, inputs: Properties) -> str:
        table, destination = inputs["routeTableId"], request_of(inputs, _ROUTE_DESTINATIONS)
        if self._find(call, table, destination):
            where = ", ".join(destination.values())
            raise Failure(
                f"RouteAlreadyExists: Route in Route Table ({table}) with destination "
                f"({where}) already exists"
            )
        call.client("ec2").create_route(
            RouteTableId=table, **destination, **request_of(inputs, _TARGETS)
        )
        return call.record_created(_route_id(table, destination))

    def _find(
        self, call: Call, table: str, destination: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        routes = (_table(call, table) or {}).get("Routes", [])
        return only(
            [
                route
                for route in routes
                if all(route.get(key) == value for key, value in destination.items())
            ]
        )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        table, destination = state.get("routeTableId"), request_of(state, _ROUTE_DESTINATIONS)
        if not table:
            table, _, place = id.partition("_")
            kind = "DestinationPrefixListId" if place.startswith("pl-") else "DestinationCidrBlock"
            destination = {"DestinationIpv6CidrBlock" if ":" in place else kind: place}
        route = self._find(call, table, destination)
        if route is None:
            return None
        return {
            "id": _route_id(table, destination),
            "routeTableId": table,
            **{name: destination.get(api) for name, api in _ROUTE_DESTINATIONS.items()},
            **dict.fromkeys(_TARGETS),
            **_target(route),
            "instanceId": route.get("InstanceId") or "",
            "instanceOwnerId": route.get("InstanceOwnerId") or "",
            "origin": route.get("Origin"),
            "state": route.get("State"),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        destination = request_of(new, _ROUTE_DESTINATIONS)
        call.client("ec2").replace_route(
            RouteTableId=new["routeTableId"], **destination, **request_of(new, _TARGETS)
        )

    def delete(self, call: Call, id: str, state: Properties) -> None:
        call.client("ec2").delete_route(
            RouteTableId=state["routeTableId"], **request_of(state, _ROUTE_DESTINATIONS)
        )


def _route_id(table: str, destination: Mapping[str, Any]) -> str:
    return f"r-{table}{zlib.crc32(str(next(iter(destination.values()))).encode())}"


class RouteTableAssociation(Handler):
    """The association of a subnet or gateway with a route table."""

    token = "aws:ec2/routeTableAssociation:RouteTableAssociation"
    noun = "EC2 Route Table Association"
    inputs = {
        "gatewayId": text(replaces=True),
        "routeTableId": text(required=True),
        "subnetId": text(replaces=True),
    }
    conflicts = (("subnetId", "gatewayId"),)
    one_needed = conflicts
    missing = ("InvalidAssociationID.NotFound",)

    def create(self, call: Call, inputs: Properties) -> str:
        names = {"subnetId": "SubnetId", "gatewayId": "GatewayId"}
        response = call.client("ec2").associate_route_table(
            RouteTableId=inputs["routeTableId"], **request_of(inputs, names)
        )
        return call.record_created(response["AssociationId"])

    def _find(self, call: Call, id: str, state: Properties) -> Mapping[str, Any] | None:
        member, _, table = id.partition("/")
        filters = [{"Name": "association.route-table-association-id", "Values": [id]}]
        if table:
            filters = [{"Name": "route-table-id", "Values": [table]}]
        elif state.get("subnetId"):
            # Changing the table creates a new association ID, while Pulumi keeps the first.
            filters = [{"Name": "association.subnet-id", "Values": [state["subnetId"]]}]
        identifiers = {id, member, state.get("subnetId"), state.get("gatewayId")} - {None}
        for route_table in call.client("ec2").describe_route_tables(Filters=filters)["RouteTables"]:
            for association in route_table.get("Associations", []):
                keys = ("RouteTableAssociationId", "SubnetId", "GatewayId")
                if any(association.get(key) in identifiers for key in keys):
                    return {"RouteTableId": route_table["RouteTableId"], **association}
        return None

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        association = self._find(call, id, state)
        if association is None:
            return None
        return {
            "id": association["RouteTableAssociationId"],
            "gatewayId": association.get("GatewayId"),
            "routeTableId": association["RouteTableId"],
            "subnetId": association.get("SubnetId"),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        current = self._find(call, id, old)
        if current is None:
            raise Failure("the association does not exist; refresh the stack to recreate it")
        call.client("ec2").replace_route_table_association(
            AssociationId=current["RouteTableAssociationId"], RouteTableId=new["routeTableId"]
        )

    def delete(self, call: Call, id: str, state: Properties) -> None:
        current = self._find(call, id, state)
        if current is not None:
            call.client("ec2").disassociate_route_table(
                AssociationId=current["RouteTableAssociationId"]
            )


TYPES = (RouteTable(), Route(), RouteTableAssociation())
