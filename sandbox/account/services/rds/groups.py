"""RDS subnet groups and parameter groups: validation, and instances that use them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import checks, implements
from sandbox.account.core.referential_integrity import refuses
from sandbox.account.services.rds import hosting
from sandbox.account.services.rds.engine_versions import POSTGRES

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call


@checks("rds", "CreateDBSubnetGroup", "ModifyDBSubnetGroup")
def check_subnet_group(context: RequestContext, call: Call) -> None:
    """Validate a subnet group: unique name, subnets of one VPC in two zones."""
    name = call["DBSubnetGroupName"]
    if (
        call.operation == "CreateDBSubnetGroup"
        and name in context.backend("rds", call.region).subnet_groups
    ):
        raise AwsError(
            "DBSubnetGroupAlreadyExists", f"The DB subnet group '{name}' already exists."
        )
    subnets = [
        moto_backends.subnet(context, call.region, subnet_id) for subnet_id in call["SubnetIds"]
    ]
    if None in subnets:
        missing = [
            subnet_id
            for subnet_id, subnet in zip(call["SubnetIds"], subnets, strict=True)
            if subnet is None
        ]
        raise AwsError(
            "InvalidSubnet", f"Some input subnets in :[{', '.join(missing)}] are invalid."
        )
    if len({subnet.vpc_id for subnet in subnets}) > 1:  # type: ignore[union-attr]
        raise AwsError(
            "InvalidVPCNetworkStateFault", "The subnets of a DB subnet group must be in one VPC"
        )
    zones = {subnet.availability_zone for subnet in subnets}  # type: ignore[union-attr]
    if len(zones) < 2:
        text = (
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current "
            f"AZ coverage: {', '.join(zones)}. Add subnets to cover at least 2 AZs."
        )
        raise AwsError("DBSubnetGroupDoesNotCoverEnoughAZs", text)


@implements("rds", "ModifyDBSubnetGroup")
def modify_subnet_group(context: RequestContext, call: Call) -> dict[str, Any]:
    """Update a subnet group; moto deletes a changed one."""
    groups, name = context.backend("rds", call.region).subnet_groups, call["DBSubnetGroupName"]
    group = groups.get(name)
    if group is None:
        raise AwsError("DBSubnetGroupNotFoundFault", f"DBSubnetGroup '{name}' not found.")
    subnet = moto_backends.subnet(context, call.region, call["SubnetIds"][0])
    if subnet is not None and subnet.vpc_id != group.vpc_id:
        text = "The new subnets are not in the same VPC as the existing subnet group"
        raise AwsError("InvalidVPCNetworkStateFault", text)
    result = context.moto.result(call)
    groups[name] = group
    return result


@implements("rds", "ResetDBParameterGroup")
def reset_parameter_group(context: RequestContext, call: Call) -> dict[str, Any]:
    """Reset parameters to the engine's defaults."""
    group = context.backend("rds", call.region).db_parameter_groups.get(
        call["DBParameterGroupName"]
    )
    if group is None:
        raise AwsError(
            "DBParameterGroupNotFound",
            f"DBParameterGroup not found: {call['DBParameterGroupName']}",
        )
    every, named = (
        call.get("ResetAllParameters"),
        [item["ParameterName"] for item in call.get("Parameters") or []],
    )
    if bool(every) == bool(named):
        text = "Either ResetAllParameters or a list of Parameters must be set, and not both."
        raise AwsError("InvalidParameterCombination", text)
    for parameter in [*group.parameters] if every else named:
        group.parameters.pop(parameter, None)
    hosting.configure_group(context, call.region, group.name)
    return {"DBParameterGroupName": group.name}


@refuses(
    "rds",
    "DeleteDBSubnetGroup",
    "InvalidDBSubnetGroupStateFault",
    (
        "Cannot delete the subnet group '{DBSubnetGroupName}' because at least one database "
        "instance: {referrers} is still using it."
    ),
)
def subnet_group_users(context: RequestContext, call: Call) -> Iterator[str]:
    """Yield the instances in a subnet group."""
    for database in context.backend("rds", call.region).databases.values():
        group = getattr(database, "db_subnet_group", None)
        if group is not None and group.name == call["DBSubnetGroupName"].lower():
            yield database.db_instance_identifier


@refuses(
    "rds",
    "DeleteDBParameterGroup",
    "InvalidDBParameterGroupState",
    (
        "One or more database instances are still members of this parameter group "
        "{DBParameterGroupName}, so the group cannot be deleted ({referrers})"
    ),
)
def parameter_group_users(context: RequestContext, call: Call) -> Iterator[str]:
    """Yield the instances with a parameter group."""
    for database in context.backend("rds", call.region).databases.values():
        if database.db_parameter_group_name == call["DBParameterGroupName"]:
            yield database.db_instance_identifier


@checks("rds", "CreateDBParameterGroup")
def check_family(context: RequestContext, call: Call) -> None:  # noqa: ARG001
    """Validate the engine family of a parameter group."""
    family = call["DBParameterGroupFamily"]
    if family.removeprefix("postgres") not in POSTGRES:
        raise AwsError(
            "InvalidParameterValue",
            f"ParameterGroupFamily {family} is not a valid parameter group family",
        )
