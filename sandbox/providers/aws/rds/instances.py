"""RDS: instances.

Replacements and defaults: pulumi_aws's documentation of aws.rds. The ID is the resource ID
(`db-…`), which a rename keeps; import uses the identifier. Changes wait for the maintenance window
unless `applyImmediately` is set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sandbox.providers.aws.marshalling import filled, moment, tag_list, tag_map, without_none
from sandbox.providers.aws.properties import (
    Property,
    between,
    boolean,
    integer,
    length,
    set_of,
    text,
)
from sandbox.providers.aws.rds.groups import retag
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Failure, Properties

_MISSING = ("DBInstanceNotFound", "DBInstanceNotFoundFault")


def _same_version(one: str, other: str) -> bool:
    """Whether versions match: `16` matches any 16.x."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _window_alike(one: str, other: str) -> bool:
    return one.lower() == other.lower()


# Property, API parameter, declaration; sent to CreateDBInstance unchanged.
_SETTINGS: tuple[tuple[str, str, Property], ...] = (
    ("allocatedStorage", "AllocatedStorage", integer(computed=True)),
    ("autoMinorVersionUpgrade", "AutoMinorVersionUpgrade", boolean(default=True)),
    ("backupRetentionPeriod", "BackupRetentionPeriod", integer(computed=True, rule=between(0, 35))),
    ("backupWindow", "PreferredBackupWindow", text(computed=True)),
    ("caCertIdentifier", "CACertificateIdentifier", text(computed=True)),
    ("copyTagsToSnapshot", "CopyTagsToSnapshot", boolean(default=False)),
    (
        "databaseInsightsMode",
        "DatabaseInsightsMode",
        text(computed=True, one_of=("advanced", "standard")),
    ),
    ("dbSubnetGroupName", "DBSubnetGroupName", text(computed=True)),
    ("dedicatedLogVolume", "DedicatedLogVolume", boolean(default=False)),
    ("deletionProtection", "DeletionProtection", boolean(default=False)),
    ("engineVersion", "EngineVersion", text(computed=True, same=_same_version)),
    ("iamDatabaseAuthenticationEnabled", "EnableIAMDatabaseAuthentication", boolean()),
    ("instanceClass", "DBInstanceClass", text(required=True)),
    ("iops", "Iops", integer(computed=True)),
    ("licenseModel", "LicenseModel", text(computed=True)),
    ("maintenanceWindow", "PreferredMaintenanceWindow", text(computed=True, same=_window_alike)),
    ("manageMasterUserPassword", "ManageMasterUserPassword", boolean()),
    # The AWS provider does not read it (hashicorp/terraform-provider-aws#41817).
    ("masterUserSecretKmsKeyId", "MasterUserSecretKmsKeyId", text(computed=True, write_only=True)),
    ("maxAllocatedStorage", "MaxAllocatedStorage", integer()),
    ("monitoringInterval", "MonitoringInterval", integer(default=0)),
    ("monitoringRoleArn", "MonitoringRoleArn", text(computed=True)),
    ("multiAz", "MultiAZ", boolean(computed=True)),
    ("networkType", "NetworkType", text(computed=True, one_of=("DUAL", "IPV4"))),
    ("optionGroupName", "OptionGroupName", text(computed=True)),
    ("parameterGroupName", "DBParameterGroupName", text(computed=True)),
    ("password", "MasterUserPassword", text(secret=True, write_only=True, rule=length(8, 128))),
    ("performanceInsightsEnabled", "EnablePerformanceInsights", boolean(default=False)),
    ("performanceInsightsKmsKeyId", "PerformanceInsightsKMSKeyId", text(computed=True)),
    (
        "performanceInsightsRetentionPeriod",
        "PerformanceInsightsRetentionPeriod",
        integer(computed=True),
    ),
    ("port", "Port", integer(computed=True)),
    ("publiclyAccessible", "PubliclyAccessible", boolean(default=False)),
    ("storageThroughput", "StorageThroughput", integer(computed=True)),
    (
        "storageType",
        "StorageType",
        text(computed=True, one_of=("gp2", "gp3", "io1", "io2", "standard")),
    ),
    ("vpcSecurityGroupIds", "VpcSecurityGroupIds", set_of(text(), computed=True)),
)
# The same, but replaced when changed.
_FIXED: tuple[tuple[str, str, Property], ...] = (
    ("availabilityZone", "AvailabilityZone", text(computed=True, replaces=True)),
    ("characterSetName", "CharacterSetName", text(computed=True, replaces=True)),
    ("dbName", "DBName", text(computed=True, replaces=True)),
    ("engine", "Engine", text(computed=True, replaces=True)),
    ("kmsKeyId", "KmsKeyId", text(computed=True, replaces=True)),
    ("storageEncrypted", "StorageEncrypted", boolean(replaces=True)),
    ("timezone", "Timezone", text(computed=True, replaces=True)),
    ("username", "MasterUsername", text(computed=True, replaces=True)),
)
# Names in DescribeDBInstances that differ from CreateDBInstance.
_DESCRIBED = {
    "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled",
    "EnablePerformanceInsights": "PerformanceInsightsEnabled",
}
_NESTED = (
    "dbSubnetGroupName",
    "parameterGroupName",
    "optionGroupName",
    "vpcSecurityGroupIds",
    "port",
    "password",
)
_NESTED_SECRET = ("manageMasterUserPassword", "masterUserSecretKmsKeyId")


class Instance(Handler):
    """A DB instance, new or restored from a snapshot. Replicas are not emulated."""

    token = "aws:rds/instance:Instance"
    noun = "RDS DB Instance"
    inputs = {
        **{key: spec for key, _, spec in (*_SETTINGS, *_FIXED)},
        "identifier": text(rule=length(1, 63)),
        "identifierPrefix": text(replaces=True, write_only=True),
        "enabledCloudwatchLogsExports": set_of(text()),
        "allowMajorVersionUpgrade": boolean(write_only=True),
        "applyImmediately": boolean(default=False, write_only=True),
        "deleteAutomatedBackups": boolean(default=True, write_only=True),
        "finalSnapshotIdentifier": text(write_only=True),
        "skipFinalSnapshot": boolean(default=False, write_only=True),
        "snapshotIdentifier": text(replaces=True, write_only=True),
    }
    outputs = (
        "address",
        "arn",
        "endpoint",
        "engineVersionActual",
        "hostedZoneId",
        "latestRestorableTime",
        "masterUserSecrets",
        "resourceId",
        "status",
    )
    volatile = ("engineVersionActual", "latestRestorableTime", "status")
    autoname = AutoName("identifier", 63, unless=("identifierPrefix",), lower=True)
    conflicts = (("identifier", "identifierPrefix"), ("password", "manageMasterUserPassword"))
    tagged = True
    missing = _MISSING

    def validate(self, call: Call, inputs: Properties) -> Iterable[tuple[str, str]]:
        """Validate a new instance."""
        if inputs.get("snapshotIdentifier") is not None:  # the snapshot has them
            return
        for key in ("allocatedStorage", "engine", "username"):
            if inputs.get(key) is None:
                yield key, f'"{key}" is required: the sandbox does not emulate replicas'

    def validate_update(self, old: Properties, new: Properties) -> Iterable[tuple[str, str]]:
        """Refuse less storage, a lower version, and an unconfirmed major upgrade."""
        present, requested = old.get("allocatedStorage"), new.get("allocatedStorage")
        if isinstance(present, int) and isinstance(requested, int) and requested < present:
            yield (
                "allocatedStorage",
                f"storage cannot shrink from {present} to {requested} GiB; set at least {present}",
            )
        before, after = old.get("engineVersion"), new.get("engineVersion")
        if not isinstance(before, str) or not isinstance(after, str):
            return
        old_parts, new_parts = (tuple(map(int, v.split("."))) for v in (before, after))
        common = min(len(old_parts), len(new_parts))
        if new_parts[:common] < old_parts[:common]:
            yield (
                "engineVersion",
                f"Cannot upgrade postgres from {before} to {after}, which is lower; set at least "
                f"{before}",
            )
        elif new_parts[0] != old_parts[0] and not new.get("allowMajorVersionUpgrade"):
            yield (
                "engineVersion",
                f"the upgrade from {before} to {after} requires allowMajorVersionUpgrade: true",
            )

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the instance and wait until it is available."""
        rds = call.client("rds")
        name = (
            inputs.get("identifier") or f"{inputs['identifierPrefix']}{call.resource.name}".lower()
        )
        request = {
            **without_none(**{api: inputs.get(key) for key, api, _ in (*_SETTINGS, *_FIXED)}),
            "DBInstanceIdentifier": name,
            **filled(
                EnableCloudwatchLogsExports=inputs.get("enabledCloudwatchLogsExports"),
                Tags=tag_list(inputs["tagsAll"]),
            ),
        }
        if not inputs.get("manageMasterUserPassword"):
            request.pop("ManageMasterUserPassword", None)
        if snapshot := inputs.get("snapshotIdentifier"):
            return self._restore(call, snapshot, request)
        instance = rds.create_db_instance(**request)["DBInstance"]
        call.record_created(instance["DbiResourceId"])
        self._settle(call, name)
        return str(instance["DbiResourceId"])

    def _restore(self, call: Call, snapshot: str, request: dict[str, Any]) -> str:
        """Restore the snapshot, then modify the rest, as the provider does."""
        rds, name = call.client("rds"), request["DBInstanceIdentifier"]
        model = rds.meta.service_model
        # PostgreSQL's database name and user come from the snapshot.
        accepted = set(model.operation_model("RestoreDBInstanceFromDBSnapshot").input_shape.members)
        restored = {key: request[key] for key in request.keys() & accepted - {"DBName"}}
        instance = rds.restore_db_instance_from_db_snapshot(
            DBSnapshotIdentifier=snapshot, **restored
        )["DBInstance"]
        call.record_created(instance["DbiResourceId"])
        self._settle(call, name)
        modifiable = set(model.operation_model("ModifyDBInstance").input_shape.members)
        later = {key: request[key] for key in request.keys() & modifiable - accepted}
        if later:
            rds.modify_db_instance(DBInstanceIdentifier=name, ApplyImmediately=True, **later)
            self._settle(call, name)
        return str(instance["DbiResourceId"])

    def _settle(self, call: Call, name: str) -> None:
        rds = call.client("rds")
        try:
            self._wait(call, name)
        except Failure as failure:
            reasons = self._events(rds, name, "failure")
            raise Failure(": ".join([str(failure), *reasons[-1:]])) from None
        for notice in self._events(rds, name, "notification"):
            call.resource.log("info", notice)

    def _events(self, rds: Any, name: str, category: str) -> list[str]:
        events = rds.describe_events(SourceIdentifier=name, SourceType="db-instance")["Events"]
        return [event["Message"] for event in events if category in event["EventCategories"]]

    def _wait(self, call: Call, name: str) -> None:
        rds = call.client("rds")
        call.wait(
            lambda: str(
                rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0][
                    "DBInstanceStatus"
                ]
            ),
            ("available", "storage-optimization"),
            failed=(
                "failed",
                "incompatible-parameters",
                "incompatible-network",
                "storage-full",
                "deleting",
            ),
            seconds=40 * 60,
            what=f"DB instance {name}",
        )

    def _describe(self, call: Call, id: str, state: Properties) -> dict[str, Any] | None:
        rds = call.client("rds")
        name = state.get("identifier") or (
            None if id.startswith("db-") and id[3:].isupper() else id
        )
        if name:
            instances = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
        else:
            instances = rds.describe_db_instances(
                Filters=[{"Name": "dbi-resource-id", "Values": [id]}]
            )["DBInstances"]
        return dict(instances[0]) if instances else None

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the instance."""
        instance = self._describe(call, id, state)
        if instance is None:
            return None
        secret, endpoint = instance.get("MasterUserSecret"), instance.get("Endpoint") or {}
        live: Properties = {
            key: instance.get(_DESCRIBED.get(api, api))
            for key, api, _ in (*_SETTINGS, *_FIXED)
            if key not in (*_NESTED, *_NESTED_SECRET)
        }
        groups = instance.get("DBParameterGroups") or [{}]
        options = instance.get("OptionGroupMemberships") or [{}]
        return {
            **live,
            "id": instance["DbiResourceId"],
            "identifier": instance["DBInstanceIdentifier"],
            "dbSubnetGroupName": (instance.get("DBSubnetGroup") or {}).get("DBSubnetGroupName"),
            "parameterGroupName": groups[0].get("DBParameterGroupName"),
            "optionGroupName": options[0].get("OptionGroupName"),
            "vpcSecurityGroupIds": [
                g["VpcSecurityGroupId"] for g in instance.get("VpcSecurityGroups") or ()
            ],
            "port": endpoint.get("Port"),
            "enabledCloudwatchLogsExports": instance.get("EnabledCloudwatchLogsExports") or [],
            "manageMasterUserPassword": True if secret else None,
            "masterUserSecrets": [
                filled(
                    kmsKeyId=secret.get("KmsKeyId"),
                    secretArn=secret["SecretArn"],
                    secretStatus=secret["SecretStatus"],
                )
            ]
            if secret
            else [],
            "address": endpoint.get("Address"),
            "endpoint": f"{endpoint['Address']}:{endpoint['Port']}" if endpoint else None,
            "hostedZoneId": endpoint.get("HostedZoneId"),
            "arn": instance["DBInstanceArn"],
            "engineVersionActual": instance.get("EngineVersion"),
            "latestRestorableTime": moment(instance.get("LatestRestorableTime")),
            "resourceId": instance["DbiResourceId"],
            "status": instance["DBInstanceStatus"],
            "tagsAll": tag_map(instance.get("TagList")),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Modify the instance, immediately or in the maintenance window."""
        rds, name = call.client("rds"), old["identifier"]
        names = {key: api for key, api, _ in _SETTINGS}
        request = without_none(**{names[key]: new.get(key) for key in changed if key in names})
        if "port" in changed:
            request["DBPortNumber"] = request.pop("Port")
        if "identifier" in changed:
            request["NewDBInstanceIdentifier"] = new["identifier"]
        if "enabledCloudwatchLogsExports" in changed:
            before = set(old.get("enabledCloudwatchLogsExports") or ())
            after = set(new.get("enabledCloudwatchLogsExports") or ())
            request["CloudwatchLogsExportConfiguration"] = {
                "EnableLogTypes": sorted(after - before),
                "DisableLogTypes": sorted(before - after),
            }
        for key in (
            "manageMasterUserPassword",
            "deletionProtection",
            "multiAz",
            "iamDatabaseAuthenticationEnabled",
        ):
            if key in changed:
                request[names[key]] = bool(new.get(key))
        if not request:
            return
        if new.get("allowMajorVersionUpgrade"):
            request["AllowMajorVersionUpgrade"] = True
        rds.modify_db_instance(
            DBInstanceIdentifier=name, ApplyImmediately=bool(new.get("applyImmediately")), **request
        )
        renamed_now = "identifier" in changed and new.get("applyImmediately")
        self._settle(call, new["identifier"] if renamed_now else name)

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the instance."""
        retag(call, state["arn"], put, drop)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the instance, with a final snapshot unless skipped; wait."""
        rds, name = call.client("rds"), state["identifier"]
        request: dict[str, Any] = {"SkipFinalSnapshot": bool(state.get("skipFinalSnapshot"))}
        if not state.get("skipFinalSnapshot"):
            if not state.get("finalSnapshotIdentifier"):
                raise Failure(
                    "final_snapshot_identifier is required when skip_final_snapshot is false"
                )
            request["FinalDBSnapshotIdentifier"] = state["finalSnapshotIdentifier"]
        rds.delete_db_instance(
            DBInstanceIdentifier=name,
            DeleteAutomatedBackups=state.get("deleteAutomatedBackups", True),
            **request,
        )

        def state_now() -> str:
            try:
                return str(
                    rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0][
                        "DBInstanceStatus"
                    ]
                )
            except rds.exceptions.DBInstanceNotFoundFault:
                return "gone"

        call.wait(state_now, ("gone",), seconds=60 * 60, what=f"DB instance {name}")


TYPES = (Instance(),)
