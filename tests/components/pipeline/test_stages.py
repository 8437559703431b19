"""Stages of a release and their conditions."""

import json
from functools import partial
from typing import Any

import pytest

from settings.sections import Source
from tests.components.factories import pipeline, record


def stages_of(**changes: Any) -> list[dict[str, Any]]:
    recording = record(partial(pipeline, "one", **changes))
    stages: list[dict[str, Any]] = recording.one(
        "aws:codepipeline/pipeline:Pipeline", "one"
    ).inputs["stages"]
    return stages


def test_promoting_pipeline_has_a_promote_stage_instead_of_a_build_stage() -> None:
    names = [stage["name"] for stage in stages_of(promote_from="dev/image")]
    assert names == ["Source", "Test", "Promote", "Approve", "Deploy"]


@pytest.mark.parametrize(("approval", "name"), [(True, "Approve"), (False, "Sign")])
def test_alarms_gate_the_stage_before_the_deploy_stage(approval: bool, name: str) -> None:
    """A rollback enters the deploy stage again while an alarm is active."""
    *_, gated, deploy = stages_of(approval=approval)
    assert (gated["name"], deploy["name"]) == (name, "Deploy")
    for stage, result, rules in (
        (gated, "FAIL", ["Quiet-1", "Quiet-2"]),
        (deploy, "ROLLBACK", ["Bake-1", "Bake-2"]),
    ):
        condition = stage["onSuccess"]["condition"]
        assert condition["result"] == result
        assert [rule["name"] for rule in condition["rules"]] == rules
        alarms = [rule["configuration"]["AlarmName"] for rule in condition["rules"]]
        assert alarms == ["unscheduled", "api-errors"]
    assert "beforeEntry" not in deploy


def test_commit_of_an_s3_source_is_its_content() -> None:
    actions = {stage["name"]: stage["actions"] for stage in stages_of(source=Source(kind="s3"))}
    (variable,) = json.loads(actions["Build"][0]["configuration"]["EnvironmentVariables"])
    assert variable["value"] == "content"
    for action in actions["Deploy"]:
        entries = json.loads(action["configuration"]["EnvironmentVariables"])
        variables = {entry["name"]: entry["value"] for entry in entries}
        assert variables["COMMIT"] == "#{image.COMMIT}"


def configuration(stages: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Configuration of a stage's first action."""
    (stage,) = [stage for stage in stages if stage["name"] == name]
    content: dict[str, Any] = stage["actions"][0]["configuration"]
    return content


def test_approval_shows_commit_author_digest_and_what_runs() -> None:
    approval = configuration(stages_of(), "Approve")
    assert approval["CustomData"] == (
        "Release commit #{image.COMMIT} by #{source.AuthorDisplayName} as image "
        "#{image.IMAGE_DIGEST}? Running: #{image.RUNNING}, at http://guestbook.test"
    )
    assert approval["ExternalEntityLink"] == "#{image.COMPARE_URL}"
    approval = configuration(stages_of(source=Source(kind="s3")), "Approve")
    assert "#{source" not in approval["CustomData"]
    assert approval["ExternalEntityLink"] == "http://guestbook.test"


def test_build_is_retried_once_and_promotion_and_tests_are_not() -> None:
    retried = {
        stage["name"]: stage["onFailure"]
        for changes in ({}, {"promote_from": "dev/image"})
        for stage in stages_of(**changes)
        if stage.get("onFailure", {}).get("result") == "RETRY"
    }
    mode = {"retryMode": "FAILED_ACTIONS"}
    assert retried == {"Build": {"result": "RETRY", "retryConfiguration": mode}}
