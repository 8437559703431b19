"""Pipeline component: projects and limits."""

import pytest

from tests.components.factories import pipeline, record

PROJECT = "aws:codebuild/project:Project"


def test_promoting_pipeline_has_a_promote_project_instead_of_a_build_project() -> None:
    recording = record(lambda: pipeline("one", promote_from="dev/image"))
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
