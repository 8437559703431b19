"""How a release goes: what each step may do, what it is told, and what holds it back."""

import json
import os
import re
import subprocess
from functools import partial
from pathlib import Path

import pytest
import yaml

from components.pipeline import Source
from components.workload import Exposure
from tests.components.makers import (
    made,
    pipeline,
    workload,
)

BUILDSPECS = Path("app/buildspecs")


def test_a_pipeline_that_promotes_builds_nothing() -> None:
    recording = made(lambda: pipeline("one", promote_from="dev/image"))
    names = {r.inputs["name"] for r in recording.all("aws:codebuild/project:Project")}
    assert names == {"test-one-test", "test-one-promote", "test-one-deploy", "test-one-verify"}
    stages = recording.one("aws:codepipeline/pipeline:Pipeline", "one").inputs["stages"]
    assert [stage["name"] for stage in stages] == ["Source", "Test", "Promote", "Approve", "Deploy"]


def test_every_buildspec_that_a_pipeline_names_is_there() -> None:
    for promote_from in (None, "dev/image"):
        for project in made(partial(pipeline, "one", promote_from=promote_from)).all("aws:codebuild/project:Project"):
            assert Path(project.inputs["source"]["buildspec"]).is_file()


def test_a_release_is_verified_from_an_address_that_the_way_in_is_open_to() -> None:
    """CodeBuild outside the VPC comes from addresses of Amazon's own, which no list of callers names."""
    exposure = Exposure(kind="load-balancer", allowed_cidrs=["203.0.113.0/24"], own_cidrs=["198.51.100.7/32"])
    recording = made(lambda: workload("one", exposure=exposure), lambda: pipeline("two"))
    service = recording.one("kubernetes:core/v1:Service", "one").inputs["spec"]
    assert service["loadBalancerSourceRanges"] == ["203.0.113.0/24", "198.51.100.7/32"]
    verify = recording.one("aws:codebuild/project:Project", "two-verify").inputs
    assert verify["vpcConfig"]["subnets"] == ["subnet-1"]


def test_a_service_inside_the_cluster_is_verified_through_the_kubernetes_api() -> None:
    recording = made(lambda: pipeline("one", url=None))
    entries = {entry.name for entry in recording.all("aws:eks/accessEntry:AccessEntry")}
    assert entries == {"one-deploy", "one-verify"}
    assert "eks:DescribeCluster" in recording.one("aws:iam/rolePolicy:RolePolicy", "one-verify").inputs["policy"]
    outside = made(lambda: pipeline("one"))
    assert {entry.name for entry in outside.all("aws:eks/accessEntry:AccessEntry")} == {"one-deploy"}
    assert "eks:DescribeCluster" not in outside.one("aws:iam/rolePolicy:RolePolicy", "one-verify").inputs["policy"]


def test_an_approval_may_use_the_key_of_the_topic_that_it_is_told_through() -> None:
    recording = made(lambda: pipeline("one"))
    statements = json.loads(recording.one("aws:iam/rolePolicy:RolePolicy", "one").inputs["policy"])["Statement"]
    (use,) = [statement for statement in statements if statement["Sid"] == "EncryptQuestions"]
    assert use["Resource"] == ["arn:aws:kms:us-east-1:123456789012:key/test"]
    assert use["Condition"] == {"StringEquals": {"kms:ViaService": "sns.us-east-1.amazonaws.com"}}


def test_builds_read_artifacts_and_the_pipeline_alone_writes_them() -> None:
    recording = made(lambda: pipeline("one"))
    writers = {
        policy.name
        for policy in recording.all("aws:iam/rolePolicy:RolePolicy")
        if "s3:PutObject" in policy.inputs["policy"]
    }
    assert writers == {"one", "one-source"}


def test_an_upload_that_names_no_encryption_gets_the_buckets_own() -> None:
    policy = made(lambda: pipeline("one")).one("aws:s3/bucketPolicy:BucketPolicy", "one").inputs["policy"]
    (other,) = [s for s in json.loads(policy)["Statement"] if s["Sid"] == "DenyOtherEncryption"]
    assert other["Condition"] == {
        "Null": {"s3:x-amz-server-side-encryption": "false"},
        "StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"},
    }


def test_promotion_copies_a_manifest_as_it_is() -> None:
    """Without the option, buildx wraps a single manifest in an index, and the digest is another."""
    assert "imagetools create --prefer-index=false" in Path("app/buildspecs/promote.yml").read_text(encoding="utf-8")


def test_each_alarm_holds_a_release_back_by_a_rule_of_its_own() -> None:
    stages = made(lambda: pipeline("one")).one("aws:codepipeline/pipeline:Pipeline", "one").inputs["stages"]
    deploy = stages[-1]
    for moment, names in (("beforeEntry", ["Quiet-1", "Quiet-2"]), ("onSuccess", ["Bake-1", "Bake-2"])):
        rules = deploy[moment]["condition"]["rules"]
        assert [rule["name"] for rule in rules] == names
        assert [rule["configuration"]["AlarmName"] for rule in rules] == ["unscheduled", "api-errors"]


def test_a_source_in_s3_is_named_by_its_content() -> None:
    recording = made(lambda: pipeline("one", source=Source(kind="s3")))
    stages = recording.one("aws:codepipeline/pipeline:Pipeline", "one").inputs["stages"]
    by_name = {stage["name"]: stage["actions"] for stage in stages}
    assert json.loads(by_name["Build"][0]["configuration"]["EnvironmentVariables"])[0]["value"] == "content"
    for action in by_name["Deploy"]:
        told = {entry["name"]: entry["value"] for entry in json.loads(action["configuration"]["EnvironmentVariables"])}
        assert told["COMMIT"] == "#{image.COMMIT}"


@pytest.mark.parametrize("file", sorted(BUILDSPECS.glob("*.yml")), ids=lambda file: file.stem)
def test_what_a_build_runs_is_bash(file: Path) -> None:
    phases = yaml.safe_load(file.read_text(encoding="utf-8"))["phases"]
    script = "\n".join(command for phase in phases.values() for command in phase["commands"])
    parsed = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (parsed.returncode, parsed.stderr) == (0, "")


@pytest.mark.parametrize("step", ["build", "promote"])
def test_a_source_without_a_commit_has_the_same_name_wherever_the_same_archive_is_released(
    step: str, tmp_path: Path
) -> None:
    document = yaml.safe_load((BUILDSPECS / f"{step}.yml").read_text(encoding="utf-8"))
    (naming,) = [c for c in document["phases"]["pre_build"]["commands"] if "sha256sum" in c]
    assert "COMMIT" in document["env"]["exported-variables"]

    def named(folder: str, text: str, commit: str = "content") -> str:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        (place / "a file.txt").write_text(text)
        script = f'set -euo pipefail\n{naming}\necho "$COMMIT"'
        environment = {**os.environ, "COMMIT": commit}
        return subprocess.run(
            ["bash", "-c", script], cwd=place, env=environment, check=True, capture_output=True, text=True
        ).stdout.strip()

    assert re.fullmatch("[0-9a-f]{40}", named("one", "text"))
    assert named("one", "text") == named("two", "text") != named("three", "other")
    assert named("one", "text", commit="abc") == "abc"
