"""Actions: builds, sources, artifacts, variables and roles."""

from __future__ import annotations

import io
import json
import threading
import zipfile

import pytest

from tests.sandbox.pipelines.conftest import BUCKET, ROLE, World, action, stage


def test_new_pipeline_runs_from_source_to_the_last_stage(world: World) -> None:
    world.builds.script("build", exported={"IMAGE_DIGEST": "sha256:1"})
    deploy = action(
        "Deploy",
        configuration={
            "ProjectName": "deploy",
            "EnvironmentVariables": json.dumps(
                [
                    {"name": "DIGEST", "value": "#{image.IMAGE_DIGEST}"},
                    {"name": "EXECUTION", "value": "#{codepipeline.PipelineExecutionId}"},
                    {"name": "TARGET", "value": "#{variables.TARGET}"},
                ]
            ),
        },
    )
    first = world.create(
        stage("Build", action("Build", namespace="image")),
        stage("Deploy", deploy),
        variables=[{"name": "TARGET", "defaultValue": "eu"}],
    )
    execution = world.ended(first, "Succeeded")
    assert execution["trigger"]["triggerType"] == "CreatePipeline"
    assert world.builds.variables[1] == {
        "DIGEST": "sha256:1",
        "EXECUTION": first,
        "TARGET": "eu",
    }
    detail = world.action(first, "Build")
    assert detail["output"]["outputVariables"] == {"IMAGE_DIGEST": "sha256:1"}
    assert detail["output"]["executionResult"]["externalExecutionId"].startswith("build:")
    order = world.builds.orders[0]
    assert (order.initiator, order.execution_id, order.primary) == (
        "codepipeline/release",
        first,
        "source",
    )
    location = detail["input"]["inputArtifacts"][0]["s3location"]
    stored = world.client("s3").get_object(Bucket=location["bucket"], Key=location["key"])
    with zipfile.ZipFile(io.BytesIO(stored["Body"].read())) as archive:
        assert archive.read("content.txt") == b"first"
    assert location["bucket"] == BUCKET
    assert location["key"].startswith("release/source/")


def test_requested_version_of_the_source_is_used(world: World) -> None:
    old = world.upload("old")
    new = world.upload("new")
    first = world.create(stage("Build"))
    assert world.execution(first)["artifactRevisions"][0]["revisionId"] == new
    revision = {
        "actionName": "Fetch",
        "revisionType": "S3_OBJECT_VERSION_ID",
        "revisionValue": old,
    }
    execution = world.ended(world.release(sourceRevisions=[revision]), "Succeeded")
    assert execution["artifactRevisions"][0]["revisionId"] == old


def test_failed_build_fails_the_execution_with_phase_and_message(world: World) -> None:
    world.builds.script("test", "FAILED")
    first = world.create(stage("Test"), stage("Deploy"))
    execution = world.ended(first, "Failed")
    assert world.error(first, "Test") == {
        "code": "JobFailed",
        "message": "Build terminated with state: FAILED. Phase: BUILD, Code: "
        "COMMAND_EXECUTION_ERROR, Message: Error while executing command: false. Reason: exit "
        "status 1",
    }
    assert execution["statusSummary"].startswith("Stage Test: action Test failed: Build terminated")
    assert world.builds.started("deploy") == []
    assert world.state("Test")["latestExecution"]["status"] == "Failed"


def test_undefined_variable_fails_the_action(world: World) -> None:
    world.builds.script("build", exported={"OTHER": "1"})
    deploy = action(
        "Deploy",
        configuration={
            "ProjectName": "deploy",
            "EnvironmentVariables": '[{"name": "D", "value": "#{image.DIGEST}"}]',
        },
    )
    first = world.create(
        stage("Build", action("Build", namespace="image")), stage("Deploy", deploy)
    )
    world.ended(first, "Failed")
    error = world.error(first, "Deploy")
    assert error["code"] == "ConfigurationError"
    assert "#{image.DIGEST} cannot be resolved" in error["message"]
    assert world.builds.started("deploy") == []


def test_missing_artifact_fails_the_action_with_its_key(world: World) -> None:
    world.create(
        stage("Approve", action("Approve", "Manual")),
        stage("Build"),
        wait=False,
    )
    world.token()
    s3 = world.client("s3")
    key = s3.list_objects_v2(Bucket=BUCKET)["Contents"][0]["Key"]
    s3.delete_object(Bucket=BUCKET, Key=key)
    world.approve()
    execution = world.ended(world.ids()[0], "Failed")
    error = world.error(execution["pipelineExecutionId"], "Build")
    assert key in error["message"]
    assert "does not exist in the bucket" in error["message"]


def test_provider_that_is_not_emulated_fails_by_name(world: World) -> None:
    deploy = {
        "name": "Deploy",
        "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": "ECS", "version": "1"},
        "configuration": {"ClusterName": "c", "ServiceName": "s"},
        "inputArtifacts": [{"name": "source"}],
    }
    first = world.create(stage("Deploy", deploy))
    world.ended(first, "Failed")
    assert (
        "The action provider Deploy/ECS is not emulated" in world.error(first, "Deploy")["message"]
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[{", "EnvironmentVariables is not valid JSON"),
        ("{}", "must be a JSON array"),
        ('[{"name": "A"}]', "objects with name, value and type"),
        ('[{"name": "A", "value": "1", "type": "OTHER"}]', "objects with name, value and type"),
    ],
)
def test_invalid_environment_variables_fail_the_action(
    world: World, value: str, message: str
) -> None:
    configuration = {"ProjectName": "build", "EnvironmentVariables": value}
    first = world.create(stage("Build", action("Build", configuration=configuration)))
    world.ended(first, "Failed")
    assert message in world.error(first, "Build")["message"]


def test_missing_project_fails_the_action(world: World) -> None:
    build = action("Build", configuration={"ProjectName": "missing"})
    first = world.create(stage("Build", build))
    world.ended(first, "Failed")
    assert "Project cannot be found" in world.error(first, "Build")["message"]


@pytest.mark.parametrize(
    ("grant", "stage_name", "action_name", "text"),
    [
        ("builds", "Build", "Build", "codebuild:StartBuild"),
        ("artifacts", "Source", "Fetch", "s3:GetBucketVersioning"),
    ],
)
def test_action_without_a_grant_is_denied(
    world: World, grant: str, stage_name: str, action_name: str, text: str
) -> None:
    world.client("iam").delete_role_policy(RoleName="pipeline", PolicyName=grant)
    first = world.create(stage("Build"))
    world.ended(first, "Failed")
    error = world.error(first, action_name)
    assert error["code"] == "PermissionError"
    assert f"is not authorized to perform: {text}" in error["message"]
    assert world.state(stage_name)["latestExecution"]["status"] == "Failed"


def test_build_that_may_start_but_not_be_read_is_denied(world: World) -> None:
    world.grant("pipeline", "builds", {"Action": "codebuild:StartBuild", "Resource": "*"})
    first = world.create(stage("Build"))
    world.ended(first, "Failed")
    assert "codebuild:BatchGetBuilds" in world.error(first, "Build")["message"]


def test_actions_of_one_order_run_at_the_same_time(world: World) -> None:
    hold = threading.Event()
    world.builds.script("one", hold=hold)
    world.builds.script("two", hold=hold)
    world.create(
        stage("Build", action("One"), action("Two"), action("Three", runOrder=2)), wait=False
    )
    world.wait(lambda: world.builds.started("one") and world.builds.started("two"))
    assert world.builds.started("three") == []
    hold.set()
    world.ended(world.ids()[0], "Succeeded")
    assert len(world.builds.started("three")) == 1


def test_action_runs_a_batch(world: World) -> None:
    batch = {"ProjectName": "build", "BatchEnabled": "true"}
    id = world.create(stage("Build", action("Build", configuration=batch)))
    assert "codebuild:StartBuildBatch" in world.error(id, "Build")["message"]
    world.grant("pipeline", "batches", {"Action": "codebuild:*Batch*", "Resource": "*"})
    world.client("codebuild").update_project(
        name="build", buildBatchConfig={"serviceRole": "arn:aws:iam::123456789012:role/build"}
    )
    world.builds.script("build", "FAILED")
    assert world.error(world.ended(world.release(), "Failed")["pipelineExecutionId"], "Build")[
        "message"
    ].startswith("Build terminated with state: FAILED")
    world.builds.script("build", "SUCCEEDED")
    world.ended(world.release(), "Succeeded")
    assert not world.builds.started("build")


def test_output_of_a_batch_is_refused_by_name(world: World) -> None:
    build = action(
        "Build",
        configuration={"ProjectName": "build", "BatchEnabled": "true"},
        outputArtifacts=[{"name": "out"}],
    )
    id = world.create(stage("Build", build))
    assert world.error(id, "Build")["message"].startswith("Output artifacts with BatchEnabled")


def test_commands_run_without_a_project_under_the_role_of_the_pipeline(world: World) -> None:
    world.builds.script("release-Check-Check", exported={"VERSION": "7"})
    check = action(
        "Check",
        "Commands",
        namespace="check",
        commands=["make version", "export VERSION=7"],
        outputVariables=["VERSION"],
        inputArtifacts=[{"name": "source"}],
        outputArtifacts=[{"name": "site", "files": ["public/**/*"]}],
    )
    variables = '[{"name": "VERSION", "value": "#{check.VERSION}"}]'
    deploy = action(
        "Deploy",
        configuration={"ProjectName": "deploy", "EnvironmentVariables": variables},
    )
    id = world.create(stage("Check", check), stage("Deploy", deploy))
    world.ended(id, "Succeeded")
    project = world.builds.projects[0]
    assert project["serviceRole"] == ROLE
    assert json.loads(project["source"]["buildspec"]) == {
        "version": "0.2",
        "env": {"exported-variables": ["VERSION"]},
        "phases": {"build": {"commands": ["make version", "export VERSION=7"]}},
        "artifacts": {"files": ["public/**/*"]},
    }
    assert world.builds.variables[1] == {"VERSION": "7"}
    assert world.action(id, "Check")["output"]["executionResult"]["externalExecutionId"]


def test_failed_commands_fail_the_action(world: World) -> None:
    world.builds.script("release-Check-Check", "FAILED")
    check = action("Check", "Commands", commands=["false"], inputArtifacts=[{"name": "source"}])
    id = world.create(stage("Check", check))
    assert world.error(id, "Check")["message"].startswith("Build terminated with state: FAILED")
