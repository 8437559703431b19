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

from sandbox.account import Account, JournalError
from sandbox.account.core.journal import Journal
from tests.sandbox.account.conftest import World, refused


def entries(journal: Path) -> list[dict[str, Any]]:
    """Return the entries of a journal, without number, length and checksum."""
    return [json.loads("{" + line.partition("{")[2]) for line in journal.read_text().splitlines()]


def rewrite(journal: Path, number: int, **changes: Any) -> None:
    """Change an entry; write the journal without checksums, as older versions did."""
    lines = entries(journal)
    lines[number] |= changes
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))


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
    rewrite(journal, 1, body=entries(journal)[0]["body"])
    with pytest.raises(JournalError, match=r"request 2 .* succeeded originally and fails now"):
        start()


def written(directory: Path) -> Path:
    """Write a journal of ten requests, one a second from 2026-01-01 00:00:01 on."""
    journal = Journal(directory)
    for second in range(1, 11):
        environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/"}
        journal.append(journal.entry(1767225600 + second, "seed", 0.0, environ, bytes(100)))
    journal.close()
    return directory / "journal.jsonl"


def halve(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[: journal.stat().st_size // 2])


def drop_last_line(journal: Path) -> None:
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-1]))


def flip(journal: Path) -> None:
    content = bytearray(journal.read_bytes())
    content[len(content) // 4] ^= 1
    journal.write_bytes(content)


def replace_by_directory(journal: Path) -> None:
    journal.unlink()
    journal.mkdir()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            halve,
            "5 of its 10 requests are lost, the first is number 6, "
            "after 2026-01-01 00:00:05 UTC, until 2026-01-01 00:00:10 UTC",
        ),
        (drop_last_line, "1 of its 10 requests are lost, the first is number 10, after"),
        (
            flip,
            "1 of its 10 requests are lost, the first is number 3, "
            "after 2026-01-01 00:00:02 UTC, until 2026-01-01 00:00:04 UTC",
        ),
        (lambda path: path.write_bytes(b""), "10 of its 10 requests are lost"),
        (lambda path: path.unlink(), "10 of its 10 requests are lost"),
        (replace_by_directory, "cannot be read: Is a directory"),
    ],
    ids=["halved", "last line", "flipped bit", "empty", "deleted", "directory"],
)
def test_damaged_journal_is_refused_with_the_number_of_lost_requests(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(written(tmp_path))
    with pytest.raises(JournalError, match=message) as refusal:
        list(Journal(tmp_path))
    assert refusal.value.damaged


@pytest.mark.parametrize("content", ["", "nonsense", "000000000099 1790000000.000000 0123"])
def test_damaged_count_of_requests_loses_nothing(tmp_path: Path, content: str) -> None:
    written(tmp_path).with_name("journal.end").write_text(content)
    assert len(list(Journal(tmp_path))) == 10


def test_changed_body_of_a_large_request_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    entry = journal.entry(0.0, "seed", 0.0, {}, bytes(40_000))
    assert journal.body(entry) == bytes(40_000)
    (blob,) = (tmp_path / "blobs").iterdir()
    blob.write_bytes(bytes(39_999))
    with pytest.raises(JournalError, match=r"is damaged: its SHA-256 is another"):
        journal.body(entry)


def test_repair_keeps_requests_that_do_not_depend_on_lost_ones(
    start: Callable[..., World], tmp_path: Path
) -> None:
    world = start()
    vpc = world.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    world.client("sns").create_topic(Name="kept")
    world.client("ec2").create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")
    world.account.stop()
    journal = tmp_path / "account" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text(lines[0].replace("CreateVpc", "CreateVpx") + "".join(lines[1:]))
    repair = Account(tmp_path / "account").repair()
    assert (repair.kept, repair.lost, repair.dependent) == (1, 1, 1)
    assert Path(repair.former).read_text().count("\n") == 3
    topics = start().client("sns").list_topics()["Topics"]
    assert [item["TopicArn"].rpartition(":")[2] for item in topics] == ["kept"]


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


def test_bucket_of_access_logs_is_deleted_again_after_a_restart(
    start: Callable[..., World],
) -> None:
    world = start()
    s3 = world.client("s3")
    for name in ("logs", "data"):
        s3.create_bucket(Bucket=name)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::logs/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s3.put_bucket_policy(Bucket="logs", Policy=policy)
    target = {"LoggingEnabled": {"TargetBucket": "logs", "TargetPrefix": ""}}
    s3.put_bucket_logging(Bucket="data", BucketLoggingStatus=target)
    s3.put_object(Bucket="data", Key="a", Body=b"a")
    s3.delete_object(Bucket="data", Key="a")
    for item in s3.list_objects_v2(Bucket="logs").get("Contents", ()):
        s3.delete_object(Bucket="logs", Key=item["Key"])
    s3.delete_bucket(Bucket="logs")
    world.account.stop()
    assert [item["Name"] for item in start().client("s3").list_buckets()["Buckets"]] == ["data"]


def test_late_records_create_log_groups_again_also_after_a_restart(
    start: Callable[..., World],
) -> None:
    world = start()
    world.admin("POST", "late-log-records", {"enabled": True})
    logs = world.client("logs")
    names = ("/aws/eks/one/cluster", "/aws/rds/instance/one/postgresql", "/aws/eks/one/other")
    for name in names:
        logs.create_log_group(logGroupName=name, tags={"team": "one"})
        logs.put_retention_policy(logGroupName=name, retentionInDays=7)
        logs.delete_log_group(logGroupName=name)
    groups = logs.describe_log_groups()["logGroups"]
    assert sorted(group["logGroupName"] for group in groups) == [*names[:2]]
    assert not any("retentionInDays" in group for group in groups)
    world.account.stop()
    assert start().client("logs").describe_log_groups()["logGroups"] == groups


def test_late_records_are_off_unless_requested(world: World) -> None:
    logs = world.client("logs")
    logs.create_log_group(logGroupName="/aws/eks/one/cluster")
    logs.delete_log_group(logGroupName="/aws/eks/one/cluster")
    assert logs.describe_log_groups()["logGroups"] == []
    with pytest.raises(urllib.error.HTTPError):
        world.admin("POST", "late-log-records", {"on": True})
