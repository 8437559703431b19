"""State changes reach EventBridge rules, topics and other pipelines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.cli.notifications import summary
from tests.sandbox.pipelines.conftest import PIPELINE, World, action, stage

RULE = "arn:aws:events:us-east-1:123456789012:rule/changes"


def queue(world: World, *, pattern: dict[str, Any], **target: Any) -> Any:
    """Return a queue that the events of a pattern reach."""
    sqs, events = world.client("sqs"), world.client("events")
    url = sqs.create_queue(QueueName="changes")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    events.put_rule(Name="changes", EventPattern=json.dumps(pattern))
    events.put_targets(
        Rule="changes", Targets=[{"Id": "queue", "Arn": attributes["QueueArn"], **target}]
    )
    return url


def received(world: World, url: str, count: int) -> list[Any]:
    """Wait for so many messages, and return all."""
    messages: list[Any] = []

    def enough() -> bool:
        response = world.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        messages.extend(json.loads(item["Body"]) for item in response.get("Messages", ()))
        return len(messages) >= count

    world.wait(enough)
    return messages


def topic(world: World, service: str) -> str:
    """Return a topic that a service may publish to."""
    sns = world.client("sns")
    arn = sns.create_topic(Name="changes")["TopicArn"]
    allow(world, arn, service)
    return str(arn)


def allow(world: World, topic_arn: str, service: str) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sns:Publish",
        "Resource": topic_arn,
    }
    world.client("sns").set_topic_attributes(
        TopicArn=topic_arn,
        AttributeName="Policy",
        AttributeValue=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )


def messages(world: World) -> list[dict[str, Any]]:
    return list(world.account.dispatcher.context.messages.messages())


def test_states_of_pipeline_stage_and_action_are_events(world: World) -> None:
    pattern = {"source": ["aws.codepipeline"], "detail": {"stage": ["Build"]}}
    url = queue(world, pattern=pattern)
    world.builds.script("build", "FAILED")
    id = world.create(stage("Build"))
    events = received(world, url, 4)
    assert [(e["detail-type"].split()[1], e["detail"]["state"]) for e in events] == [
        ("Stage", "STARTED"),
        ("Action", "STARTED"),
        ("Action", "FAILED"),
        ("Stage", "FAILED"),
    ]
    failed = events[2]
    assert failed["resources"] == [f"arn:aws:codepipeline:us-east-1:123456789012:{PIPELINE}"]
    assert failed["detail"]["execution-id"] == id
    assert failed["detail"]["type"]["provider"] == "CodeBuild"
    assert failed["detail"]["execution-result"]["error-code"] == "JobFailed"


def test_retry_is_resumed_and_a_restart_repeats_no_event(world: World) -> None:
    pattern = {"detail-type": ["CodePipeline Pipeline Execution State Change"]}
    url = queue(world, pattern=pattern, InputPath="$.detail.state")
    world.builds.script("build", "FAILED", "SUCCEEDED")
    id = world.create(stage("Build"))
    assert received(world, url, 2) == ["STARTED", "FAILED"]
    world.restart()
    world.pipelines.retry_stage_execution(
        pipelineName=PIPELINE,
        stageName="Build",
        pipelineExecutionId=id,
        retryMode="FAILED_ACTIONS",
    )
    world.ended(id, "Succeeded")
    assert received(world, url, 2) == ["RESUMED", "SUCCEEDED"]


def test_rule_publishes_to_a_topic_whose_policy_allows_it(world: World) -> None:
    arn = topic(world, "budgets.amazonaws.com")
    url = queue(world, pattern={"source": ["aws.codepipeline"], "detail": {"state": ["FAILED"]}})
    text = {"InputTemplate": '"<name> failed"', "InputPathsMap": {"name": "$.detail.pipeline"}}
    world.client("events").put_targets(
        Rule="changes", Targets=[{"Id": "topic", "Arn": arn, "InputTransformer": text}]
    )
    world.builds.script("build", "FAILED", "FAILED")
    world.create(stage("Build"))
    received(world, url, 3)  # action, stage, pipeline
    assert messages(world) == []
    allow(world, arn, "events.amazonaws.com")
    world.release()
    received(world, url, 3)
    assert [item["message"] for item in messages(world)] == [f"{PIPELINE} failed"] * 3


def test_notification_rule_sends_its_event_types_only(world: World) -> None:
    arn = topic(world, "codestar-notifications.amazonaws.com")
    approval = stage("Approve", action("Approve", "Manual"))
    id = world.create(approval, wait=False)
    world.client("codestar-notifications").create_notification_rule(
        Name="approvals",
        Resource=f"arn:aws:codepipeline:us-east-1:123456789012:{PIPELINE}",
        EventTypeIds=["codepipeline-pipeline-manual-approval-failed"],
        Targets=[{"TargetType": "SNS", "TargetAddress": arn}],
        DetailType="FULL",
    )
    world.approve("Rejected")
    world.ended(id, "Failed")
    world.wait(lambda: messages(world))
    [sent] = messages(world)
    content = json.loads(sent["message"])
    assert content["detail"]["state"] == "FAILED"
    assert content["detail"]["action"] == "Approve"
    assert ":notificationrule/" in content["notificationRuleArn"]
    assert summary(sent) == (
        f"CodePipeline Action Execution State Change: {PIPELINE} Approve Approve FAILED: reviewed"
    )


def test_messages_survive_a_restart(world: World) -> None:
    arn = world.client("sns").create_topic(Name="changes")["TopicArn"]
    world.client("sns").publish(TopicArn=arn, Subject="Hello", Message="first")
    world.restart()
    assert [(item["subject"], item["message"]) for item in messages(world)] == [("Hello", "first")]


@pytest.mark.parametrize("granted", [True, False])
def test_event_of_one_pipeline_starts_another_if_the_role_may(world: World, granted: bool) -> None:
    world.create(stage("Build"))
    arn = f"arn:aws:codepipeline:us-east-1:123456789012:{PIPELINE}"
    grant = {"Action": "codepipeline:StartPipelineExecution", "Resource": arn}
    world.role("trigger", "events.amazonaws.com", {"start": grant} if granted else {})
    role = "arn:aws:iam::123456789012:role/trigger"
    events = world.client("events")
    url = queue(world, pattern={"source": ["app"]})
    events.put_targets(Rule="changes", Targets=[{"Id": "p", "Arn": arn, "RoleArn": role}])
    before = world.ids()
    entry = {"Source": "app", "DetailType": "Published", "Detail": "{}"}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    received(world, url, 1)
    started = [id for id in world.ids() if id not in before]
    assert len(started) == int(granted)
    for id in started:
        world.ended(id, "Succeeded")
