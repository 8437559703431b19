"""Which pushes start a pipeline, and what an execution reads from a connected repository."""

from __future__ import annotations

import io
import json
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sandbox.contracts.pipeline_runner import PipelineFacts
from sandbox.pipelines import AccountClients, PushWatcher, RepositoryError, SourcePoller
from sandbox.pipelines.glob_patterns import selects
from sandbox.pipelines.triggers import Push, started_by
from tests.sandbox.pipelines.conftest import PIPELINE, SOURCE, World, stage

REPOSITORY = "example/platform"
ZEROS, OLD, NEW = "0" * 40, "1" * 40, "2" * 40


def source(arn: str = "arn:aws:codeconnections:us-east-1:123456789012:connection/1") -> Any:
    kind = {
        "category": "Source",
        "owner": "AWS",
        "provider": "CodeStarSourceConnection",
        "version": "1",
    }
    return {
        "name": "Source",
        "actions": [
            {
                "name": "Fetch",
                "actionTypeId": kind,
                "namespace": "source",
                "outputArtifacts": [{"name": "source"}],
                "configuration": {
                    "ConnectionArn": arn,
                    "FullRepositoryId": REPOSITORY,
                    "BranchName": "main",
                    "DetectChanges": "false",
                },
            }
        ],
    }


def triggers(**git: Any) -> list[dict[str, Any]]:
    return [
        {
            "providerType": "CodeStarSourceConnection",
            "gitConfiguration": {"sourceActionName": "Fetch", **git},
        }
    ]


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("main", "main", True),
        ("main", "main2", False),
        ("v*", "v1.2", True),
        ("feature/*", "feature/a", True),
        ("feature/*", "feature/a/b", False),
        ("feature/**", "feature/a/b", True),
        ("**", "feature/a/b", True),
        ("v?", "v1", True),
        ("v?", "v12", False),
        ("v[0-9]", "v7", True),
        ("v[!0-9]", "v7", False),
        ("{dev,main}", "dev", True),
        ("{dev,main}", "prod", False),
        ("a.b", "axb", False),
        ("\\*", "*", True),
        ("\\*", "a", False),
    ],
)
def test_glob_pattern(pattern: str, value: str, matches: bool) -> None:
    assert selects({"includes": [pattern]}, value) is matches
    assert selects({"excludes": [pattern]}, value) is not matches


PUSH_MAIN = {"push": [{"branches": {"includes": ["main"]}}]}
TAGS = {"push": [{"tags": {"includes": ["v*"], "excludes": ["*-rc*"]}}]}
PATHS = {
    "push": [
        {
            "branches": {"includes": ["main"]},
            "filePaths": {"includes": ["app/**"], "excludes": ["**.md"]},
        }
    ]
}
PULLS = {"pullRequest": [{"events": ["OPEN", "UPDATED"], "branches": {"includes": ["main"]}}]}


@pytest.mark.parametrize(
    ("trigger", "reference", "old", "new", "files", "starts"),
    [
        (PUSH_MAIN, "refs/heads/main", OLD, NEW, [], True),
        (PUSH_MAIN, "refs/heads/main", OLD, ZEROS, [], False),
        (PUSH_MAIN, "refs/heads/other", OLD, NEW, [], False),
        (PUSH_MAIN, "refs/tags/main", OLD, NEW, [], False),
        (PUSH_MAIN, "refs/pull/1/main", ZEROS, NEW, [], False),
        (TAGS, "refs/tags/v1", ZEROS, NEW, [], True),
        (TAGS, "refs/tags/v1-rc1", ZEROS, NEW, [], False),
        (TAGS, "refs/heads/v1", ZEROS, NEW, [], False),
        (PATHS, "refs/heads/main", OLD, NEW, ["app/a.py", "README.md"], True),
        (PATHS, "refs/heads/main", OLD, NEW, ["app/README.md"], False),
        (PATHS, "refs/heads/main", OLD, NEW, ["docs/a.py"], False),
        (PULLS, "refs/pull/1/main", ZEROS, NEW, [], True),
        (PULLS, "refs/pull/1/main", OLD, NEW, [], True),
        (PULLS, "refs/pull/1/main", OLD, ZEROS, [], False),
        (PULLS, "refs/pull/1/other", ZEROS, NEW, [], False),
        (PULLS, "refs/heads/main", OLD, NEW, [], False),
        ({}, "refs/heads/main", OLD, NEW, [], True),
        ({}, "refs/heads/other", OLD, NEW, [], False),
    ],
)
def test_trigger(
    trigger: dict[str, Any], reference: str, old: str, new: str, files: list[str], starts: bool
) -> None:
    definition = {"stages": [source()], "triggers": triggers(**trigger)}
    arn = "arn:aws:codepipeline:us-east-1:123456789012:release"
    push = Push(repository=REPOSITORY, reference=reference, old=old, new=new)
    orders = started_by(PipelineFacts(arn=arn, definition=definition), push, lambda: files)
    assert len(orders) == starts
    for order in orders:
        assert order.revisions == {"Fetch": new}
        assert json.loads(order.trigger[1])["commitId"] == new


def git(directory: Path, *arguments: str) -> str:
    identity = {"NAME": "Ann", "EMAIL": "ann@example.com"}
    environment = os.environ | {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in identity.items()
    }
    ran = subprocess.run(
        ["git", *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def commit(clone: Path, content: str) -> str:
    (clone / "content.txt").write_text(content)
    git(clone, "add", ".")
    git(clone, "commit", "-qm", f"Write {content}")
    return git(clone, "rev-parse", "HEAD")


class Connected:
    """A pipeline that reads through a connection, a clone, and the watcher of pushes."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        connections = world.client("codeconnections")
        self.arn = connections.create_connection(ConnectionName="c", ProviderType="GitHub")[
            "ConnectionArn"
        ]
        self.remote = world.repositories.create(REPOSITORY)
        self.clone = directory / "clone"
        self.clone.mkdir()
        git(self.clone, "init", "-q", "-b", "main")
        clients = AccountClients(lambda: world.account.url)
        self.watcher = PushWatcher(world.repositories, world.runner, clients)

    def accept(self) -> None:
        import urllib.request

        body = json.dumps({"connection": self.arn}).encode()
        url = f"{self.world.account.url}/_sandbox/handshake"
        urllib.request.urlopen(urllib.request.Request(url, data=body)).close()

    def push(self, *arguments: str) -> None:
        git(self.clone, "push", "-q", str(self.remote), *arguments)
        self.watcher.handle_reported()


@pytest.fixture
def connected(world: World, tmp_path: Path) -> Connected:
    return Connected(world, tmp_path)


def test_push_starts_the_pipeline_with_its_commit(world: World, connected: Connected) -> None:
    connected.accept()
    first = world.create(
        stage("Build"), source=source(connected.arn), triggers=triggers(**PUSH_MAIN)
    )
    world.ended(first, "Failed")
    assert "branch main does not exist" in world.error(first, "Fetch")["message"]
    id = commit(connected.clone, "one")
    connected.push("main")
    execution = world.ended(world.ids()[0], "Succeeded")
    assert execution["trigger"]["triggerType"] == "WebhookV2"
    assert execution["artifactRevisions"][0]["revisionId"] == id
    assert execution["artifactRevisions"][0]["revisionSummary"] == "Write one"
    detail = world.action(execution["pipelineExecutionId"], "Fetch")
    variables = detail["output"]["outputVariables"]
    assert variables["CommitId"] == id
    assert variables["BranchName"] == "main"
    assert variables["FullRepositoryName"] == REPOSITORY
    location = detail["output"]["outputArtifacts"][0]["s3location"]
    stored = world.client("s3").get_object(Bucket=location["bucket"], Key=location["key"])
    with zipfile.ZipFile(io.BytesIO(stored["Body"].read())) as archive:
        assert archive.read("content.txt") == b"one"
    connected.push("main:other")
    assert len(world.ids()) == 2


def test_pending_connection_starts_and_reads_nothing(world: World, connected: Connected) -> None:
    commit(connected.clone, "one")
    first = world.create(
        stage("Build"), source=source(connected.arn), triggers=triggers(**PUSH_MAIN)
    )
    world.ended(first, "Failed")
    message = world.error(first, "Fetch")["message"]
    assert "is PENDING, not AVAILABLE; `sandbox connection accept` completes it" in message
    connected.push("main")
    assert world.ids() == [first]


def test_role_without_use_connection_is_denied(world: World, connected: Connected) -> None:
    connected.accept()
    commit(connected.clone, "one")
    connected.push("main")
    world.client("iam").delete_role_policy(RoleName="pipeline", PolicyName="connections")
    first = world.create(stage("Build"), source=source(connected.arn))
    world.ended(first, "Failed")
    error = world.error(first, "Fetch")
    assert error["code"] == "PermissionError"
    assert "codeconnections:UseConnection" in error["message"]


def test_repository_name_that_leaves_the_directory_is_refused(world: World) -> None:
    for name in ("..", "../x", "owner/..", "plain"):
        with pytest.raises(RepositoryError):
            world.repositories.path(name)


def test_uploaded_object_starts_the_pipeline_through_eventbridge(world: World) -> None:
    world.create(stage("Build"))
    world.client("s3").put_bucket_notification_configuration(
        Bucket=SOURCE, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [SOURCE]}, "object": {"key": ["source.zip"]}},
    }
    events = world.client("events")
    events.put_rule(Name="upload", EventPattern=json.dumps(pattern))
    arn = f"arn:aws:codepipeline:us-east-1:123456789012:{PIPELINE}"
    role = "arn:aws:iam::123456789012:role/trigger"
    world.role("trigger", "events.amazonaws.com", {})
    events.put_targets(Rule="upload", Targets=[{"Id": "p", "Arn": arn, "RoleArn": role}])
    world.upload("not permitted")
    assert len(world.ids()) == 1
    start = {"Action": "codepipeline:StartPipelineExecution", "Resource": arn}
    world.grant("trigger", "start", start)
    version = world.upload("second")
    world.client("s3").put_object(Bucket=SOURCE, Key="other.zip", Body=b"")
    assert len(world.ids()) == 2
    execution = world.ended(world.ids()[0], "Succeeded")
    assert execution["trigger"]["triggerType"] == "CloudWatchEvent"
    assert execution["artifactRevisions"][0]["revisionId"] == version


def test_polled_object_starts_an_execution_for_each_new_version(world: World) -> None:
    world.ended(world.create(stage("Build")), "Succeeded")
    poller = SourcePoller(world.runner, AccountClients(lambda: world.account.url))
    poller.poll()
    assert len(world.ids()) == 1
    version = world.upload("second")
    poller.poll()
    [newest, _] = world.summaries()
    poller.poll()  # the execution may not have read the object yet
    assert len(world.ids()) == 2
    assert newest["trigger"]["triggerType"] == "PollForSourceChanges"
    world.ended(newest["pipelineExecutionId"], "Succeeded")
    [newest, _] = world.summaries()
    assert newest["sourceRevisions"][0]["revisionId"] == version
    poller.poll()
    assert len(world.ids()) == 2
