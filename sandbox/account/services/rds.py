"""RDS where moto differs: engines and classes, passwords, groups in use, states, final snapshots.

Versions and classes: docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes and
AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Support.html, PostgreSQL only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends
from sandbox.account.core.determinism import random_hex
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import amends, checks, implements
from sandbox.account.core.referential_integrity import refuses

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

# Major version to minor versions, newest first.
POSTGRES: dict[str, tuple[str, ...]] = {
    "18": ("18.4", "18.3", "18.1"),
    "17": ("17.10", "17.9", "17.7", "17.6", "17.5", "17.4", "17.2"),
    "16": ("16.14", "16.13", "16.11", "16.10", "16.9", "16.8", "16.6"),
    "15": ("15.18", "15.17", "15.15", "15.14", "15.13", "15.12"),
    "14": ("14.23", "14.22", "14.20", "14.19", "14.18", "14.17"),
}
_FAMILIES = (
    "t3",
    "t4g",
    "m5",
    "m5d",
    "m6g",
    "m6gd",
    "m6i",
    "m6id",
    "m7g",
    "m7i",
    "m8g",
    "r5",
    "r5b",
    "r6g",
    "r6gd",
    "r6i",
    "r7g",
    "r7i",
    "r8g",
    "x2g",
)
_CLASS = re.compile(r"db\.(?P<family>[a-z0-9]+)\.(?P<size>micro|small|medium|large|(?:\d+)?xlarge)")
_SMALL_ONLY = {"t3", "t4g"}
_PASSWORD = re.compile(r"[^/@\" ]{8,128}")


def _version(requested: str | None) -> str:
    """Return the full version; a major version means its newest minor. Raises
    InvalidParameterCombination.
    """
    major = (requested or "17").partition(".")[0]
    if major in POSTGRES and (requested in {None, major} or requested in POSTGRES[major]):
        return POSTGRES[major][0] if requested in {None, major} else str(requested)
    raise AwsError("InvalidParameterCombination", f"Cannot find version {requested} for postgres")


def _check_class(name: str, version: str) -> None:
    match = _CLASS.fullmatch(name)
    if (
        match is None
        or match["family"] not in _FAMILIES
        or (match["size"] in {"micro", "small", "medium"} and match["family"] not in _SMALL_ONLY)
    ):
        raise AwsError("InvalidParameterValue", f"Invalid DB Instance class: {name}")
    if match["family"] == "m5d" and version.startswith("18"):
        raise AwsError(
            "InvalidParameterCombination",
            (
                "RDS does not support creating a DB instance with the following combination: "
                f"DBInstanceClass={name}, Engine=postgres, EngineVersion={version}"
            ),
        )


@checks("rds", "CreateDBInstance")
def check_instance(context: RequestContext, call: Call) -> None:
    """Refuse an invalid instance."""
    if call["Engine"] != "postgres":
        raise AwsError(
            "InvalidParameterValue",
            f"Invalid DB engine: {call['Engine']} (the sandbox emulates postgres only)",
        )
    version = _version(call.get("EngineVersion"))
    _check_class(call["DBInstanceClass"], version)
    if not call.get("MasterUsername"):
        raise AwsError(
            "InvalidParameterValue",
            "The parameter MasterUsername must be provided and must not be blank.",
        )
    if call["MasterUsername"].lower() in {"admin", "postgres_admin", "rdsadmin"}:
        text = (
            f"MasterUsername {call['MasterUsername']} cannot be used as it is a reserved word used "
            "by the engine"
        )
        raise AwsError("InvalidParameterValue", text)
    # PostgreSQL's rule for DBName in RDS's API reference.
    if call.get("DBName") is not None and not re.fullmatch(
        r"[A-Za-z][A-Za-z0-9_]{0,62}", call["DBName"]
    ):
        text = "DBName must begin with a letter and contain only alphanumeric characters."
        raise AwsError("InvalidParameterValue", text)
    _check_password(call, required=True)
    storage = call.get("AllocatedStorage")
    if storage is None or not 20 <= storage <= 65536:
        raise AwsError(
            "InvalidParameterValue",
            "Invalid storage size for engine name postgres and storage type gp3: 20 to 65536 GiB",
        )
    if call.get("MaxAllocatedStorage") is not None and call["MaxAllocatedStorage"] <= storage:
        raise AwsError(
            "InvalidParameterCombination", "Max storage size must be greater than storage size"
        )
    if not 0 <= call.get("BackupRetentionPeriod", 1) <= 35:
        raise AwsError(
            "InvalidParameterValue",
            "Invalid backup retention period. Retention period must be between 0 and 35",
        )
    if call.get("MultiAZ") and call.get("AvailabilityZone"):
        text = "Requesting a specific availability zone is not valid for Multi-AZ instances."
        raise AwsError("InvalidParameterCombination", text)
    if call.get("KmsKeyId") and moto_backends.key(context, call.region, call["KmsKeyId"]) is None:
        raise AwsError(
            "KMSKeyNotAccessibleFault",
            (
                f"The specified KMS key [{call['KmsKeyId']}] does not exist, is not enabled or you "
                "do not have permissions to access it."
            ),
        )
    _check_groups(context, call, version)


def _check_password(call: Call, *, required: bool) -> None:
    password, managed = call.get("MasterUserPassword"), call.get("ManageMasterUserPassword")
    if password and managed:
        raise AwsError(
            "InvalidParameterCombination",
            "You can't specify MasterUserPassword with ManageMasterUserPassword.",
        )
    if required and not password and not managed:
        raise AwsError(
            "InvalidParameterValue",
            "The parameter MasterUserPassword must be provided and must not be blank.",
        )
    if password and not _PASSWORD.fullmatch(password):
        text = (
            "The parameter MasterUserPassword is not a valid password: 8 to 128 printable "
            "characters besides '/', '@', '\"', ' '."
        )
        raise AwsError("InvalidParameterValue", text)


def _check_groups(context: RequestContext, call: Call, version: str) -> None:
    rds, ec2 = context.backend("rds", call.region), context.backend("ec2", call.region)
    subnet_group = rds.subnet_groups.get(call.get("DBSubnetGroupName") or "default")
    if subnet_group is None:
        name = call.get("DBSubnetGroupName") or "default"
        raise AwsError("DBSubnetGroupNotFoundFault", f"DBSubnetGroup '{name}' not found.")
    for group_id in call.get("VpcSecurityGroupIds") or []:
        group = moto_backends.security_group(context, call.region, group_id)
        if group is None:
            raise AwsError(
                "InvalidParameterValue",
                f"Invalid security group , groupId= {group_id}, groupName=.",
            )
        if group.vpc_id != subnet_group.vpc_id:
            text = "The DB instance and EC2 security group are in different VPCs."
            raise AwsError("InvalidParameterCombination", text)
    parameters = rds.db_parameter_groups.get(call.get("DBParameterGroupName") or "")
    major = version.partition(".")[0]
    if parameters is not None and parameters.family != f"postgres{major}":
        text = (
            f"The parameter group {parameters.name} with DBParameterGroupFamily "
            f"{parameters.family} can't be used for this instance. Please use a parameter group "
            f"with DBParameterGroupFamily postgres{major}"
        )
        raise AwsError("InvalidParameterCombination", text)
    # moto uses the default VPC's security group, and regions here have no default VPC.
    ec2.default_vpc = ec2.vpcs[subnet_group.vpc_id]


@amends("rds", "CreateDBInstance")
def instance_creating(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Set resource ID and full version; keep the instance creating while AWS provisions it."""
    database = context.backend("rds", call.region).databases[call["DBInstanceIdentifier"]]
    database.dbi_resource_id = result["DBInstance"]["DbiResourceId"] = (
        f"db-{random_hex(26).upper()}"
    )
    database.engine_version = result["DBInstance"]["EngineVersion"] = _version(
        call.get("EngineVersion")
    )
    database.status = result["DBInstance"]["DBInstanceStatus"] = "creating"
    context.later(("rds", "instance.create"), lambda: _ready(database))


def _ready(database: Any) -> None:
    if database.status in {"creating", "modifying"}:
        database.status = "available"


@checks("rds", "ModifyDBInstance")
def check_modification(context: RequestContext, call: Call) -> None:
    """Refuse to shrink storage, lower the version, or change a busy instance."""
    database = context.backend("rds", call.region).databases.get(call["DBInstanceIdentifier"])
    if database is None:
        return
    if database.status != "available":
        text = (
            f"Database instance is not in available state: {call['DBInstanceIdentifier']} is "
            f"{database.status}."
        )
        raise AwsError("InvalidDBInstanceState", text)
    if call.get("AllocatedStorage") and call["AllocatedStorage"] < database.allocated_storage:
        raise AwsError(
            "InvalidParameterCombination",
            "Requested storage size is smaller than the present size; storage cannot shrink.",
        )
    if call.get("EngineVersion"):
        wanted, present = (
            tuple(map(int, v.split(".")))
            for v in (_version(call["EngineVersion"]), database.engine_version)
        )
        if wanted < present:
            text = (
                f"Cannot upgrade postgres from {database.engine_version} to {call['EngineVersion']}"
            )
            raise AwsError("InvalidParameterCombination", text)
        if wanted[0] != present[0] and not call.get("AllowMajorVersionUpgrade"):
            text = (
                "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major "
                "version."
            )
            raise AwsError("InvalidParameterCombination", text)
    if call.get("DBInstanceClass"):
        _check_class(call["DBInstanceClass"], database.engine_version)
    _check_password(call, required=False)


@amends("rds", "ModifyDBInstance")
def instance_modifying(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Keep the instance modifying while AWS does."""
    name = call.get("NewDBInstanceIdentifier") or call["DBInstanceIdentifier"]
    database = context.backend("rds", call.region).databases[name]
    if call.get("EngineVersion"):
        database.engine_version = result["DBInstance"]["EngineVersion"] = _version(
            call["EngineVersion"]
        )
    if context.time_scale:
        database.status = result["DBInstance"]["DBInstanceStatus"] = "modifying"
        context.later(("rds", "instance.modify"), lambda: _ready(database))


@implements("rds", "DeleteDBInstance")
def delete_instance(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete an instance and, at the end, its managed secret."""
    rds, name = context.backend("rds", call.region), call["DBInstanceIdentifier"]
    database = rds.databases.get(name)
    if database is None:
        raise AwsError("DBInstanceNotFound", f"DBInstance {name} not found.")
    if database.deletion_protection:
        text = (
            "Cannot delete protected DB Instance, please disable deletion protection and try again."
        )
        raise AwsError("InvalidParameterCombination", text)
    skip, snapshot = call.get("SkipFinalSnapshot"), call.get("FinalDBSnapshotIdentifier")
    if bool(skip) == bool(snapshot):
        text = "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified."
        if skip:
            text = (
                "FinalDBSnapshotIdentifier can not be specified when deleting an instance with "
                "SkipFinalSnapshot."
            )
        raise AwsError("InvalidParameterCombination", text)
    if snapshot and snapshot in rds.database_snapshots:
        raise AwsError(
            "DBSnapshotAlreadyExists",
            (
                f"Cannot create the snapshot because a snapshot with the identifier {snapshot} "
                "already exists."
            ),
        )
    if database.status == "deleting":
        raise AwsError("InvalidDBInstanceState", f"Instance {name} is already being deleted.")
    if context.time_scale == 0:
        return context.moto.result(call)
    database.status = "deleting"

    def gone() -> None:
        database.status = "available"
        rds.delete_db_instance(name, snapshot, skip, call.get("DeleteAutomatedBackups", True))

    context.later(("rds", "instance.delete"), gone)
    return {"DBInstance": database}


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


@implements("rds", "DescribeDBEngineVersions")
def describe_engine_versions(context: RequestContext, call: Call) -> dict[str, Any]:  # noqa: ARG001
    """Return the available PostgreSQL versions."""
    if call.get("Engine") not in {None, "postgres"}:
        return {"DBEngineVersions": []}
    wanted, family = call.get("EngineVersion"), call.get("DBParameterGroupFamily")
    versions = []
    for major, minors in POSTGRES.items():
        for index, minor in enumerate(minors):
            if wanted in {None, major, minor} and family in {None, f"postgres{major}"}:
                newer = minors[:index]
                upgrades = [
                    {
                        "Engine": "postgres",
                        "EngineVersion": v,
                        "IsMajorVersionUpgrade": False,
                        "AutoUpgrade": v == minors[0],
                    }
                    for v in newer
                ]
                following = POSTGRES.get(str(int(major) + 1), ())
                upgrades += [
                    {
                        "Engine": "postgres",
                        "EngineVersion": v,
                        "IsMajorVersionUpgrade": True,
                        "AutoUpgrade": False,
                    }
                    for v in following[:1]
                ]
                versions.append(
                    {
                        "Engine": "postgres",
                        "EngineVersion": minor,
                        "MajorEngineVersion": major,
                        "DBParameterGroupFamily": f"postgres{major}",
                        "DBEngineDescription": "PostgreSQL",
                        "DBEngineVersionDescription": f"PostgreSQL {minor}-R1",
                        "ValidUpgradeTarget": upgrades,
                        "ExportableLogTypes": ["postgresql", "upgrade", "iam-db-auth-error"],
                        "SupportsLogExportsToCloudwatchLogs": True,
                        "SupportsReadReplica": True,
                        "Status": "available",
                    }
                )
    if call.get("DefaultOnly"):
        default = _version(wanted)
        versions = [version for version in versions if version["EngineVersion"] == default]
    return {
        "DBEngineVersions": sorted(
            versions, key=lambda v: [int(p) for p in str(v["EngineVersion"]).split(".")]
        )
    }
