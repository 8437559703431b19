"""The journal: replay, damage, determinism."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.account import JournalError
from tests.sandbox.account.conftest import World, refused


def rewrite(journal: Path, number: int, **changes: Any) -> None:
    """Change an entry of the journal."""
    lines = journal.read_text().splitlines()
    lines[number] = json.dumps(json.loads(lines[number]) | changes)
    journal.write_text("\n".join(lines) + "\n")


@pytest.fixture
def journal(start: Callable[..., World], tmp_path: Path) -> Path:
    """The journal of an account with a VPC and a topic."""
    world = start()
    world.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")
    world.client("sns").create_topic(Name="t")
    world.account.stop()
    return tmp_path / "account" / "journal.jsonl"


def test_replay_with_other_identifiers_is_refused(
    start: Callable[..., World], journal: Path
) -> None:
    before = journal.read_bytes()
    rewrite(journal, 0, seed="another")
    changed = journal.read_bytes()
    with pytest.raises(
        JournalError, match=r"request 1 .* ec2:CreateVpc, originally returned \S+, and does not now"
    ):
        start()
    assert journal.read_bytes() == changed != before


def test_replay_with_a_failing_request_is_refused(
    start: Callable[..., World], journal: Path
) -> None:
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    rewrite(journal, 1, body=entries[0]["body"])
    with pytest.raises(JournalError, match=r"request 2 .* succeeded originally and fails now"):
        start()


def test_damaged_line_is_reported_with_its_number(
    start: Callable[..., World], journal: Path
) -> None:
    journal.write_text("half a line\n" + journal.read_text())
    with pytest.raises(JournalError, match="line 1, is damaged"):
        start()


def test_incomplete_last_line_is_truncated(start: Callable[..., World], journal: Path) -> None:
    journal.write_text(journal.read_text() + '{"moment": 17')
    assert [
        item["Name"] for item in start().client("sns").list_topics()["Topics"] if "Name" in item
    ] == []
    assert journal.read_text().endswith("}\n")


def test_managed_password_is_the_same_after_a_restart(start: Callable[..., World]) -> None:
    world = start()
    _, subnets = world.network()
    world.client("rds").create_db_subnet_group(
        DBSubnetGroupName="g", DBSubnetGroupDescription="g", SubnetIds=subnets
    )
    world.client("rds").create_db_instance(
        DBInstanceIdentifier="d",
        Engine="postgres",
        DBInstanceClass="db.t4g.micro",
        MasterUsername="owner",
        ManageMasterUserPassword=True,
        AllocatedStorage=20,
        DBSubnetGroupName="g",
    )
    (before,) = world.client("secretsmanager").list_secrets()["SecretList"]
    (after,) = start().client("secretsmanager").list_secrets()["SecretList"]
    assert (after["ARN"], after["SecretVersionsToStages"]) == (
        before["ARN"],
        before["SecretVersionsToStages"],
    )


def test_key_material_is_the_same_after_a_restart(
    start: Callable[..., World], tmp_path: Path
) -> None:
    world = start()
    world.client("kms").list_keys()  # not in the journal
    key = world.client("kms").create_key()["KeyMetadata"]["KeyId"]
    sealed = world.client("kms").encrypt(KeyId=key, Plaintext=b"still readable")["CiphertextBlob"]
    world.account.stop()
    # Another process, in which this creation is the service's first request.
    command = [sys.executable, "-m", "sandbox.account", "--directory", str(tmp_path / "account")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        again = World(world.account, json.loads(process.stdout.readline())["url"]).client("kms")
        try:
            assert again.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"still readable"
        finally:
            process.kill()


def test_request_without_space_in_the_journal_is_not_applied(
    start: Callable[..., World], journal: Path
) -> None:
    world = start()
    before, limits = journal.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (len(before) + 50, limits[1])
    )  # simulates a full disk
    try:
        for _ in range(2):  # all later requests are refused
            with refused("SandboxUnavailable", "journal cannot be written"):
                world.client("sns").create_topic(Name="u")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert journal.read_bytes() == before
    with pytest.raises(urllib.error.HTTPError, match="503"):
        world.admin("GET", "health")
    world.account.stop()
    topics = start().client("sns").list_topics()["Topics"]
    assert [topic["TopicArn"].rpartition(":")[2] for topic in topics] == ["t"]
