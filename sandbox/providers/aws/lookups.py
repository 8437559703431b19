"""Functions: zones, identity, region, roles, registry login, parameters, VPCs.

Results have the names of pulumi_aws's result classes.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from sandbox.providers.aws.ec2.handler import only, tags_of
from sandbox.providers.aws.function import Function
from sandbox.providers.aws.operation import Call
from sandbox.providers.aws.properties import (
    block,
    boolean,
    map_of,
    set_of,
    text,
)
from sandbox.providers.aws.session import partition_of
from sandbox.providers.protocol import Failure, Invoked, Properties

_FILTERS = set_of(block({"name": text(required=True), "values": set_of(text(), required=True)}))


def _filters(args: Properties, **extra: Any) -> list[dict[str, Any]]:
    filters = [
        {"Name": item["name"], "Values": item["values"]} for item in args.get("filters") or []
    ]
    filters += [
        {"Name": f"tag:{key}", "Values": [value]} for key, value in (args.get("tags") or {}).items()
    ]
    return filters + [
        {"Name": name.replace("_", "-"), "Values": [value]}
        for name, value in extra.items()
        if value
    ]


def _zones(call: Call, args: Properties) -> Properties:
    request: dict[str, Any] = {"AllAvailabilityZones": bool(args.get("allAvailabilityZones"))}
    if args.get("filters"):
        request["Filters"] = _filters(args)
    if args.get("state"):
        request.setdefault("Filters", []).append({"Name": "state", "Values": [args["state"]]})
    zones = call.client("ec2").describe_availability_zones(**request)["AvailabilityZones"]
    zones = [
        zone
        for zone in zones
        if zone["ZoneName"] not in (args.get("excludeNames") or [])
        and zone.get("ZoneId") not in (args.get("excludeZoneIds") or [])
    ]
    zones.sort(key=lambda zone: zone["ZoneName"])
    return {
        **args,
        "id": call.region,
        "groupNames": sorted({zone.get("GroupName") or call.region for zone in zones}),
        "names": [zone["ZoneName"] for zone in zones],
        "region": call.region,
        "zoneIds": [zone.get("ZoneId") for zone in zones],
    }


def _identity(call: Call, args: Properties) -> Properties:
    identity = call.session.identity
    return {
        "id": identity["Account"],
        "accountId": identity["Account"],
        "arn": identity["Arn"],
        "userId": identity["UserId"],
    }


# Names as in the console.
_DESCRIPTIONS = {
    "eu-central-1": "Europe (Frankfurt)",
    "eu-west-1": "Europe (Ireland)",
    "us-east-1": "US East (N. Virginia)",
    "us-east-2": "US East (Ohio)",
    "us-west-1": "US West (N. California)",
    "us-west-2": "US West (Oregon)",
}


def _region(call: Call, args: Properties) -> Properties:
    name = args.get("region") or args.get("name") or args.get("id") or call.region
    if args.get("endpoint"):
        name = args["endpoint"].removeprefix("ec2.").split(".")[0]
    return {
        "description": _DESCRIPTIONS.get(name, name),
        "endpoint": f"ec2.{name}.{_dns_suffix(name)}",
        "id": name,
        "name": name,
        "region": name,
    }


def _dns_suffix(region: str) -> str:
    return "amazonaws.com.cn" if partition_of(region) == "aws-cn" else "amazonaws.com"


def _partition(call: Call, args: Properties) -> Properties:
    suffix = _dns_suffix(call.region)
    reverse = ".".join(reversed(suffix.split(".")))
    return {
        "id": call.partition,
        "dnsSuffix": suffix,
        "partition": call.partition,
        "reverseDnsPrefix": reverse,
    }


def _role(call: Call, args: Properties) -> Properties:
    iam, name = call.client("iam"), args["name"]
    try:
        role = iam.get_role(RoleName=name)["Role"]
    except iam.exceptions.NoSuchEntityException:
        # The real provider has another message for a missing object.
        raise Failure(f"reading IAM Role ({name}): couldn't find resource") from None
    return {
        "id": role["RoleName"],
        "name": role["RoleName"],
        "arn": role["Arn"],
        "assumeRolePolicy": json.dumps(role["AssumeRolePolicyDocument"], separators=(",", ":")),
        "createDate": role["CreateDate"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        "description": role.get("Description", ""),
        "maxSessionDuration": role.get("MaxSessionDuration", 3600),
        "path": role["Path"],
        "permissionsBoundary": (role.get("PermissionsBoundary") or {}).get(
            "PermissionsBoundaryArn", ""
        ),
        "roleLastUseds": [],
        "tags": tags_of(role),
        "uniqueId": role["RoleId"],
    }


def _registry_token(call: Call, args: Properties) -> Invoked:
    authorization = call.client("ecr").get_authorization_token()["authorizationData"][0]
    user, _, password = (
        base64.b64decode(authorization["authorizationToken"]).decode().partition(":")
    )
    result = {
        **args,
        "authorizationToken": authorization["authorizationToken"],
        "expiresAt": authorization["expiresAt"].isoformat(),
        "id": call.region,
        "password": password,
        "proxyEndpoint": authorization["proxyEndpoint"],
        "region": call.region,
        "userName": user,
    }
    return Invoked(result, secrets=(("authorizationToken",), ("password",)))


def _parameter(call: Call, args: Properties) -> Invoked:
    parameter = call.client("ssm").get_parameter(
        Name=args["name"], WithDecryption=args["withDecryption"]
    )["Parameter"]
    plain = parameter["Type"] != "SecureString"
    result = {
        **args,
        "arn": parameter.get("ARN") or call.arn("ssm", f"parameter{parameter['Name']}"),
        "id": parameter["Name"],
        "insecureValue": parameter["Value"] if plain else None,
        "name": parameter["Name"],
        "region": call.region,
        "type": parameter["Type"],
        "value": parameter["Value"],
        "version": parameter["Version"],
    }
    return Invoked(result, secrets=(("value",),))


def _vpc(call: Call, args: Properties) -> Properties:
    ec2 = call.client("ec2")
    default = str(args["default"]).lower() if "default" in args else None
    names = {"cidr": args.get("cidrBlock"), "state": args.get("state"), "is_default": default}
    request: dict[str, Any] = {"Filters": _filters(args, **names)}
    if args.get("id"):
        request["VpcIds"] = [args["id"]]
    vpcs = ec2.describe_vpcs(**{name: value for name, value in request.items() if value})["Vpcs"]
    if len(vpcs) != 1:
        raise Failure(
            _no_vpc(default=bool(args.get("default")))
            if not vpcs
            else "multiple EC2 VPCs matched; use additional constraints"
        )
    vpc, id = vpcs[0], vpcs[0]["VpcId"]
    main = only(
        ec2.describe_route_tables(
            Filters=[
                {"Name": "vpc-id", "Values": [id]},
                {"Name": "association.main", "Values": ["true"]},
            ]
        )["RouteTables"]
    )
    attributes = {
        "enableDnsHostnames": "EnableDnsHostnames",
        "enableDnsSupport": "EnableDnsSupport",
    }
    return {
        **{
            name: ec2.describe_vpc_attribute(VpcId=id, Attribute=name)[api]["Value"]
            for name, api in attributes.items()
        },
        "arn": call.arn("ec2", f"vpc/{id}"),
        "cidrBlock": vpc["CidrBlock"],
        "cidrBlockAssociations": [
            {
                "associationId": item["AssociationId"],
                "cidrBlock": item["CidrBlock"],
                "state": item["CidrBlockState"]["State"],
            }
            for item in vpc.get("CidrBlockAssociationSet") or []
        ],
        "default": vpc["IsDefault"],
        "dhcpOptionsId": vpc.get("DhcpOptionsId"),
        "enableNetworkAddressUsageMetrics": False,
        "id": id,
        "instanceTenancy": vpc["InstanceTenancy"],
        "ipv6AssociationId": "",
        "ipv6CidrBlock": "",
        "mainRouteTableId": main["RouteTableId"] if main else "",
        "ownerId": vpc.get("OwnerId") or call.account,
        "region": call.region,
        "state": vpc["State"],
        "tags": tags_of(vpc),
    }


def _no_vpc(*, default: bool) -> str:
    remedy = (
        "; the sandbox's account has no default VPC: create it with `aws ec2 create-default-vpc`, "
        "as in an AWS account without one, or name a VPC by id or tags"
    )
    return "no matching EC2 VPC found" + (remedy if default else "")


def _subnets(call: Call, args: Properties) -> Properties:
    filters = _filters(args)
    subnets = call.client("ec2").describe_subnets(**({"Filters": filters} if filters else {}))[
        "Subnets"
    ]
    return {
        **args,
        "id": call.region,
        "ids": [item["SubnetId"] for item in subnets],
        "region": call.region,
    }


def _prefix_list(call: Call, args: Properties) -> Properties:
    ec2 = call.client("ec2")
    filters = _filters(args, prefix_list_name=args.get("name"), prefix_list_id=args.get("id"))
    prefix_lists = ec2.describe_managed_prefix_lists(**({"Filters": filters} if filters else {}))[
        "PrefixLists"
    ]
    # moto 5.2.5 does not filter by every key; compare the names.
    prefix_lists = [
        item for item in prefix_lists if args.get("name") in (None, item["PrefixListName"])
    ]
    if len(prefix_lists) != 1:
        raise Failure(
            "no matching managed prefix list found"
            if not prefix_lists
            else "multiple managed prefix lists matched"
        )
    item = prefix_lists[0]
    entries = (
        ec2.get_managed_prefix_list_entries(PrefixListId=item["PrefixListId"]).get("Entries") or []
    )
    return {
        "addressFamily": item.get("AddressFamily"),
        "arn": item.get("PrefixListArn"),
        "entries": [{"cidr": e["Cidr"], "description": e.get("Description", "")} for e in entries],
        "id": item["PrefixListId"],
        "maxEntries": item.get("MaxEntries", 0),
        "name": item["PrefixListName"],
        "ownerId": item.get("OwnerId"),
        "region": call.region,
        "tags": tags_of(item),
        "version": item.get("Version", 0),
    }


_REGION = {"region": text()}

FUNCTIONS = (
    Function(
        "aws:index/getAvailabilityZones:getAvailabilityZones",
        {
            **_REGION,
            "allAvailabilityZones": boolean(),
            "excludeNames": set_of(text()),
            "excludeZoneIds": set_of(text()),
            "filters": _FILTERS,
            "state": text(
                one_of=("available", "information", "impaired", "unavailable", "constrained")
            ),
        },
        _zones,
    ),
    Function("aws:index/getCallerIdentity:getCallerIdentity", {"id": text()}, _identity),
    Function(
        "aws:index/getRegion:getRegion",
        {**_REGION, "endpoint": text(), "id": text(), "name": text()},
        _region,
    ),
    Function("aws:index/getPartition:getPartition", {"id": text()}, _partition),
    Function("aws:iam/getRole:getRole", {"name": text(required=True)}, _role),
    Function(
        "aws:ecr/getAuthorizationToken:getAuthorizationToken",
        {**_REGION, "registryId": text()},
        _registry_token,
    ),
    Function(
        "aws:ssm/getParameter:getParameter",
        {**_REGION, "name": text(required=True), "withDecryption": boolean(default=True)},
        _parameter,
    ),
    Function(
        "aws:ec2/getVpc:getVpc",
        {
            **_REGION,
            "cidrBlock": text(),
            "default": boolean(),
            "filters": _FILTERS,
            "id": text(),
            "state": text(),
            "tags": map_of(),
        },
        _vpc,
    ),
    Function(
        "aws:ec2/getSubnets:getSubnets",
        {**_REGION, "filters": _FILTERS, "tags": map_of()},
        _subnets,
    ),
    Function(
        "aws:ec2/getManagedPrefixList:getManagedPrefixList",
        {**_REGION, "filters": _FILTERS, "id": text(), "name": text(), "tags": map_of()},
        _prefix_list,
    ),
)
