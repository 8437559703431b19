"""Preview and update of the stack in a release."""

import json
from typing import Any

import pytest

from settings.sections import Infrastructure, Source
from tests.components.factories import pipeline, record
from tests.components.pipeline.test_iam import statements
from tests.program.recording import Recording
from tests.program.running import run_program
from tests.settings.cross_field.test_stack_update import VALID

SETTINGS = Infrastructure(
    enabled=True,
    state_bucket="state",
    state_key_arn="arn:aws:kms:eu-west-1:123456789012:key/1",
)
PREVIEW, UPDATE = "one-infrastructure-preview", "one-infrastructure-update"
PROJECT = "aws:codebuild/project:Project"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(lambda: pipeline("one", infrastructure=SETTINGS))


def stages(recording: Recording) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = recording.one(
        "aws:codepipeline/pipeline:Pipeline", "one"
    ).inputs["stages"]
    return result


def test_stack_is_updated_between_the_image_and_its_approval(recording: Recording) -> None:
    names = [stage["name"] for stage in stages(recording)]
    order = ["Source", "Test", "Build", "Sign", "Preview", "Update", "Approve", "Deploy"]
    assert names == order


def test_update_is_skipped_unless_something_changes(recording: Recording) -> None:
    update = stages(recording)[5]
    condition = update["beforeEntry"]["condition"]
    assert condition["result"] == "SKIP"
    (rule,) = condition["rules"]
    assert rule["ruleTypeId"]["provider"] == "VariableCheck"
    assert rule["configuration"] == {
        "Variable": "#{changes.CHANGED}",
        "Operator": "EQ",
        "Value": "true",
    }


def test_approval_and_update_are_one_stage(recording: Recording) -> None:
    """No other execution may update the stack between them."""
    approval, update = stages(recording)[5]["actions"]
    assert (approval["provider"], update["runOrder"]) == ("Manual", 2)
    assert approval["configuration"]["CustomData"] == (
        "Update dev to commit #{image.COMMIT} by #{source.AuthorDisplayName}? #{changes.SUMMARY}"
    )
    assert update["inputArtifacts"] == ["source", "changes"]
    assert update["configuration"]["PrimarySource"] == "source"


@pytest.mark.parametrize(
    ("changes", "variable", "kind"),
    [
        ({}, "#{source.CommitId}", "COMMIT_ID"),
        ({"source": Source(kind="s3")}, "#{source.VersionId}", "S3_OBJECT_VERSION_ID"),
    ],
)
def test_update_knows_the_revision_that_continues_after_a_change_of_the_pipeline(
    changes: dict[str, Any], variable: str, kind: str
) -> None:
    result = record(lambda: pipeline("one", infrastructure=SETTINGS, **changes))
    text = stages(result)[5]["actions"][1]["configuration"]["EnvironmentVariables"]
    assert {"name": "REVISION", "value": variable, "type": "PLAINTEXT"} in json.loads(text)
    assert environment(result, UPDATE)["REVISION_TYPE"] == kind


def environment(recording: Recording, project: str) -> dict[str, str]:
    entries = recording.one(PROJECT, project).inputs["environment"]["environmentVariables"]
    return {entry["name"]: entry["value"] for entry in entries}


def test_builds_run_in_the_private_subnets_on_the_stack(recording: Recording) -> None:
    for project in (PREVIEW, UPDATE):
        inputs = recording.one(PROJECT, project).inputs
        assert inputs["vpcConfig"]["subnets"] == ["subnet-1"]
        assert inputs["source"]["type"] == "CODEPIPELINE"
        variables = environment(recording, project)
        assert variables["STACK"] == "dev"
        assert variables["PULUMI_BACKEND_URL"] == "s3://state?region=eu-west-1"


def test_preview_reads_state_and_artifacts_only(recording: Recording) -> None:
    granted = statements(recording, PREVIEW)
    artifacts = granted["Artifacts"]["Resource"][0]
    assert granted["DenyOtherObjects"]["NotResource"] == ["arn:aws:s3:::state/*", artifacts]
    assert granted["DecryptState"]["Resource"] == [SETTINGS.state_key_arn]


def test_only_the_role_of_the_update_is_an_administrator(recording: Recording) -> None:
    attached = {
        item.name: item.inputs["policyArn"].rpartition("/")[2] for item in recording.all(ATTACHMENT)
    }
    assert attached == {PREVIEW: "ReadOnlyAccess", UPDATE: "AdministratorAccess"}
    associations = recording.all("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
    policies = {item.name: item.inputs["policyArn"].rpartition("/")[2] for item in associations}
    assert policies[PREVIEW] == "AmazonEKSViewPolicy"
    assert policies[UPDATE] == "AmazonEKSClusterAdminPolicy"


def test_alarms_gate_a_stage_that_is_not_skipped() -> None:
    result = record(lambda: pipeline("one", infrastructure=SETTINGS, approval=False))
    gated = [stage["name"] for stage in stages(result) if stage.get("onSuccess")]
    assert gated == ["Sign", "Deploy"]


def test_pipeline_notifies_about_approvals_of_changes() -> None:
    result = record(lambda: pipeline("one", infrastructure=SETTINGS, approval=False))
    assert "PublishApprovalRequests" in statements(result, "one")


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_images_are_built_by_the_pipeline_after_the_first(stack: str) -> None:
    """A new version of the service is no change of the infrastructure."""
    (image,) = run_program(stack, VALID).all("docker:index/image:Image")
    assert list(image.request.ignoreChanges) == ["build", "imageName"]
    (image,) = run_program(stack).all("docker:index/image:Image")
    assert list(image.request.ignoreChanges) == []


def test_setting_adds_resources_and_replaces_none() -> None:
    before, after = run_program("dev"), run_program("dev", VALID)
    keys = [{(item.type, item.name) for item in result.resources} for result in (before, after)]
    assert keys[0] <= keys[1]
    added = {name for _, name in keys[1] - keys[0]}
    assert {name for name in added if not name.startswith("observability-")} == {
        "pipeline-infrastructure-preview",
        "pipeline-infrastructure-update",
    }
