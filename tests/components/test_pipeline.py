"""How a release goes: what each step may do, what it is told, and what holds it back."""

import json
import os
import re
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

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
    """Where the deploying stage isn't entered again by the roll-back that a ringing alarm asks for."""
    for approval, name in ((True, "Approve"), (False, "Build")):
        recording = made(partial(pipeline, "one", approval=approval))
        *_, before, deploy = recording.one("aws:codepipeline/pipeline:Pipeline", "one").inputs["stages"]
        assert (before["name"], deploy["name"]) == (name, "Deploy")
        for stage, result, names in (
            (before, "FAIL", ["Quiet-1", "Quiet-2"]),
            (deploy, "ROLLBACK", ["Bake-1", "Bake-2"]),
        ):
            condition = stage["onSuccess"]["condition"]
            assert condition["result"] == result
            assert [rule["name"] for rule in condition["rules"]] == names
            assert [rule["configuration"]["AlarmName"] for rule in condition["rules"]] == ["unscheduled", "api-errors"]
        assert "beforeEntry" not in deploy


def test_more_alarms_than_a_condition_holds_are_refused() -> None:
    with pytest.raises(ValueError) as caught:
        made(lambda: pipeline("one", alarm_names=list("abcdef")))
    assert str(caught.value) == "one: 6 alarms to watch; a condition of CodePipeline holds 5"


def test_a_connection_that_nobody_has_accepted_says_where_to_do_it() -> None:
    said: list[Any] = []

    def told(**changes: Any) -> Any:
        said.clear()

        def body() -> None:
            state = pipeline("one", **changes).connection
            said.append(state)
            if state is not None:
                state.apply(lambda text: said.__setitem__(0, text))

        made(body)
        return said[0]

    assert told() == (
        "PENDING: no release starts until one-physical is accepted once, by a person, at "
        "https://us-east-1.console.aws.amazon.com/codesuite/settings/connections?region=us-east-1"
    )
    given = "arn:aws:codeconnections:us-east-1:123456789012:connection/c"
    assert told(source=Source(kind="github", repository="a/b", branch="main", connection_arn=given)) is None
    assert told(source=Source(kind="s3")) is None


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


@pytest.mark.parametrize(
    ("page", "failures", "code", "said"),
    [
        ("sha256:new", 0, 0, "In 1 minutes after that, 0 of 12 questions were not answered in 2 s."),
        ("sha256:new", 1, 1, "http://one.test failed 1 of 1 times, or took longer than 2 s: not a release to keep."),
        ("sha256:old", 0, 1, "http://one.test doesn't answer as sha256:new."),
    ],
    ids=["well", "failing later", "another release"],
)
def test_a_release_is_asked_for_as_long_as_it_bakes(
    tmp_path: Path, page: str, failures: int, code: int, said: str
) -> None:
    document = yaml.safe_load((BUILDSPECS / "verify.yml").read_text(encoding="utf-8"))
    (script,) = document["phases"]["build"]["commands"]
    # Answers well at first, and fails as often as told where an answer may take two seconds: in the bake.
    curl = f"""case "$*" in *"--max-time 2 "*)
        echo . >> {tmp_path}/asked
        if [ "$(wc -l < {tmp_path}/asked)" -le {failures} ]; then exit 22; fi
    esac
    echo {page}"""
    for name, body in {"curl": curl, "sleep": ""}.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "URL": "http://one.test",
        "IMAGE_DIGEST": "sha256:new",
        "BAKE_MINUTES": "1",
    }
    ran = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, (ran.stdout + ran.stderr).splitlines()[-1]) == (code, said)


def test_a_verification_has_the_time_that_its_bake_takes() -> None:
    verify = made(lambda: pipeline("one", bake_minutes=60)).one("aws:codebuild/project:Project", "one-verify").inputs
    told = {entry["name"]: entry["value"] for entry in verify["environment"]["environmentVariables"]}
    assert (told["BAKE_MINUTES"], verify["buildTimeout"]) == ("60", 75)


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
