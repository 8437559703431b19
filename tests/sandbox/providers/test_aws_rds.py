"""RDS through the AWS provider, verified with boto3."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from sandbox.account.null_database_host import NullDatabaseHost
from sandbox.contracts.database_host import DatabaseState
from tests.sandbox.providers.engine_client import CheckFailed, Client, Failed
from tests.sandbox.providers.lifecycle import Boto, changes, imports, network, replaces, settled


@pytest.fixture(scope="module")
def subnets(boto: Boto) -> list[str]:
    return network(boto, "10.9")[1]


@pytest.fixture(scope="module")
def group(owned: Client, subnets: list[str]) -> str:
    inputs = {"name": "databases", "subnetIds": subnets}
    return owned.create("aws:rds/subnetGroup:SubnetGroup", "databases", inputs).id


def instance(group: str) -> dict[str, Any]:
    return {
        "identifier": "main",
        "engine": "postgres",
        "engineVersion": "17",
        "instanceClass": "db.t4g.micro",
        "allocatedStorage": 20,
        "dbName": "app",
        "username": "app",
        "manageMasterUserPassword": True,
        "storageEncrypted": True,
        "dbSubnetGroupName": group,
        "backupRetentionPeriod": 7,
        "skipFinalSnapshot": True,
        "applyImmediately": True,
        "tags": {"Name": "main"},
    }


def test_instance_has_a_managed_password_and_updates_in_place(
    owned: Client, boto: Boto, group: str
) -> None:
    inputs = instance(group)
    created = owned.create("aws:rds/instance:Instance", "main", inputs)
    live = boto("rds").describe_db_instances(DBInstanceIdentifier="main")["DBInstances"][0]
    assert created.id == live["DbiResourceId"] == created.state["resourceId"]
    assert created.state["endpoint"] == f"{live['Endpoint']['Address']}:{live['Endpoint']['Port']}"
    secret = created.state["masterUserSecrets"][0]["secretArn"]
    assert boto("secretsmanager").describe_secret(SecretId=secret)["ARN"] == secret
    assert "password" not in created.state
    assert created.state["engineVersion"] == "17"
    settled(owned, created)
    imports(owned, created, "main")

    news = {
        **inputs,
        "instanceClass": "db.t4g.small",
        "allocatedStorage": 40,
        "multiAz": True,
        "tags": {"Name": "two"},
    }
    assert replaces(owned, created, news) == []
    created = owned.update(created, news)
    live = boto("rds").describe_db_instances(DBInstanceIdentifier="main")["DBInstances"][0]
    assert (live["DBInstanceClass"], live["AllocatedStorage"], live["MultiAZ"]) == (
        "db.t4g.small",
        40,
        True,
    )
    assert {tag["Key"]: tag["Value"] for tag in live["TagList"]} == {"Name": "two", "Owner": "us"}
    settled(owned, created)

    created = owned.update(created, {**news, "deletionProtection": True})
    with pytest.raises(Failed, match=r"deleting RDS DB Instance.*deletion protection"):
        owned.delete(created)
    created = owned.update(created, news)
    owned.delete(created)
    assert boto("rds").describe_db_instances()["DBInstances"] == []
    assert owned.read(created) is None
    owned.delete(created)


@pytest.mark.parametrize(
    ("change", "replacing"),
    [
        ({"engine": "mysql"}, ["engine"]),
        ({"dbName": "other"}, ["dbName"]),
        ({"username": "other"}, ["username"]),
        ({"storageEncrypted": False}, ["storageEncrypted"]),
        ({"kmsKeyId": "arn:other"}, ["kmsKeyId"]),
        ({"identifier": "renamed"}, []),
        ({"engineVersion": "18", "allowMajorVersionUpgrade": True}, []),
        ({"instanceClass": "db.m7g.large"}, []),
    ],
)
def test_only_creation_time_properties_replace_an_instance(
    owned: Client, group: str, change: dict[str, Any], replacing: list[str]
) -> None:
    inputs = {**instance(group), "identifier": "fixed"}
    created = owned.create("aws:rds/instance:Instance", "fixed", inputs)
    assert replaces(owned, created, {**inputs, **change}) == replacing
    owned.delete(created)


def test_instance_password_is_never_shown(owned: Client, group: str) -> None:
    inputs = {**instance(group), "identifier": "own", "password": "correct-horse"}
    with pytest.raises(CheckFailed, match='conflicts with "password"'):
        owned.check("aws:rds/instance:Instance", "own", inputs)
    del inputs["manageMasterUserPassword"]
    created = owned.create("aws:rds/instance:Instance", "own", inputs, secrets={("password",)})
    assert ("password",) in created.secrets
    owned.delete(created)


def test_deletion_requires_a_final_snapshot_or_skip_final_snapshot(
    owned: Client, group: str
) -> None:
    inputs = {**instance(group), "identifier": "careful", "skipFinalSnapshot": False}
    created = owned.create("aws:rds/instance:Instance", "careful", inputs)
    with pytest.raises(
        Failed, match="final_snapshot_identifier is required when skip_final_snapshot is false"
    ):
        owned.delete(created)
    created = owned.update(created, {**inputs, "skipFinalSnapshot": True})
    owned.delete(created)


def test_database_name_with_special_characters_is_refused(owned: Client, group: str) -> None:
    with pytest.raises(Failed, match=r"DBName must begin with a letter"):
        owned.create(
            "aws:rds/instance:Instance", "named", {**instance(group), "dbName": "guest-book"}
        )


def test_incomplete_instance_is_refused(owned: Client) -> None:
    with pytest.raises(CheckFailed) as refused:
        owned.check("aws:rds/instance:Instance", "x", {"instanceClass": "db.t4g.micro"})
    assert {line.split(":")[0] for line in str(refused.value).splitlines()} == {
        "allocatedStorage",
        "engine",
        "username",
    }


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"allocatedStorage": 10}, "allocatedStorage: storage cannot shrink from 20 to 10 GiB"),
        ({"allocatedStorage": 30}, None),
        ({"engineVersion": "16.9"}, "engineVersion: Cannot upgrade postgres from 17.6 to 16.9"),
        ({"engineVersion": "17.5"}, "engineVersion: Cannot upgrade postgres from 17.6 to 17.5"),
        ({"engineVersion": "17"}, None),
        ({"engineVersion": "18.1"}, "requires allowMajorVersionUpgrade"),
        ({"engineVersion": "18.1", "allowMajorVersionUpgrade": True}, None),
    ],
)
def test_preview_refuses_changes_that_rds_refuses(
    owned: Client, group: str, change: dict[str, Any], problem: str | None
) -> None:
    token = "aws:rds/instance:Instance"
    inputs = {
        **instance(group),
        "identifier": "kept",
        "allocatedStorage": 20,
        "engineVersion": "17.6",
    }
    with pytest.raises(CheckFailed, match=problem) if problem else nullcontext():
        owned.check(token, "kept", {**inputs, **change}, inputs)


def test_subnet_group_ignores_the_order_of_subnets(owned: Client, subnets: list[str]) -> None:
    inputs = {"subnetIds": subnets, "tags": {"Name": "groups"}}
    created = owned.create("aws:rds/subnetGroup:SubnetGroup", "Groups", inputs)
    assert created.id.startswith("groups-")
    assert created.state["description"] == "Managed by Pulumi"
    settled(owned, created)
    imports(owned, created)
    assert changes(owned, created, {**inputs, "subnetIds": subnets[::-1]}) == []
    assert replaces(owned, created, {**inputs, "name": "other"}) == ["name"]
    owned.delete(created)
    assert owned.read(created) is None


def test_subnet_group_updates_in_place(owned: Client, boto: Boto, subnets: list[str]) -> None:
    created = owned.create("aws:rds/subnetGroup:SubnetGroup", "changing", {"subnetIds": subnets})
    created = owned.update(created, {"subnetIds": subnets, "description": "for databases"})
    live = boto("rds").describe_db_subnet_groups(DBSubnetGroupName=created.id)["DBSubnetGroups"][0]
    assert live["DBSubnetGroupDescription"] == "for databases"
    owned.delete(created)


def test_a_parameter_group_sets_parameters(owned: Client, boto: Boto) -> None:
    ssl = {"name": "rds.force_ssl", "value": "1", "applyMethod": "immediate"}
    inputs = {"family": "postgres17", "parameters": [ssl]}
    created = owned.create("aws:rds/parameterGroup:ParameterGroup", "strict", inputs)
    settled(owned, created)
    imports(owned, created)
    assert replaces(owned, created, {**inputs, "family": "postgres18"}) == ["family"]
    more = {"name": "log_statement", "value": "ddl", "applyMethod": "immediate"}
    created = owned.update(created, {**inputs, "parameters": [ssl, more]})
    result = boto("rds").describe_db_parameters(DBParameterGroupName=created.id, Source="user")[
        "Parameters"
    ]
    assert {p["ParameterName"]: p["ParameterValue"] for p in result} == {
        "rds.force_ssl": "1",
        "log_statement": "ddl",
    }
    settled(owned, created)
    owned.delete(created)
    assert owned.read(created) is None


def test_removed_parameter_is_reset(owned: Client, boto: Boto) -> None:
    ssl = {"name": "rds.force_ssl", "value": "1"}
    created = owned.create(
        "aws:rds/parameterGroup:ParameterGroup",
        "reset",
        {"family": "postgres17", "parameters": [ssl]},
    )
    created = owned.update(created, {"family": "postgres17"})
    assert (
        boto("rds").describe_db_parameters(DBParameterGroupName=created.id, Source="user")[
            "Parameters"
        ]
        == []
    )


def test_failed_instance_is_reported_with_the_reason(
    owned: Client, group: str, boto: Boto, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = DatabaseState(status="failed", reason="port 5432 is in use; set another port")
    monkeypatch.setattr(NullDatabaseHost, "state", lambda *_: failed)
    inputs = {**instance(group), "identifier": "broken"}
    with pytest.raises(
        Failed, match=r"DB instance broken became failed; .*: port 5432 is in use; set another port"
    ):
        owned.create("aws:rds/instance:Instance", "broken", inputs)
    monkeypatch.undo()
    boto("rds").delete_db_instance(DBInstanceIdentifier="broken", SkipFinalSnapshot=True)
