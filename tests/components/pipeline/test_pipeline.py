"""Pipeline component: projects and limits."""

import json
from functools import partial
from typing import Any

import pytest

from settings.sections import AcceptedFinding, Admission, Source
from tests.components.factories import pipeline, record
from tests.program.recording import Recording

GITHUB: dict[str, Any] = {"kind": "github", "repository": "a/b"}
PROJECT = "aws:codebuild/project:Project"


def test_promoting_pipeline_has_a_promote_project_instead_of_a_build_project() -> None:
    recording = record(
        lambda: pipeline("one", promote_from="dev/image", source=Source(**GITHUB, tags=("v*",)))
    )
    assert {project.inputs["name"] for project in recording.all(PROJECT)} == {
        "test-one-test",
        "test-one-promote",
        "test-one-deploy",
        "test-one-verify",
    }


def test_verification_runs_in_the_vpc() -> None:
    """The service admits the VPC's addresses, not those of CodeBuild."""
    verify = record(lambda: pipeline("one")).one(PROJECT, "one-verify").inputs
    assert verify["vpcConfig"]["subnets"] == ["subnet-1"]


def test_timeout_of_the_verification_includes_the_bake() -> None:
    verify = record(lambda: pipeline("one", bake_minutes=60)).one(PROJECT, "one-verify").inputs
    variables = {
        entry["name"]: entry["value"] for entry in verify["environment"]["environmentVariables"]
    }
    assert (variables["BAKE_MINUTES"], verify["buildTimeout"]) == ("60", 75)


def test_more_alarms_than_a_condition_holds_are_refused() -> None:
    with pytest.raises(ValueError) as caught:
        record(lambda: pipeline("one", alarm_names=list("abcdef")))
    assert str(caught.value) == "one: a condition of CodePipeline holds 5 alarms, not 6"


def test_images_are_signed_only_by_request_and_where_they_are_built() -> None:
    unsigned = Admission(signature=False)
    for changes in ({"promote_from": "dev/image"}, {"admission": unsigned}):
        projects = record(partial(pipeline, "one", **changes)).all(PROJECT)
        assert "one-sign" not in {project.name for project in projects}
    recording = record(lambda: pipeline("one", admission=unsigned))
    variables = environment(recording, "one-deploy")
    assert (variables["SIGNING_KEY"], environment(recording, "one-build")["SBOM_GENERATOR"]) == (
        "",
        "",
    )
    keys = {key.name for key in recording.all("aws:kms/key:Key")}
    assert keys == {"one"}


def test_deploy_build_gets_threshold_and_accepted_findings() -> None:
    finding = AcceptedFinding(id="CVE-2026-12345", reason="not reachable", until="2026-12-31")
    rules = Admission(scan="high", accepted_findings=(finding,))
    variables = environment(record(lambda: pipeline("one", admission=rules)), "one-deploy")
    assert variables["SCAN"] == "HIGH"
    assert json.loads(variables["ACCEPTED_FINDINGS"]) == [finding.model_dump()]


def test_pull_requests_against_the_branch_start_a_pipeline_of_their_own() -> None:
    source = Source(**GITHUB, branch="main", paths=("app/**",), pull_requests=True)
    recording = record(lambda: pipeline("one", source=source))
    checked = recording.one("aws:codepipeline/pipeline:Pipeline", "one-pull-request").inputs
    assert [stage["name"] for stage in checked["stages"]] == ["Source", "Check"]
    filters = {"branches": {"includes": ["main"]}, "filePaths": {"includes": ["app/**"]}}
    (trigger,) = checked["triggers"]
    assert trigger["gitConfiguration"] == {
        "sourceActionName": "Source",
        "pullRequests": [{"events": ["OPEN", "UPDATED"], **filters}],
    }
    (trigger,) = recording.one("aws:codepipeline/pipeline:Pipeline", "one").inputs["triggers"]
    assert trigger["gitConfiguration"]["pushes"] == [filters]
    assert "REPOSITORY_URL" not in environment(recording, "one-pull-request")


def environment(recording: Recording, project: str) -> dict[str, str]:
    """Variables of a project."""
    entries = recording.one(PROJECT, project).inputs["environment"]["environmentVariables"]
    return {entry["name"]: entry["value"] for entry in entries}
