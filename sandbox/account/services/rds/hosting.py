"""The servers behind RDS instances: what the account asks of the database host.

A replay asks nothing; `reconcile` follows it. The host works in the background, so its state
amends every description: an instance is available once its server accepts connections.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from moto.backends import get_backend

from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import amends, checks
from sandbox.account.core.wire import ACCOUNT_ID
from sandbox.contracts.database_host import DatabaseFacts

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

# Statuses of the account that the host's state refines; others, such as deleting, take precedence.
_REFINED = frozenset({"available", "stopped"})


def facts(database: Any) -> DatabaseFacts:
    """Return the configuration of an instance's server."""
    parameters = {
        name: parameter
        for group in database.db_parameter_groups()
        for name, parameter in group.parameters.items()
        if parameter.get("ParameterValue") is not None
    }
    exported = "postgresql" in database.enabled_cloudwatch_logs_exports
    identifier = database.db_instance_identifier
    return DatabaseFacts(
        id=database.dbi_resource_id,
        arn=database.arn,
        identifier=identifier,
        region=database.region,
        host_name=database.address,
        port=int(database.port),
        engine_version=database.engine_version,
        username=database.master_username,
        password=master_password(database),
        name=database.db_name or "",
        parameters={name: str(item["ParameterValue"]) for name, item in parameters.items()},
        deferred=frozenset(
            name for name, item in parameters.items() if item.get("ApplyMethod") == "pending-reboot"
        ),
        log_group=f"/aws/rds/instance/{identifier}/postgresql" if exported else "",
        running=database.status != "stopped",
        snapshot=getattr(database, "restored_from", ""),
    )


def master_password(database: Any) -> str:
    """Return the master user's password, from its managed secret or as it was set."""
    if not database.manage_master_user_password:
        return str(database._master_user_password or "")
    secret = database.master_user_secret.secret
    return str(json.loads(secret.versions[secret.default_version_id]["secret_string"])["password"])


def configure(context: RequestContext, database: Any) -> None:
    """Start or reconfigure the server of an instance."""
    if not context.replaying:
        context.databases.create(facts(database))


def remove(context: RequestContext, database: Any, snapshot: str | None) -> None:
    """Delete the server of an instance, after a final snapshot."""
    if context.replaying:
        return
    if snapshot:
        context.databases.snapshot(
            database.dbi_resource_id, snapshot_key(database.region, snapshot)
        )
    context.databases.delete(database.dbi_resource_id)


def snapshot_key(region: str, identifier: str) -> str:
    """Return the host's name of a snapshot."""
    return f"{region}/{identifier}"


def status(context: RequestContext, database: Any) -> str:
    """Return an instance's status: the account's, refined by the host's."""
    if context.replaying or database.status not in _REFINED:
        return str(database.status)
    return context.databases.state(database.dbi_resource_id).status


def _backends() -> Iterator[Any]:
    backends: Any = get_backend
    yield from backends("rds")[ACCOUNT_ID].values()


def reconcile(context: RequestContext) -> None:
    """Report instances and snapshots to the host after a replay of the journal."""
    databases, snapshots = [], []
    for backend in _backends():
        databases += [facts(database) for database in backend.databases.values()]
        snapshots += [
            snapshot_key(backend.region_name, snapshot.db_snapshot_identifier)
            for snapshot in backend.database_snapshots.values()
            if snapshot.snapshot_type == "manual"
        ]
    context.databases.reconcile(databases, snapshots)


@amends(
    "rds",
    "CreateDBInstance",
    "DescribeDBInstances",
    "ModifyDBInstance",
    "RebootDBInstance",
    "RestoreDBInstanceFromDBSnapshot",
    "StartDBInstance",
    "StopDBInstance",
)
def describe_state(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Give described instances the state of their servers."""
    if context.replaying:
        return
    databases = context.backend("rds", call.region).databases
    items = [result["DBInstance"]] if "DBInstance" in result else result.get("DBInstances", [])
    for item in items:
        database = databases.get(item["DBInstanceIdentifier"])
        if database is None:
            continue
        item["DBInstanceStatus"] = status(context, database)
        if context.databases.state(database.dbi_resource_id).pending_reboot:
            for group in item.get("DBParameterGroups") or []:
                group["ParameterApplyStatus"] = "pending-reboot"


@amends("rds", "DescribeEvents")
def describe_events(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Add why a server failed, and which version runs."""
    if context.replaying:
        return
    for database in context.backend("rds", call.region).databases.values():
        identifier = database.db_instance_identifier
        if call.get("SourceIdentifier") not in {None, identifier}:
            continue
        state = context.databases.state(database.dbi_resource_id)
        for category, message in (("notification", state.notice), ("failure", state.reason)):
            if message:
                result.setdefault("Events", []).append(
                    {
                        "SourceIdentifier": identifier,
                        "SourceType": "db-instance",
                        "Message": message,
                        "EventCategories": [category],
                        "Date": context.clock.now(),
                        "SourceArn": database.arn,
                    }
                )


@amends("rds", "ModifyDBParameterGroup")
def parameters_modified(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Apply the parameters to the servers of the group's instances."""
    configure_group(context, call.region, call["DBParameterGroupName"])


def configure_group(context: RequestContext, region: str, group: str) -> None:
    """Reconfigure the servers of a parameter group's instances."""
    for database in context.backend("rds", region).databases.values():
        if database.db_parameter_group_name == group:
            configure(context, database)


@checks("rds", "RebootDBInstance", "CreateDBSnapshot", "StopDBInstance")
def check_available(context: RequestContext, call: Call) -> None:
    """Refuse what needs a running server; a failed one can be rebooted."""
    database = context.backend("rds", call.region).databases.get(call["DBInstanceIdentifier"])
    if database is None or context.replaying:
        return
    allowed = {"available"}
    if call.operation == "RebootDBInstance":
        allowed |= {"incompatible-parameters", "storage-full", "failed"}
    present = status(context, database)
    if present not in allowed:
        text = f"Instance {call['DBInstanceIdentifier']} is not in available state: {present}."
        raise AwsError("InvalidDBInstanceState", text)


@amends("rds", "RebootDBInstance")
def instance_rebooted(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Restart the server."""
    database = context.backend("rds", call.region).databases[call["DBInstanceIdentifier"]]
    if not context.replaying:
        context.databases.reboot(database.dbi_resource_id)
    result["DBInstance"]["DBInstanceStatus"] = status(context, database)


@amends("rds", "StopDBInstance", "StartDBInstance")
def instance_stopped(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Stop or start the server."""
    database = context.backend("rds", call.region).databases[call["DBInstanceIdentifier"]]
    if call.operation == "StopDBInstance" and call.get("DBSnapshotIdentifier"):
        _take_snapshot(context, database, call["DBSnapshotIdentifier"])
    configure(context, database)
    result["DBInstance"]["DBInstanceStatus"] = status(context, database)


def _take_snapshot(context: RequestContext, database: Any, identifier: str) -> None:
    if not context.replaying:
        key = snapshot_key(database.region, identifier)
        context.databases.snapshot(database.dbi_resource_id, key)


@amends("rds", "CreateDBSnapshot")
def snapshot_creating(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Copy the instance's data."""
    database = context.backend("rds", call.region).databases[call["DBInstanceIdentifier"]]
    _take_snapshot(context, database, call["DBSnapshotIdentifier"])
    describe_snapshots(context, call, result)


@amends("rds", "CopyDBSnapshot")
def snapshot_copied(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Copy a snapshot's data."""
    if not context.replaying:
        source = call["SourceDBSnapshotIdentifier"].rpartition(":")[2]
        target = call["TargetDBSnapshotIdentifier"]
        context.databases.copy_snapshot(
            snapshot_key(call.region, source), snapshot_key(call.region, target)
        )
    describe_snapshots(context, call, result)


@amends("rds", "DeleteDBSnapshot")
def snapshot_deleted(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Delete a snapshot's data."""
    if not context.replaying:
        key = snapshot_key(call.region, call["DBSnapshotIdentifier"])
        context.databases.delete_snapshot(key)


@amends("rds", "DescribeDBSnapshots")
def describe_snapshots(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Give described snapshots the state of their data."""
    if context.replaying:
        return
    for item in result.get("DBSnapshots") or [result.get("DBSnapshot")]:
        if item and item["SnapshotType"] == "manual":
            key = snapshot_key(call.region, item["DBSnapshotIdentifier"])
            item["Status"] = context.databases.snapshot_status(key)
