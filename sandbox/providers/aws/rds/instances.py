"""RDS: instances.

Which properties replace, and the defaults: pulumi_aws's documentation of aws.rds. An instance's id is its resource id
(`db-…`), which outlives a renaming; it is imported by its identifier. Changes wait for the maintenance window unless
`applyImmediately` is set, as RDS has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sandbox.providers.aws.marshalling import filled, given, moment, tag_list, tag_map
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
    """A version given as `16` means whatever 16.x the instance runs."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _window_alike(one: str, other: str) -> bool:
    return one.lower() == other.lower()


# Property, API parameter, declaration. Sent to CreateDBInstance as they are.
_SETTINGS: tuple[tuple[str, str, Property], ...] = (
    ("allocatedStorage", "AllocatedStorage", integer(computed=True)),
    ("autoMinorVersionUpgrade", "AutoMinorVersionUpgrade", boolean(default=True)),
    ("backupRetentionPeriod", "BackupRetentionPeriod", integer(computed=True, rule=between(0, 35))),
    ("backupWindow", "PreferredBackupWindow", text(computed=True)),
    ("caCertIdentifier", "CACertificateIdentifier", text(computed=True)),
    ("copyTagsToSnapshot", "CopyTagsToSnapshot", boolean(default=False)),
    ("databaseInsightsMode", "DatabaseInsightsMode", text(computed=True, one_of=("advanced", "standard"))),
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
    # The AWS provider never reads it back (hashicorp/terraform-provider-aws#41817): a key's id stays an id.
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
    ("performanceInsightsRetentionPeriod", "PerformanceInsightsRetentionPeriod", integer(computed=True)),
    ("port", "Port", integer(computed=True)),
    ("publiclyAccessible", "PubliclyAccessible", boolean(default=False)),
    ("storageThroughput", "StorageThroughput", integer(computed=True)),
    ("storageType", "StorageType", text(computed=True, one_of=("gp2", "gp3", "io1", "io2", "standard"))),
    ("vpcSecurityGroupIds", "VpcSecurityGroupIds", set_of(text(), computed=True)),
)
# As above, but fixed once the instance exists.
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
# Where DescribeDBInstances has another name for it than CreateDBInstance.
_DESCRIBED = {
    "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled",
    "EnablePerformanceInsights": "PerformanceInsightsEnabled",
}
_NESTED = ("dbSubnetGroupName", "parameterGroupName", "optionGroupName", "vpcSecurityGroupIds", "port", "password")
_NESTED_SECRET = ("manageMasterUserPassword", "masterUserSecretKmsKeyId")


class Instance(Handler):
    """A database instance. Replicas and restores from snapshots or points in time aren't emulated."""

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
        """What a new instance needs."""
        for key in ("allocatedStorage", "engine", "username"):
            if inputs.get(key) is None:
                yield key, f'"{key}" is needed: the sandbox makes instances anew, not from replicas or snapshots'

    def create(self, call: Call, inputs: Properties) -> str:
        """Make the instance and wait until it is available."""
        rds = call.client("rds")
        name = inputs.get("identifier") or f"{inputs['identifierPrefix']}{call.resource.name}".lower()
        request = {
            **given(**{api: inputs.get(key) for key, api, _ in (*_SETTINGS, *_FIXED)}),
            "DBInstanceIdentifier": name,
            **filled(
                EnableCloudwatchLogsExports=inputs.get("enabledCloudwatchLogsExports"), Tags=tag_list(inputs["tagsAll"])
            ),
        }
        if not inputs.get("manageMasterUserPassword"):
            request.pop("ManageMasterUserPassword", None)
        made = rds.create_db_instance(**request)["DBInstance"]
        call.made(made["DbiResourceId"])
        self._settle(call, name)
        return str(made["DbiResourceId"])

    def _settle(self, call: Call, name: str) -> None:
        rds = call.client("rds")
        call.wait(
            lambda: str(rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]["DBInstanceStatus"]),
            ("available", "storage-optimization"),
            failed=("failed", "incompatible-parameters", "incompatible-network", "deleting"),
            seconds=40 * 60,
            what=f"DB instance {name}",
        )

    def _describe(self, call: Call, id: str, known: Properties) -> dict[str, Any] | None:
        rds = call.client("rds")
        name = known.get("identifier") or (None if id.startswith("db-") and id[3:].isupper() else id)
        if name:
            found = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
        else:
            found = rds.describe_db_instances(Filters=[{"Name": "dbi-resource-id", "Values": [id]}])["DBInstances"]
        return dict(found[0]) if found else None

    def read(self, call: Call, id: str, known: Properties) -> Properties | None:
        """Describe the instance."""
        found = self._describe(call, id, known)
        if found is None:
            return None
        secret, endpoint = found.get("MasterUserSecret"), found.get("Endpoint") or {}
        live: Properties = {
            key: found.get(_DESCRIBED.get(api, api))
            for key, api, _ in (*_SETTINGS, *_FIXED)
            if key not in (*_NESTED, *_NESTED_SECRET)
        }
        groups = found.get("DBParameterGroups") or [{}]
        options = found.get("OptionGroupMemberships") or [{}]
        return {
            **live,
            "id": found["DbiResourceId"],
            "identifier": found["DBInstanceIdentifier"],
            "dbSubnetGroupName": (found.get("DBSubnetGroup") or {}).get("DBSubnetGroupName"),
            "parameterGroupName": groups[0].get("DBParameterGroupName"),
            "optionGroupName": options[0].get("OptionGroupName"),
            "vpcSecurityGroupIds": [g["VpcSecurityGroupId"] for g in found.get("VpcSecurityGroups") or ()],
            "port": endpoint.get("Port"),
            "enabledCloudwatchLogsExports": found.get("EnabledCloudwatchLogsExports") or [],
            "manageMasterUserPassword": True if secret else None,
            "masterUserSecrets": [
                filled(
                    kmsKeyId=secret.get("KmsKeyId"), secretArn=secret["SecretArn"], secretStatus=secret["SecretStatus"]
                )
            ]
            if secret
            else [],
            "address": endpoint.get("Address"),
            "endpoint": f"{endpoint['Address']}:{endpoint['Port']}" if endpoint else None,
            "hostedZoneId": endpoint.get("HostedZoneId"),
            "arn": found["DBInstanceArn"],
            "engineVersionActual": found.get("EngineVersion"),
            "latestRestorableTime": moment(found.get("LatestRestorableTime")),
            "resourceId": found["DbiResourceId"],
            "status": found["DBInstanceStatus"],
            "tagsAll": tag_map(found.get("TagList")),
        }

    def update(self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]) -> None:
        """Modify the instance, now or in its maintenance window."""
        rds, name = call.client("rds"), old["identifier"]
        names = {key: api for key, api, _ in _SETTINGS}
        request = given(**{names[key]: new.get(key) for key in changed if key in names})
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
        for key in ("manageMasterUserPassword", "deletionProtection", "multiAz", "iamDatabaseAuthenticationEnabled"):
            if key in changed:
                request[names[key]] = bool(new.get(key))
        if not request:
            return
        if new.get("allowMajorVersionUpgrade"):
            request["AllowMajorVersionUpgrade"] = True
        rds.modify_db_instance(DBInstanceIdentifier=name, ApplyImmediately=bool(new.get("applyImmediately")), **request)
        renamed_now = "identifier" in changed and new.get("applyImmediately")
        self._settle(call, new["identifier"] if renamed_now else name)

    def retag(self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]) -> None:
        """Tag the instance."""
        retag(call, state["arn"], put, drop)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the instance, after a last snapshot unless told to skip it; wait until it is gone."""
        rds, name = call.client("rds"), state["identifier"]
        request: dict[str, Any] = {"SkipFinalSnapshot": bool(state.get("skipFinalSnapshot"))}
        if not state.get("skipFinalSnapshot"):
            if not state.get("finalSnapshotIdentifier"):
                raise Failure("final_snapshot_identifier is required when skip_final_snapshot is false")
            request["FinalDBSnapshotIdentifier"] = state["finalSnapshotIdentifier"]
        rds.delete_db_instance(
            DBInstanceIdentifier=name, DeleteAutomatedBackups=state.get("deleteAutomatedBackups", True), **request
        )

        def state_now() -> str:
            try:
                return str(rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]["DBInstanceStatus"])
            except rds.exceptions.DBInstanceNotFoundFault:
                return "gone"

        call.wait(state_now, ("gone",), seconds=60 * 60, what=f"DB instance {name}")


TYPES = (Instance(),)
