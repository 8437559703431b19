"""Manual approvals."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.account.conftest import refused
from tests.sandbox.pipelines.conftest import PIPELINE, World, action, stage

APPROVE = stage("Approve", action("Approve", "Manual"))


def test_approved_release_continues_with_the_reviewer_on_record(world: World) -> None:
    id = world.create(APPROVE, stage("Deploy"), wait=False)
    world.approve()
    world.ended(id, "Succeeded")
    detail = world.action(id, "Approve")
    assert detail["updatedBy"] == "arn:aws:iam::123456789012:user/sandbox"
    assert detail["output"]["executionResult"]["externalExecutionSummary"] == "reviewed"


def test_rejected_release_fails_with_the_summary(world: World) -> None:
    id = world.create(APPROVE, stage("Deploy"), wait=False)
    world.approve("Rejected")
    world.ended(id, "Failed")
    assert world.error(id, "Approve") == {"code": "Rejected", "message": "reviewed"}
    assert world.builds.started("deploy") == []


def test_approval_that_is_not_given_in_time_fails(world: World) -> None:
    approve = stage("Approve", action("Approve", "Manual", timeoutInMinutes=5))
    id = world.create(approve, wait=False)
    world.token()
    pipeline = world.runner._pipeline(world.runner.facts()[0].arn)
    with pipeline.update(pipeline.executions[id]):  # as if the request were six minutes old
        run = pipeline.executions[id].stages[1].actions[0]
        run.started -= timedelta(minutes=6)
    world.restart()
    world.ended(id, "Failed")
    assert world.error(id, "Approve")["message"] == "Approval was not given within 5 minutes"


def test_approval_by_a_principal_without_permission_is_denied(world: World) -> None:
    id = world.create(APPROVE, wait=False)
    token = world.token()
    iam = world.client("iam")
    iam.create_user(UserName="guest")
    grant = {
        "Effect": "Allow",
        "Action": "codepipeline:PutApprovalResult",
        "Resource": "arn:aws:codepipeline:us-east-1:123456789012:release/Other/*",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [grant]})
    iam.put_user_policy(UserName="guest", PolicyName="p", PolicyDocument=document)
    key = iam.create_access_key(UserName="guest")["AccessKey"]
    guest = world.client(
        "codepipeline",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    with pytest.raises(ClientError, match="release/Approve/Approve"):
        world.approve(client=guest, token=token)
    assert world.execution(id)["status"] == "InProgress"
    world.approve()
    world.ended(id, "Succeeded")


def test_token_is_valid_once(world: World) -> None:
    id = world.create(APPROVE, wait=False)
    with refused("InvalidApprovalTokenException"):
        world.approve(token="11111111-1111-1111-1111-111111111111")
    with refused("ActionNotFoundException"):
        world.approve(actionName="Nothing", token="11111111-1111-1111-1111-111111111111")
    token = world.token()
    world.approve(token=token)
    world.ended(id, "Succeeded")
    with refused("InvalidApprovalTokenException"):
        world.approve(token=token)
    assert "token" not in world.state("Approve")["actionStates"][0]["latestExecution"]


@pytest.mark.parametrize("granted", [True, False])
def test_request_is_published_under_the_role_of_the_pipeline(world: World, granted: bool) -> None:
    topic = world.client("sns").create_topic(Name="approvals")["TopicArn"]
    queue = world.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    world.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:q"
    )
    if not granted:
        world.client("iam").delete_role_policy(RoleName="pipeline", PolicyName="approvals")
    configuration = {"NotificationArn": topic, "CustomData": "Release #{source.VersionId}?"}
    id = world.create(
        stage("Approve", action("Approve", "Manual", configuration=configuration)), wait=False
    )
    if not granted:
        world.ended(id, "Failed")
        assert "sns:Publish" in world.error(id, "Approve")["message"]
        return
    token = world.token()
    messages = world.client("sqs").receive_message(QueueUrl=queue)["Messages"]
    approval = json.loads(json.loads(messages[0]["Body"])["Message"])["approval"]
    assert approval["token"] == token
    assert approval["pipelineName"] == PIPELINE
    version = world.execution(id)["artifactRevisions"][0]["revisionId"]
    assert approval["customData"] == f"Release {version}?"
