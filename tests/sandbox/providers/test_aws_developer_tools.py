"""CodeBuild, CodePipeline, connections and notification rules through the AWS provider."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.providers.engine_client import CheckFailed, Client, Failed
from tests.sandbox.providers.lifecycle import Boto, changes, imports, replaces, role, settled


@pytest.fixture(scope="module")
def bucket(boto: Boto) -> str:
    boto("s3").create_bucket(Bucket="delivery-artifacts")
    return "delivery-artifacts"


@pytest.fixture(scope="module")
def build_role(boto: Boto) -> str:
    return role(boto, "delivery-build", "codebuild.amazonaws.com")


@pytest.fixture(scope="module")
def pipeline_role(boto: Boto) -> str:
    return role(boto, "delivery-pipeline", "codepipeline.amazonaws.com")


def project(build_role: str) -> dict[str, Any]:
    return {
        "serviceRole": build_role,
        "artifacts": {"type": "CODEPIPELINE"},
        "source": {"type": "CODEPIPELINE", "buildspec": "app/buildspecs/build.yml"},
        "environment": {
            "type": "ARM_CONTAINER",
            "computeType": "BUILD_GENERAL1_SMALL",
            "image": "aws/codebuild/amazonlinux-aarch64-standard:3.0",
            "privilegedMode": True,
            "environmentVariables": [{"name": "REPOSITORY", "value": "app"}],
        },
        "logsConfig": {"cloudwatchLogs": {"groupName": "/aws/codebuild/build"}},
        "tags": {"Name": "build"},
    }


def test_build_project_is_replaced_by_a_new_name_only(
    owned: Client, boto: Boto, build_role: str
) -> None:
    inputs = project(build_role)
    created = owned.create("aws:codebuild/project:Project", "build", inputs)
    name = created.state["name"]
    assert created.id.endswith(f":project/{name}")
    live = boto("codebuild").batch_get_projects(names=[name])["projects"][0]
    assert live["timeoutInMinutes"] == 60
    assert live["environment"]["privilegedMode"] is True
    assert {tag["key"]: tag["value"] for tag in live["tags"]} == {"Name": "build", "Owner": "us"}
    settled(owned, created)
    imports(owned, created)
    assert replaces(owned, created, {**inputs, "name": "other"}) == ["name"]

    environment = {
        **inputs["environment"],
        "environmentVariables": [
            {"name": "REPOSITORY", "value": "other"},
            {"name": "TOKEN", "value": "arn:secret", "type": "SECRETS_MANAGER"},
        ],
    }
    news = {**inputs, "buildTimeout": 15, "environment": environment, "tags": {"Name": "again"}}
    assert replaces(owned, created, news) == []
    assert "environment.environmentVariables[0].value" in changes(owned, created, news)
    created = owned.update(created, news)
    live = boto("codebuild").batch_get_projects(names=[name])["projects"][0]
    assert live["timeoutInMinutes"] == 15
    assert [v["name"] for v in live["environment"]["environmentVariables"]] == [
        "REPOSITORY",
        "TOKEN",
    ]
    assert {tag["key"]: tag["value"] for tag in live["tags"]} == {"Name": "again", "Owner": "us"}
    settled(owned, created)

    owned.delete(created)
    assert name not in boto("codebuild").list_projects()["projects"]
    assert owned.read(created) is None
    owned.delete(created)


def test_report_group_is_deleted_with_its_reports(owned: Client, boto: Boto) -> None:
    inputs = {"type": "TEST", "exportConfig": {"type": "NO_EXPORT"}, "deleteReports": True}
    created = owned.create("aws:codebuild/reportGroup:ReportGroup", "results", inputs)
    live = boto("codebuild").batch_get_report_groups(reportGroupArns=[created.id])["reportGroups"][
        0
    ]
    assert live["exportConfig"] == {"exportConfigType": "NO_EXPORT"}
    assert {tag["key"]: tag["value"] for tag in live["tags"]} == {"Owner": "us"}
    settled(owned, created)
    assert replaces(owned, created, {**inputs, "name": "other"}) == ["name"]
    owned.delete(created)
    assert created.id not in boto("codebuild").list_report_groups()["reportGroups"]


def test_project_with_codepipeline_on_one_side_is_refused(owned: Client, build_role: str) -> None:
    with pytest.raises(
        CheckFailed, match=r"artifacts\.type: source and artifacts must both be CODEPIPELINE"
    ):
        owned.check(
            "aws:codebuild/project:Project",
            "x",
            {**project(build_role), "artifacts": {"type": "NO_ARTIFACTS"}},
        )


def test_unemulated_project_property_is_refused_by_name(owned: Client, build_role: str) -> None:
    with pytest.raises(CheckFailed, match='"buildBatchConfig" is not emulated'):
        inputs = {**project(build_role), "buildBatchConfig": {"serviceRole": build_role}}
        owned.check("aws:codebuild/project:Project", "x", inputs)


def pipeline(pipeline_role: str, bucket: str) -> dict[str, Any]:
    rule = {
        "name": "calm",
        "ruleTypeId": {
            "category": "Rule",
            "owner": "AWS",
            "provider": "CloudWatchAlarm",
            "version": "1",
        },
        "configuration": {"AlarmName": "errors", "WaitTime": "5"},
    }
    return {
        "roleArn": pipeline_role,
        "pipelineType": "V2",
        "executionMode": "QUEUED",
        "artifactStores": [{"type": "S3", "location": bucket}],
        "variables": [{"name": "digest", "defaultValue": "none", "description": "what to deploy"}],
        "stages": [
            {
                "name": "Source",
                "actions": [
                    {
                        "name": "Source",
                        "category": "Source",
                        "owner": "AWS",
                        "provider": "CodeStarSourceConnection",
                        "version": "1",
                        "namespace": "source",
                        "outputArtifacts": ["source"],
                        "configuration": {
                            "ConnectionArn": "arn:aws:codeconnections:us-east-1:123456789012"
                            ":connection/c",
                            "FullRepositoryId": "us/app",
                            "BranchName": "main",
                        },
                    }
                ],
            },
            {
                "name": "Deploy",
                "actions": [
                    {
                        "name": "Deploy",
                        "category": "Build",
                        "owner": "AWS",
                        "provider": "CodeBuild",
                        "version": "1",
                        "inputArtifacts": ["source"],
                        "configuration": {"ProjectName": "deploy"},
                        "runOrder": 1,
                    }
                ],
                "beforeEntry": {"condition": {"result": "FAIL", "rules": [rule]}},
                "onSuccess": {"condition": {"result": "ROLLBACK", "rules": [rule]}},
                "onFailure": {"result": "ROLLBACK"},
            },
        ],
        "triggers": [
            {
                "providerType": "CodeStarSourceConnection",
                "gitConfiguration": {
                    "sourceActionName": "Source",
                    "pushes": [{"tags": {"includes": ["v*"]}}],
                },
            }
        ],
    }


@pytest.fixture(scope="module")
def deploy_project(owned: Client, build_role: str) -> str:
    return owned.create(
        "aws:codebuild/project:Project", "deploy", {**project(build_role), "name": "deploy"}
    ).id


def test_v2_pipeline_keeps_its_definition_and_updates_in_place(
    owned: Client, boto: Boto, pipeline_role: str, bucket: str, deploy_project: str
) -> None:
    inputs = pipeline(pipeline_role, bucket)
    created = owned.create("aws:codepipeline/pipeline:Pipeline", "release", inputs)
    live = boto("codepipeline").get_pipeline(name=created.id)["pipeline"]
    assert live["stages"][1]["onFailure"] == {"result": "ROLLBACK"}
    assert live["stages"][1]["beforeEntry"]["conditions"][0]["rules"][0]["name"] == "calm"
    assert live["triggers"][0]["gitConfiguration"]["push"] == [{"tags": {"includes": ["v*"]}}]
    assert live["variables"] == [
        {"name": "digest", "defaultValue": "none", "description": "what to deploy"}
    ]
    settled(owned, created)
    imports(owned, created)
    assert replaces(owned, created, {**inputs, "name": "other"}) == ["name"]

    news = {**inputs, "executionMode": "SUPERSEDED", "tags": {"Name": "release"}}
    assert changes(owned, created, news) == ["executionMode", "tags", "tagsAll.Name"]
    assert replaces(owned, created, news) == []
    created = owned.update(created, news)
    live = boto("codepipeline").get_pipeline(name=created.id)["pipeline"]
    assert (live["executionMode"], live["version"]) == ("SUPERSEDED", 2)
    settled(owned, created)

    owned.delete(created)
    assert owned.read(created) is None


def test_v2_features_are_refused_for_v1(owned: Client, pipeline_role: str, bucket: str) -> None:
    with pytest.raises(CheckFailed) as refused:
        inputs = {**pipeline(pipeline_role, bucket), "pipelineType": "V1"}
        owned.check("aws:codepipeline/pipeline:Pipeline", "x", inputs)
    assert {line.split(":")[0] for line in str(refused.value).splitlines()} == {
        "triggers",
        "variables",
        "executionMode",
    }


def test_connection_is_pending_until_its_handshake(owned: Client, boto: Boto) -> None:
    inputs = {"name": "github", "providerType": "GitHub", "tags": {"Name": "github"}}
    created = owned.create("aws:codeconnections/connection:Connection", "github", inputs)
    assert created.state["connectionStatus"] == "PENDING"
    assert (
        boto("codeconnections").get_connection(ConnectionArn=created.id)["Connection"][
            "ConnectionName"
        ]
        == "github"
    )
    settled(owned, created)
    imports(owned, created)
    assert replaces(owned, created, {**inputs, "providerType": "GitLab"}) == ["providerType"]
    created = owned.update(created, {**inputs, "tags": {"Name": "changed"}})
    tags = boto("codeconnections").list_tags_for_resource(ResourceArn=created.id)["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"Name": "changed", "Owner": "us"}
    owned.delete(created)
    assert owned.read(created) is None


def test_notification_rule_targets_a_topic(
    owned: Client, boto: Boto, pipeline_role: str, bucket: str, deploy_project: str
) -> None:
    watched = owned.create(
        "aws:codepipeline/pipeline:Pipeline",
        "watched",
        {**pipeline(pipeline_role, bucket), "name": "watched"},
    )
    topic = boto("sns").create_topic(Name="delivery")["TopicArn"]
    inputs = {
        "name": "failures",
        "resource": watched.state["arn"],
        "detailType": "BASIC",
        "eventTypeIds": ["codepipeline-pipeline-pipeline-execution-failed"],
        "targets": [{"address": topic}],
    }
    created = owned.create(
        "aws:codestarnotifications/notificationRule:NotificationRule", "failures", inputs
    )
    settled(owned, created)
    imports(owned, created)
    assert replaces(owned, created, {**inputs, "resource": "arn:other"}) == ["resource"]
    created = owned.update(created, {**inputs, "detailType": "FULL", "status": "DISABLED"})
    live = boto("codestar-notifications").describe_notification_rule(Arn=created.id)
    assert (live["DetailType"], live["Status"]) == ("FULL", "DISABLED")
    owned.delete(created)
    assert owned.read(created) is None
    owned.delete(watched)


def test_refused_pipeline_is_reported_and_not_created(
    owned: Client, pipeline_role: str, bucket: str
) -> None:
    inputs = pipeline(pipeline_role, bucket)
    inputs["stages"][1]["actions"][0]["inputArtifacts"] = ["never-made"]
    with pytest.raises(
        Failed, match=r"creating CodePipeline Pipeline.*InvalidActionDeclarationException"
    ) as refused:
        owned.create("aws:codepipeline/pipeline:Pipeline", "broken", inputs)
    assert refused.value.partial is None


def test_webhook_of_a_project_updates_its_filters_in_place(
    owned: Client, boto: Boto, build_role: str
) -> None:
    boto("codebuild").import_source_credentials(
        serverType="GITHUB", authType="PERSONAL_ACCESS_TOKEN", token="t"
    )
    given = {
        **project(build_role),
        "artifacts": {"type": "NO_ARTIFACTS"},
        "source": {"type": "GITHUB", "location": "https://github.com/a/b.git"},
    }
    name = owned.create("aws:codebuild/project:Project", "preview", given).state["name"]
    created = {"type": "EVENT", "pattern": "PULL_REQUEST_CREATED"}
    inputs = {
        "projectName": name,
        "buildType": "BUILD",
        "filterGroups": [{"filters": [created]}],
        "pullRequestBuildPolicy": {"requiresCommentApproval": "FORK_PULL_REQUESTS"},
    }
    made = owned.create("aws:codebuild/webhook:Webhook", "preview", inputs)
    assert made.id == name
    settled(owned, made)
    imports(owned, made)
    assert replaces(owned, made, {**inputs, "projectName": "other"}) == ["projectName"]
    base = {"type": "BASE_REF", "pattern": "^refs/heads/main$"}
    news = {**inputs, "filterGroups": [{"filters": [created, base]}]}
    assert replaces(owned, made, news) == []
    made = owned.update(made, news)
    settled(owned, made)
    (live,) = boto("codebuild").batch_get_projects(names=[name])["projects"]
    assert live["webhook"]["filterGroups"] == [
        [{**item, "excludeMatchedPattern": False} for item in (created, base)]
    ]
    owned.delete(made)
    (live,) = boto("codebuild").batch_get_projects(names=[name])["projects"]
    assert "webhook" not in live
