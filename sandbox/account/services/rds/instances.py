"""RDS instances where moto differs: validation, passwords, states, restores, final snapshots.

Classes: docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Support.html,
PostgreSQL only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends
from sandbox.account.core.determinism import random_hex
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import amends, checks, implements
from sandbox.account.services.rds import certificates, hosting, passwords
from sandbox.account.services.rds.engine_versions import full_version

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

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
    version = full_version(call.get("EngineVersion"))
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
    """Set resource ID, full version and password; keep the instance creating meanwhile."""
    database = context.backend("rds", call.region).databases[call["DBInstanceIdentifier"]]
    database.dbi_resource_id = result["DBInstance"]["DbiResourceId"] = (
        f"db-{random_hex(26).upper()}"
    )
    database.engine_version = result["DBInstance"]["EngineVersion"] = full_version(
        call.get("EngineVersion")
    )
    _start(context, database, result)


def _start(context: RequestContext, database: Any, result: dict[str, Any]) -> None:
    passwords.generate(context, database)
    if database.ca_certificate_identifier == "rds-ca-default":  # moto's
        database.ca_certificate_identifier = certificates.DEFAULT
        result["DBInstance"]["CACertificateIdentifier"] = certificates.DEFAULT
    database.status = result["DBInstance"]["DBInstanceStatus"] = "creating"
    context.later(("rds", "instance.create"), lambda: _ready(database))
    hosting.configure(context, database)


@checks("rds", "RestoreDBInstanceFromDBSnapshot")
def check_restore(context: RequestContext, call: Call) -> None:
    """Refuse a snapshot without data; its instance may be gone."""
    rds = context.backend("rds", call.region)
    name = (call.get("DBSnapshotIdentifier") or "").rpartition(":snapshot:")[2]
    snapshot = rds.database_snapshots.get(name)
    if snapshot is None:
        raise AwsError("DBSnapshotNotFound", f"DBSnapshot {name} not found.")
    if not context.replaying and snapshot.snapshot_type == "manual":
        status = context.databases.snapshot_status(hosting.snapshot_key(call.region, name))
        if status != "available":
            text = f"DB snapshot {name} is not in available state: {status}."
            raise AwsError("InvalidDBSnapshotState", text)
    group = getattr(snapshot.database, "db_subnet_group", None)
    if call.get("DBSubnetGroupName"):
        group = rds.subnet_groups.get(call["DBSubnetGroupName"])
    if group is None:
        name = call.get("DBSubnetGroupName") or "default"
        raise AwsError("DBSubnetGroupNotFoundFault", f"DBSubnetGroup '{name}' not found.")
    # moto uses the default VPC's security group, and regions here have no default VPC.
    ec2 = context.backend("ec2", call.region)
    ec2.default_vpc = ec2.vpcs[group.vpc_id]


@amends("rds", "RestoreDBInstanceFromDBSnapshot")
def instance_restoring(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Start a server with the snapshot's data; RDS's own snapshots here are from the creation."""
    rds, name = context.backend("rds", call.region), call["DBInstanceIdentifier"]
    database = rds.databases[name]
    database.dbi_resource_id = result["DBInstance"]["DbiResourceId"] = (
        f"db-{random_hex(26).upper()}"
    )
    snapshot = call["DBSnapshotIdentifier"].rpartition(":snapshot:")[2]
    if rds.database_snapshots[snapshot].snapshot_type == "manual":
        database.restored_from = hosting.snapshot_key(call.region, snapshot)
    _start(context, database, result)


def _ready(database: Any) -> None:
    if database.status in {"creating", "modifying"}:
        database.status = "available"


@checks("rds", "ModifyDBInstance")
def check_modification(context: RequestContext, call: Call) -> None:
    """Refuse to shrink storage, lower the version, or change a busy instance."""
    database = context.backend("rds", call.region).databases.get(call["DBInstanceIdentifier"])
    if database is None:
        return
    status = hosting.status(context, database)
    if status not in {"available", "incompatible-parameters"}:
        text = (
            f"Database instance is not in available state: {call['DBInstanceIdentifier']} is "
            f"{status}."
        )
        raise AwsError("InvalidDBInstanceState", text)
    if call.get("AllocatedStorage") and call["AllocatedStorage"] < database.allocated_storage:
        raise AwsError(
            "InvalidParameterCombination",
            "Requested storage size is smaller than the present size; storage cannot shrink.",
        )
    if call.get("EngineVersion"):
        requested, present = (
            tuple(map(int, v.split(".")))
            for v in (full_version(call["EngineVersion"]), database.engine_version)
        )
        if requested < present:
            text = (
                f"Cannot upgrade postgres from {database.engine_version} to {call['EngineVersion']}"
            )
            raise AwsError("InvalidParameterCombination", text)
        if requested[0] != present[0] and not call.get("AllowMajorVersionUpgrade"):
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
        database.engine_version = result["DBInstance"]["EngineVersion"] = full_version(
            call["EngineVersion"]
        )
    if call.get("ManageMasterUserPassword"):
        passwords.generate(context, database)
    elif call.get("RotateMasterUserPassword"):
        passwords.rotate(context, database)
    if call.get("DBPortNumber"):
        database.port = call["DBPortNumber"]
    hosting.configure(context, database)
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
        result = context.moto.result(call)
        hosting.remove(context, database, snapshot)
        return result
    database.status = "deleting"

    def gone() -> None:
        database.status = "available"
        rds.delete_db_instance(name, snapshot, skip, call.get("DeleteAutomatedBackups", True))
        hosting.remove(context, database, snapshot)

    context.later(("rds", "instance.delete"), gone)
    return {"DBInstance": database}
