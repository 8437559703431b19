"""Batches of builds: graphs, lists, matrices, and what is refused."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.builds.batches import tasks_of
from sandbox.builds.buildspec import parse_batch
from sandbox.builds.errors import PhaseError
from tests.sandbox.builds.conftest import Builds

SAMPLES = Path(__file__).with_name("public_buildspecs")
OTHER = "version: 0.2\nphases: {build: {commands: [echo other]}}\n"
SLOW = """
version: 0.2
batch:
  fast-fail: true
  build-list:
    - {identifier: fails, env: {variables: {COMMAND: "false"}}}
    - {identifier: waits, env: {variables: {COMMAND: sleep 60}}}
phases: {build: {commands: [$COMMAND]}}
"""


class Batches:
    """Starts batches, and reads their builds."""

    def __init__(self, builds: Builds) -> None:
        self.builds = builds
        self.client = builds.client("codebuild")
        self.role = builds.new_role(["codebuild:StartBuild", "codebuild:StopBuild"])
        self.source = builds.upload("batch.zip", {"other_buildspec.yml": OTHER})

    def start(self, buildspec: str, **config: Any) -> str:
        project = self.builds.project(
            "",
            source={"type": "S3", "location": self.source, "buildspec": buildspec},
            buildBatchConfig={"serviceRole": self.role, **config},
        )
        return str(self.client.start_build_batch(projectName=project)["buildBatch"]["id"])

    def sample(self, name: str) -> str:
        return self.start((SAMPLES / f"{name}.yml").read_text())

    def get(self, id: str) -> dict[str, Any]:
        [batch] = self.client.batch_get_build_batches(ids=[id])["buildBatches"]
        return dict(batch)

    def ended(self, id: str) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while not (batch := self.get(id))["complete"]:
            assert time.monotonic() < deadline, batch
            time.sleep(0.05)
        return batch

    def build(self, batch: dict[str, Any], identifier: str) -> dict[str, Any]:
        [group] = [g for g in batch["buildGroups"] if g["identifier"] == identifier]
        return self.builds.get(group["currentBuildSummary"]["arn"].rpartition("build/")[2])

    def output(self, batch: dict[str, Any], identifier: str) -> list[str]:
        lines = self.builds.log(self.build(batch, identifier))
        return [line for line in lines if not line.startswith("[Container]")]


@pytest.fixture(scope="module")
def batches(builds: Builds) -> Batches:
    return Batches(builds)


def test_graph_runs_builds_after_their_dependencies(batches: Batches) -> None:
    batch = batches.ended(batches.sample("batch_graph"))
    assert batch["buildBatchStatus"] == "SUCCEEDED", batch
    assert batches.output(batch, "build1") == ["I am build1, build1"]
    assert batches.output(batch, "build2") == ["other"]
    assert batches.output(batch, "build3") == ["I am build3, build3"]
    first, third = batches.build(batch, "build1"), batches.build(batch, "build3")
    assert first["endTime"] <= third["startTime"]
    assert third["environment"]["computeType"] == "BUILD_GENERAL1_LARGE"
    assert third["buildBatchArn"] == batch["arn"]
    phases = [phase["phaseType"] for phase in batch["phases"]]
    assert phases == ["SUBMITTED", "DOWNLOAD_BATCHSPEC", "IN_PROGRESS", "SUCCEEDED"]


def test_ignored_failure_leaves_the_batch_successful(batches: Batches) -> None:
    batch = batches.ended(batches.sample("batch_list"))
    assert batch["buildBatchStatus"] == "SUCCEEDED"
    assert batches.build(batch, "fails")["buildStatus"] == "FAILED"


def test_matrix_builds_each_combination(batches: Batches) -> None:
    batch = batches.ended(batches.sample("batch_matrix"))
    assert batch["buildBatchStatus"] == "SUCCEEDED"
    outputs = [batches.output(batch, group["identifier"])[0] for group in batch["buildGroups"]]
    assert sorted(outputs) == [
        f"{dialect} on aws/codebuild/{image}"
        for dialect in ("one", "two")
        for image in ("amazonlinux-x86_64-standard:5.0", "standard:7.0")
    ]


def test_fast_fail_stops_running_builds(batches: Batches) -> None:
    batch = batches.ended(batches.start(SLOW))
    assert batch["buildBatchStatus"] == "FAILED"
    assert batches.build(batch, "waits")["buildStatus"] == "STOPPED"


def test_stop_ends_the_builds(batches: Batches) -> None:
    id = batches.start(SLOW.replace("fast-fail: true", "fast-fail: false"))
    deadline = time.monotonic() + 30
    while len(groups := batches.get(id)["buildGroups"]) < 2 or not all(
        "currentBuildSummary" in group for group in groups
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    batches.client.stop_build_batch(id=id)
    batch = batches.ended(id)
    assert batch["buildBatchStatus"] == "STOPPED"
    assert batches.build(batch, "waits")["buildStatus"] == "STOPPED"
    assert id in batches.client.list_build_batches()["ids"]
    batches.client.delete_build_batch(id=id)
    assert batches.client.batch_get_build_batches(ids=[id])["buildBatchesNotFound"] == [id]


def test_role_without_start_build_fails_the_batch(batches: Batches) -> None:
    role = batches.builds.new_role(["s3:GetObject"])
    batch = batches.ended(batches.start(SLOW, serviceRole=role))
    assert batch["buildBatchStatus"] == "FAILED"
    [context] = batch["phases"][-2]["contexts"]
    assert "is not authorized to perform: codebuild:StartBuild" in context["message"]


def test_more_builds_than_allowed_fail_the_batch(batches: Batches) -> None:
    batch = batches.ended(batches.start(SLOW, restrictions={"maximumBuildsAllowed": 1}))
    assert batch["phases"][1]["contexts"][0]["message"] == "the batch has 2 builds; 1 are allowed"


def test_project_without_batch_role_is_refused(batches: Batches) -> None:
    project = batches.builds.project(SLOW)
    with pytest.raises(ClientError, match="Batch service role is required"):
        batches.client.start_build_batch(projectName=project)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{build-list: [{identifier: a, depend-on: [b]}]}", "depend-on of a is unknown: b"),
        (
            "{build-graph: [{identifier: a, depend-on: [b]}, {identifier: b, depend-on: [a]}]}",
            "depend-on of a is circular",
        ),
        ("{build-fanout: {parallelism: 2}}", "build-fanout is not emulated by the sandbox"),
        ("{build-list: [{identifer: a}]}", "unknown key build-list.0.identifer"),
        ("{build-list: [{identifier: a}, {identifier: a}]}", "must be unique"),
        ("{fast-fail: yes}", "one of build-graph, build-list and build-matrix"),
    ],
)
def test_invalid_batch_is_refused(text: str, message: str) -> None:
    with pytest.raises(PhaseError, match=message):
        tasks_of(parse_batch(f"version: 0.2\nbatch: {text}\n"))
