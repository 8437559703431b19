"""What the account asks of the database host, and how the host's state shows in RDS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.account.null_database_host import NullDatabaseHost
from sandbox.contracts.database_host import DatabaseFacts, DatabaseState
from tests.sandbox.account.conftest import World, refused


class RecordingHost(NullDatabaseHost):
    """Records calls; states are set by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.states: dict[str, DatabaseState] = {}
        self.snapshots: dict[str, str] = {}

    def state(self, id: str) -> DatabaseState:
        return self.states.get(id, DatabaseState())

    def snapshot_status(self, snapshot: str) -> str:
        return self.snapshots.get(snapshot, "available")

    @property
    def only(self) -> DatabaseFacts:
        (facts,) = self.databases.values()
        return facts


@pytest.fixture
def host() -> RecordingHost:
    return RecordingHost()


@pytest.fixture
def world(start: Callable[..., World], host: RecordingHost) -> Iterator[World]:
    """An account with a subnet group and a parameter group."""
    world = start(databases=host)
    _, subnets = world.network()
    rds = world.client("rds")
    rds.create_db_subnet_group(
        DBSubnetGroupName="g", DBSubnetGroupDescription="g", SubnetIds=subnets
    )
    rds.create_db_parameter_group(
        DBParameterGroupName="p", DBParameterGroupFamily="postgres17", Description="p"
    )
    yield world


def create(world: World, **changes: Any) -> dict[str, Any]:
    request = {
        "DBInstanceIdentifier": "db",
        "Engine": "postgres",
        "EngineVersion": "17.10",
        "DBInstanceClass": "db.t4g.micro",
        "AllocatedStorage": 20,
        "MasterUsername": "platform",
        "ManageMasterUserPassword": True,
        "DBName": "guestbook",
        "DBSubnetGroupName": "g",
        "DBParameterGroupName": "p",
        **changes,
    }
    instance: dict[str, Any] = world.client("rds").create_db_instance(**request)["DBInstance"]
    return instance


def describe(world: World, name: str = "db") -> dict[str, Any]:
    (instance,) = world.client("rds").describe_db_instances(DBInstanceIdentifier=name)[
        "DBInstances"
    ]
    return dict(instance)


def secret(world: World) -> dict[str, str]:
    manager = world.client("secretsmanager")
    arn = describe(world)["MasterUserSecret"]["SecretArn"]
    document: dict[str, str] = json.loads(manager.get_secret_value(SecretId=arn)["SecretString"])
    return document


def test_host_receives_the_configuration_of_a_new_instance(
    world: World, host: RecordingHost
) -> None:
    instance = create(world, EnableCloudwatchLogsExports=["postgresql"])
    facts, shown = host.only, describe(world)
    assert (facts.id, facts.identifier) == (instance["DbiResourceId"], "db")
    assert (facts.host_name, facts.port) == (shown["Endpoint"]["Address"], 5432)
    assert (facts.engine_version, facts.name) == ("17.10", "guestbook")
    assert facts.log_group == "/aws/rds/instance/db/postgresql"
    assert secret(world) == {"username": "platform", "password": facts.password}
    assert facts.password not in repr(facts)


def test_own_password_is_passed_on_and_changed(world: World, host: RecordingHost) -> None:
    create(world, ManageMasterUserPassword=False, MasterUserPassword="first-password")
    assert host.only.password == "first-password"
    world.client("rds").modify_db_instance(
        DBInstanceIdentifier="db", MasterUserPassword="second-password", ApplyImmediately=True
    )
    assert host.only.password == "second-password"


def test_managed_passwords_are_random_and_rotated_by_both_services(
    world: World, host: RecordingHost
) -> None:
    create(world)
    passwords = [host.only.password]
    world.client("rds").modify_db_instance(
        DBInstanceIdentifier="db", RotateMasterUserPassword=True, ApplyImmediately=True
    )
    passwords.append(host.only.password)
    arn = describe(world)["MasterUserSecret"]["SecretArn"]
    world.client("secretsmanager").rotate_secret(SecretId=arn)
    passwords.append(host.only.password)
    assert len(set(passwords)) == 3
    assert secret(world)["password"] == passwords[-1]
    previous = world.client("secretsmanager").get_secret_value(
        SecretId=arn, VersionStage="AWSPREVIOUS"
    )
    assert json.loads(previous["SecretString"])["password"] == passwords[-2]
    with refused("InvalidRequestException", "managed by rds"):
        world.client("secretsmanager").put_secret_value(SecretId=arn, SecretString="{}")


def test_managed_secret_shows_rotation_and_day_of_last_access(
    world: World, host: RecordingHost
) -> None:
    create(world)
    secrets = world.client("secretsmanager")
    arn = describe(world)["MasterUserSecret"]["SecretArn"]
    described = secrets.describe_secret(SecretId=arn)
    assert described["RotationEnabled"] is True
    assert described["RotationRules"] == {"AutomaticallyAfterDays": 7}
    assert described["NextRotationDate"] - described["CreatedDate"] == timedelta(days=7)
    assert not {"RotationLambdaARN", "LastRotatedDate", "LastAccessedDate"} & set(described)
    secrets.rotate_secret(SecretId=arn)
    secrets.get_secret_value(SecretId=arn)
    (listed,) = secrets.list_secrets()["SecretList"]
    assert listed["LastRotatedDate"] >= described["CreatedDate"]
    assert listed["LastAccessedDate"].date() == datetime.now(UTC).date()


def test_instance_has_a_certificate_authority_of_rds(world: World, host: RecordingHost) -> None:
    create(world)
    rds = world.client("rds")
    name = describe(world)["CACertificateIdentifier"]
    (certificate,) = rds.describe_certificates(CertificateIdentifier=name)["Certificates"]
    assert certificate["ValidTill"].year == 2061
    assert len(rds.describe_certificates()["Certificates"]) == 3
    with refused("CertificateNotFound", "rds-ca-2015"):
        rds.modify_db_instance(DBInstanceIdentifier="db", CACertificateIdentifier="rds-ca-2015")


def test_parameters_follow_their_group(world: World, host: RecordingHost) -> None:
    create(world)
    rds = world.client("rds")
    values = (("work_mem", "8192", "immediate"), ("max_connections", "50", "pending-reboot"))
    rds.modify_db_parameter_group(
        DBParameterGroupName="p",
        Parameters=[
            {"ParameterName": name, "ParameterValue": value, "ApplyMethod": method}
            for name, value, method in values
        ],
    )
    assert host.only.parameters == {"work_mem": "8192", "max_connections": "50"}
    assert host.only.deferred == {"max_connections"}
    host.states[host.only.id] = DatabaseState(pending_reboot=True)
    assert describe(world)["DBParameterGroups"][0]["ParameterApplyStatus"] == "pending-reboot"
    rds.reset_db_parameter_group(DBParameterGroupName="p", ResetAllParameters=True)
    assert host.only.parameters == {}


def test_instance_is_available_when_its_server_is(world: World, host: RecordingHost) -> None:
    host.state = lambda id: DatabaseState(status="creating")  # type: ignore[method-assign]
    create(world)
    assert describe(world)["DBInstanceStatus"] == "creating"
    with refused("InvalidDBInstanceState", "creating"):
        world.client("rds").modify_db_instance(DBInstanceIdentifier="db", BackupRetentionPeriod=3)
    del host.state
    assert describe(world)["DBInstanceStatus"] == "available"


def test_failure_is_an_event_with_its_reason_and_a_reboot_is_allowed(
    world: World, host: RecordingHost
) -> None:
    create(world)
    host.states[host.only.id] = DatabaseState(status="failed", reason="no programs; install them")
    assert describe(world)["DBInstanceStatus"] == "failed"
    rds = world.client("rds")
    events = rds.describe_events(SourceIdentifier="db", SourceType="db-instance")["Events"]
    (failure,) = [e["Message"] for e in events if "failure" in e["EventCategories"]]
    assert failure == "no programs; install them"
    with refused("InvalidDBInstanceState", "failed"):
        rds.create_db_snapshot(DBInstanceIdentifier="db", DBSnapshotIdentifier="s")
    rds.reboot_db_instance(DBInstanceIdentifier="db")
    assert host.calls[-1] == "reboot db"


def test_stop_start_rename_and_delete_reach_the_host(world: World, host: RecordingHost) -> None:
    create(world)
    rds, id = world.client("rds"), host.only.id
    rds.stop_db_instance(DBInstanceIdentifier="db")
    assert host.only.running is False
    rds.start_db_instance(DBInstanceIdentifier="db")
    assert host.only.running is True
    rds.modify_db_instance(
        DBInstanceIdentifier="db", NewDBInstanceIdentifier="new", ApplyImmediately=True
    )
    assert (host.only.id, host.only.identifier) == (id, "new")
    assert host.only.host_name.startswith("new.")
    rds.delete_db_instance(DBInstanceIdentifier="new", FinalDBSnapshotIdentifier="final")
    assert host.calls[-2:] == ["snapshot new us-east-1/final", "delete new"]
    assert host.databases == {}


def test_snapshot_is_restored_once_it_is_available(world: World, host: RecordingHost) -> None:
    create(world)
    rds = world.client("rds")
    host.snapshots["us-east-1/s"] = "creating"
    taken = rds.create_db_snapshot(DBInstanceIdentifier="db", DBSnapshotIdentifier="s")
    assert taken["DBSnapshot"]["Status"] == "creating"
    restore = {"DBInstanceIdentifier": "two", "DBSnapshotIdentifier": "s"}
    with refused("InvalidDBSnapshotState", "creating"):
        rds.restore_db_instance_from_db_snapshot(**restore)
    host.snapshots["us-east-1/s"] = "available"
    rds.restore_db_instance_from_db_snapshot(**restore)
    restored = next(facts for facts in host.databases.values() if facts.identifier == "two")
    assert restored.snapshot == "us-east-1/s"
    assert restored.id != describe(world, "db")["DbiResourceId"]
    rds.delete_db_snapshot(DBSnapshotIdentifier="s")
    assert host.calls[-1] == "delete snapshot us-east-1/s"


def test_replay_asks_nothing_of_the_host_before_it_reconciles(
    start: Callable[..., World], world: World, host: RecordingHost
) -> None:
    create(world)
    rds = world.client("rds")
    rds.create_db_snapshot(DBInstanceIdentifier="db", DBSnapshotIdentifier="s")
    rds.reboot_db_instance(DBInstanceIdentifier="db")
    before = host.only
    again = RecordingHost()
    world = start(databases=again)
    assert again.calls == ["reconcile 1 1"]
    assert again.only == before
    assert secret(world)["password"] == before.password


def test_exported_log_needs_a_log_group_and_is_not_journaled(world: World) -> None:
    account, logs = world.account, world.client("logs")
    target = ("us-east-1", "/aws/rds/instance/db/postgresql", "db.0")
    assert account.put_log_events(*target, [(1, "lost")]) is False
    logs.create_log_group(logGroupName=target[1])
    logs.create_log_stream(logGroupName=target[1], logStreamName=target[2])
    journal = account._directory / "journal.jsonl"
    size = journal.stat().st_size
    now = int(account.dispatcher.context.clock.time() * 1000)
    assert account.put_log_events(*target, [(now, "kept")]) is True
    assert journal.stat().st_size == size
    events = logs.get_log_events(logGroupName=target[1], logStreamName=target[2])["events"]
    assert [event["message"] for event in events] == ["kept"]
