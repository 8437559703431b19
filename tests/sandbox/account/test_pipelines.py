"""Build projects, pipelines and notification rules."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from .conftest import World, refused

PROJECT: dict[str, Any] = {
    "name": "build",
    "source": {"type": "CODEPIPELINE"},
    "artifacts": {"type": "CODEPIPELINE"},
    "environment": {
        "type": "LINUX_CONTAINER",
        "image": "aws/codebuild/standard:7.0",
        "computeType": "BUILD_GENERAL1_SMALL",
    },
    "serviceRole": "arn:aws:iam::123456789012:role/build",
}


def action(name: str, category: str, provider: str, **more: Any) -> dict[str, Any]:
    kind = {"category": category, "owner": "AWS", "provider": provider, "version": "1"}
    return {"name": name, "actionTypeId": kind, **more}


PIPELINE: dict[str, Any] = {
    "name": "release",
    "roleArn": "arn:aws:iam::123456789012:role/pipeline",
    "pipelineType": "V2",
    "executionMode": "QUEUED",
    "artifactStore": {"type": "S3", "location": "artifacts-of-ours"},
    "stages": [
        {
            "name": "Source",
            "actions": [
                action(
                    "Fetch",
                    "Source",
                    "S3",
                    configuration={"S3Bucket": "artifacts-of-ours", "S3ObjectKey": "source.zip"},
                    outputArtifacts=[{"name": "source"}],
                    namespace="Src",
                )
            ],
        },
        {
            "name": "Build",
            "actions": [
                action(
                    "Build",
                    "Build",
                    "CodeBuild",
                    configuration={"ProjectName": "build"},
                    inputArtifacts=[{"name": "source"}],
                )
            ],
        },
    ],
}


@pytest.fixture
def ready(world: World) -> World:
    """An account with everything that a pipeline refers to."""
    world.role("build", "codebuild")
    world.role("pipeline", "codepipeline")
    world.client("s3").create_bucket(Bucket="artifacts-of-ours")
    return world


def test_project_keeps_its_fields_and_updates_some(ready: World) -> None:
    codebuild = ready.client("codebuild")
    codebuild.create_project(
        **PROJECT, concurrentBuildLimit=2, badgeEnabled=False, encryptionKey="alias/x"
    )
    codebuild.update_project(name="build", description="builds")
    project = codebuild.batch_get_projects(names=["build", "ghost"])
    shown = project["projects"][0]
    assert (shown["description"], shown["concurrentBuildLimit"], shown["encryptionKey"]) == (
        "builds",
        2,
        "alias/x",
    )
    assert project["projectsNotFound"] == ["ghost"]
    with refused("ResourceAlreadyExistsException"):
        codebuild.create_project(**PROJECT)
    with refused("ResourceNotFoundException"):
        codebuild.update_project(name="ghost", description="x")
    for change, why in (
        ({"artifacts": {"type": "NO_ARTIFACTS"}}, "CODEPIPELINE"),
        ({"serviceRole": "arn:aws:iam::123456789012:role/pipeline"}, "AssumeRole"),
        (
            {
                "environment": {
                    **PROJECT["environment"],
                    "image": "aws/codebuild/amazonlinux-aarch64-standard:3.0",
                }
            },
            "ARM_CONTAINER",
        ),
    ):
        with refused("InvalidInputException", why):
            codebuild.create_project(**{**PROJECT, "name": "another", **change})
    codebuild.delete_project(name="build")
    assert codebuild.list_projects()["projects"] == []


def test_pipeline_has_versions_state_and_executions_in_progress(ready: World) -> None:
    pipelines = ready.client("codepipeline")
    assert (
        pipelines.create_pipeline(pipeline=PIPELINE, tags=[{"key": "a", "value": "b"}])["pipeline"][
            "version"
        ]
        == 1
    )
    with refused("PipelineNameInUseException"):
        pipelines.create_pipeline(pipeline=PIPELINE)
    pipelines.update_pipeline(pipeline={**PIPELINE, "variables": [{"name": "DIGEST"}]})
    assert "variables" not in pipelines.get_pipeline(name="release", version=1)["pipeline"]
    assert pipelines.get_pipeline(name="release")["pipeline"]["version"] == 2
    with refused("ValidationException", "DIGEST"):
        pipelines.start_pipeline_execution(name="release")
    inputs = [{"name": "DIGEST", "value": "sha256:1"}]
    execution = pipelines.start_pipeline_execution(name="release", variables=inputs)[
        "pipelineExecutionId"
    ]
    one = {"pipelineName": "release", "pipelineExecutionId": execution}
    shown = pipelines.get_pipeline_execution(**one)["pipelineExecution"]
    assert shown["status"] == "InProgress"
    assert "Nothing runs executions" in shown["statusSummary"]
    pipelines.stop_pipeline_execution(**one, abandon=True, reason="enough")
    assert pipelines.get_pipeline_execution(**one)["pipelineExecution"]["status"] == "Stopped"
    with refused("PipelineExecutionNotStoppableException"):
        pipelines.stop_pipeline_execution(**one)
    stage = {"pipelineName": "release", "stageName": "Build", "transitionType": "Inbound"}
    pipelines.disable_stage_transition(**stage, reason="freeze")
    state = pipelines.get_pipeline_state(name="release")["stageStates"][1]["inboundTransitionState"]
    assert (state["enabled"], state["disabledReason"]) == (False, "freeze")
    pipelines.enable_stage_transition(**stage)
    assert pipelines.get_pipeline_state(name="release")["stageStates"][1]["inboundTransitionState"][
        "enabled"
    ]
    pipelines.delete_pipeline(name="release")
    with refused("PipelineNotFoundException"):
        pipelines.get_pipeline(name="release")


@pytest.mark.parametrize(
    ("path", "value", "code", "why"),
    [
        ("pipelineType", "V1", "InvalidStructureException", "V1"),
        (
            "stages.1.actions.0.inputArtifacts",
            [{"name": "ghost"}],
            "InvalidActionDeclarationException",
            "ghost",
        ),
        (
            "stages.1.actions.0.actionTypeId.provider",
            "Bamboo",
            "InvalidActionDeclarationException",
            "Bamboo",
        ),
        (
            "stages.1.actions.0.configuration",
            {},
            "InvalidActionDeclarationException",
            "ProjectName",
        ),
        (
            "stages.0.actions.0",
            PIPELINE["stages"][1]["actions"][0],
            "InvalidStructureException",
            "source actions",
        ),
        ("stages.1.name", "Source", "InvalidStructureException", "unique"),
        (
            "stages.1.onSuccess",
            {"conditions": [{"result": "SKIP"}]},
            "InvalidStageDeclarationException",
            "SKIP",
        ),
        (
            "stages.1.actions.0.configuration.Note",
            "#{Nobody.X}",
            "InvalidActionDeclarationException",
            "Nobody",
        ),
        ("artifactStore.location", "another-bucket", "InvalidStructureException", "another-bucket"),
        (
            "roleArn",
            "arn:aws:iam::123456789012:role/build",
            "InvalidStructureException",
            "AssumeRole",
        ),
    ],
)
def test_invalid_pipeline_is_refused_with_awss_message(
    ready: World, path: str, value: Any, code: str, why: str
) -> None:
    pipeline = copy.deepcopy(PIPELINE)
    place: Any = pipeline
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        place = place[part]
    place[last] = value
    with refused(code, why):
        ready.client("codepipeline").create_pipeline(pipeline=pipeline)


def test_notification_rules_refer_to_pipelines_and_topics(ready: World) -> None:
    rules = ready.client("codestar-notifications")
    ready.client("codepipeline").create_pipeline(pipeline=PIPELINE)
    topic = ready.client("sns").create_topic(Name="t")["TopicArn"]
    expected: dict[str, Any] = {
        "Name": "rule",
        "Resource": "arn:aws:codepipeline:us-east-1:123456789012:release",
        "EventTypeIds": ["codepipeline-pipeline-manual-approval-needed"],
        "Targets": [{"TargetType": "SNS", "TargetAddress": topic}],
        "DetailType": "FULL",
    }
    for change, code in (
        ({"EventTypeIds": ["codepipeline-pipeline-nothing"]}, "ValidationException"),
        (
            {"Targets": [{"TargetType": "SNS", "TargetAddress": topic + "x"}]},
            "ConfigurationException",
        ),
        ({"Resource": expected["Resource"] + "x"}, "ResourceNotFoundException"),
    ):
        with refused(code):
            rules.create_notification_rule(**{**expected, **change})
    arn = rules.create_notification_rule(**expected, Tags={"a": "b"})["Arn"]
    rules.update_notification_rule(Arn=arn, DetailType="BASIC")
    shown = rules.describe_notification_rule(Arn=arn)
    assert (shown["DetailType"], shown["Status"], shown["Tags"]) == ("BASIC", "ENABLED", {"a": "b"})
    rules.delete_notification_rule(Arn=arn)
    with refused("ResourceNotFoundException"):
        rules.describe_notification_rule(Arn=arn)
