"""Database component: password, access and deletion."""

import pulumi
import pytest

from tests.components.factories import database, record
from tests.program.recording import RUNNING_ENGINE

INSTANCE = "aws:rds/instance:Instance"


def test_pulumi_does_not_know_the_password_and_tls_is_required() -> None:
    recording = record(lambda: database("one"))
    inputs = recording.one(INSTANCE, "one").inputs
    assert inputs["manageMasterUserPassword"] is True
    assert not {"password", "passwordWo"} & set(inputs)
    parameters = recording.one("aws:rds/parameterGroup:ParameterGroup", "one").inputs["parameters"]
    assert {"name": "rds.force_ssl", "value": "1"} in parameters


def test_only_the_client_security_group_may_connect() -> None:
    recording = record(lambda: database("one"))
    (rule,) = recording.all("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert rule.inputs["referencedSecurityGroupId"] == "sg-1"
    assert "cidrIpv4" not in rule.inputs


def test_protected_database_leaves_a_uniquely_named_snapshot() -> None:
    recording = record(
        lambda: database("one", protected=True), lambda: database("two", protected=False)
    )
    protected = recording.one(INSTANCE, "one").inputs
    assert protected["finalSnapshotIdentifier"] == "test-one-final-one"  # the key ID, shortened
    assert (protected["skipFinalSnapshot"], protected["applyImmediately"]) == (False, False)
    ephemeral = recording.one(INSTANCE, "two").inputs
    assert "finalSnapshotIdentifier" not in ephemeral
    assert (ephemeral["skipFinalSnapshot"], ephemeral["applyImmediately"]) == (True, True)


def test_looked_up_version_is_kept_in_later_runs() -> None:
    instance = record(lambda: database("one")).one(INSTANCE, "one")
    assert instance.inputs["engineVersion"] == "17.10"
    assert list(instance.request.ignoreChanges) == ["engineVersion"]


def test_pinned_version_is_applied() -> None:
    instance = record(lambda: database("one", engine_version="17.6")).one(INSTANCE, "one")
    assert instance.inputs["engineVersion"] == "17.6"
    assert list(instance.request.ignoreChanges) == []


def test_pinned_version_that_rds_does_not_offer_is_refused() -> None:
    with pytest.raises(pulumi.RunError) as caught:
        record(lambda: database("one", engine_version="17.99"))
    assert str(caught.value).startswith("one: RDS does not offer PostgreSQL 17.99: ")


@pytest.mark.parametrize(("running", "reported"), [("17.2", True), ("17.6", False)])
def test_stored_version_that_rds_retired_is_reported(
    monkeypatch: pytest.MonkeyPatch, running: str, reported: bool
) -> None:
    messages: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda message, *_: messages.append(message))
    monkeypatch.setitem(RUNNING_ENGINE, "version", running)
    record(lambda: database("one"))
    text = (
        "one: RDS no longer offers PostgreSQL 17.2, which this stack has stored. Upgrade it: "
        "pulumi config set --path 'platform:database.engine_version' 17.10"
    )
    assert messages == ([text] if reported else [])
