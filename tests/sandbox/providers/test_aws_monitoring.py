"""SNS, CloudWatch, EventBridge, Budgets and Secrets Manager through the AWS provider."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sandbox.providers.engine_client import CheckFailed, Client
from tests.sandbox.providers.lifecycle import Boto, changes, imports, replaces, settled


@pytest.fixture(scope="module")
def topic(boto: Boto) -> str:
    return str(boto("sns").create_topic(Name="watch")["TopicArn"])


def test_topic_updates_settings_and_tags_in_place(owned: Client, boto: Boto) -> None:
    inputs = {"displayName": "Alarms", "tags": {"Name": "alarms"}}
    created = owned.create("aws:sns/topic:Topic", "alarms", inputs)
    assert created.id == created.state["arn"]
    settled(owned, created)
    imports(owned, created)
    assert replaces(owned, created, {**inputs, "name": "other"}) == ["name"]
    assert replaces(owned, created, {**inputs, "fifoTopic": True}) == ["fifoTopic"]
    created = owned.update(created, {"displayName": "Bells", "tags": {"Name": "bells"}})
    assert (
        boto("sns").get_topic_attributes(TopicArn=created.id)["Attributes"]["DisplayName"]
        == "Bells"
    )
    tags = boto("sns").list_tags_for_resource(ResourceArn=created.id)["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"Name": "bells", "Owner": "us"}
    settled(owned, created)
    owned.delete(created)
    assert owned.read(created) is None


def test_topic_policy_is_compared_semantically_and_reset_on_deletion(
    owned: Client, boto: Boto, topic: str
) -> None:
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": topic,
    }
    inputs = {"arn": topic, "policy": json.dumps({"Version": "2012-10-17", "Statement": [allow]})}
    created = owned.create("aws:sns/topicPolicy:TopicPolicy", "publish", inputs)
    settled(owned, created)
    imports(owned, created)
    spaced = json.dumps({"Version": "2012-10-17", "Statement": allow}, indent=2)
    assert changes(owned, created, {"arn": topic, "policy": spaced}) == []
    owned.delete(created)
    document = json.loads(boto("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])
    assert document["Statement"][0]["Sid"] == "__default_statement_ID"


def test_subscription_has_a_filter_policy_and_is_deleted(
    owned: Client, boto: Boto, topic: str
) -> None:
    queue = "arn:aws:sqs:us-east-1:123456789012:bells"
    boto("sqs").create_queue(QueueName="bells")
    inputs = {"topic": topic, "protocol": "sqs", "endpoint": queue}
    created = owned.create("aws:sns/topicSubscription:TopicSubscription", "bells", inputs)
    settled(owned, created)
    imports(owned, created)
    assert replaces(owned, created, {**inputs, "protocol": "https"}) == ["protocol"]
    created = owned.update(
        created, {**inputs, "filterPolicy": '{"kind": ["alarm"]}', "rawMessageDelivery": True}
    )
    live = boto("sns").get_subscription_attributes(SubscriptionArn=created.id)["Attributes"]
    assert json.loads(live["FilterPolicy"]) == {"kind": ["alarm"]}
    assert live["RawMessageDelivery"] == "true"
    owned.delete(created)
    assert owned.read(created) is None


def alarm(topic: str) -> dict[str, Any]:
    return {
        "name": "errors",
        "comparisonOperator": "GreaterThanThreshold",
        "evaluationPeriods": 2,
        "metricName": "HTTPCode_Target_5XX_Count",
        "namespace": "AWS/ApplicationELB",
        "dimensions": {"LoadBalancer": "app/web/1"},
        "period": 60,
        "statistic": "Sum",
        "threshold": 5,
        "treatMissingData": "notBreaching",
        "alarmActions": [topic],
        "tags": {"Name": "errors"},
    }


def test_alarm_is_replaced_by_an_update(owned: Client, boto: Boto, topic: str) -> None:
    inputs = alarm(topic)
    created = owned.create("aws:cloudwatch/metricAlarm:MetricAlarm", "errors", inputs)
    settled(owned, created)
    imports(owned, created)
    assert replaces(owned, created, {**inputs, "name": "other"}) == ["name"]
    created = owned.update(
        created, {**inputs, "threshold": 7.5, "alarmActions": [], "tags": {"Name": "changed"}}
    )
    live = boto("cloudwatch").describe_alarms(AlarmNames=["errors"])["MetricAlarms"][0]
    assert (live["Threshold"], live["AlarmActions"], live["Dimensions"]) == (
        7.5,
        [],
        [{"Name": "LoadBalancer", "Value": "app/web/1"}],
    )
    tags = boto("cloudwatch").list_tags_for_resource(ResourceARN=created.state["arn"])["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"Name": "changed", "Owner": "us"}
    settled(owned, created)
    owned.delete(created)
    assert owned.read(created) is None


def test_an_alarm_on_an_expression_keeps_its_queries(owned: Client) -> None:
    metric = {
        "metricName": "Requests",
        "namespace": "App",
        "period": 60,
        "stat": "Sum",
        "dimensions": {"Service": "web"},
    }
    inputs = {
        "name": "ratio",
        "comparisonOperator": "GreaterThanThreshold",
        "evaluationPeriods": 1,
        "threshold": 1,
        "metricQueries": [
            {"id": "ratio", "expression": "requests * 2", "label": "twice", "returnData": True},
            {"id": "requests", "metric": metric},
        ],
    }
    created = owned.create("aws:cloudwatch/metricAlarm:MetricAlarm", "ratio", inputs)
    settled(owned, created)
    imports(owned, created)
    owned.delete(created)


def test_an_alarm_without_a_statistic_is_refused(owned: Client, topic: str) -> None:
    inputs = {key: value for key, value in alarm(topic).items() if key != "statistic"}
    with pytest.raises(
        CheckFailed, match="statistic: one of `statistic` or `extendedStatistic` must be set"
    ):
        owned.check("aws:cloudwatch/metricAlarm:MetricAlarm", "x", inputs)


def test_composite_alarm_refers_to_alarms(owned: Client, boto: Boto, topic: str) -> None:
    one = owned.create(
        "aws:cloudwatch/metricAlarm:MetricAlarm", "one", {**alarm(topic), "name": "one"}
    )
    inputs = {"alarmName": "any", "alarmRule": "ALARM(one)", "alarmActions": [topic]}
    created = owned.create("aws:cloudwatch/compositeAlarm:CompositeAlarm", "any", inputs)
    settled(owned, created)
    imports(owned, created)
    assert replaces(owned, created, {**inputs, "alarmName": "all"}) == ["alarmName"]
    created = owned.update(created, {**inputs, "alarmRule": "NOT ALARM(one)"})
    live = boto("cloudwatch").describe_alarms(AlarmTypes=["CompositeAlarm"])["CompositeAlarms"][0]
    assert live["AlarmRule"] == "NOT ALARM(one)"
    owned.delete(created)
    assert owned.read(created) is None
    owned.delete(one)


def test_dashboard_is_compared_semantically(owned: Client, boto: Boto) -> None:
    body = {
        "widgets": [
            {
                "type": "text",
                "x": 0,
                "y": 0,
                "width": 6,
                "height": 2,
                "properties": {"markdown": "hi"},
            }
        ]
    }
    inputs = {"dashboardName": "app", "dashboardBody": json.dumps(body)}
    created = owned.create("aws:cloudwatch/dashboard:Dashboard", "app", inputs)
    settled(owned, created)
    imports(owned, created)
    assert changes(owned, created, {**inputs, "dashboardBody": json.dumps(body, indent=4)}) == []
    body["widgets"][0]["width"] = 12
    created = owned.update(created, {**inputs, "dashboardBody": json.dumps(body)})
    live = json.loads(boto("cloudwatch").get_dashboard(DashboardName="app")["DashboardBody"])
    assert live["widgets"][0]["width"] == 12
    owned.delete(created)
    assert owned.read(created) is None


def test_rule_and_target_are_created_and_deleted_in_order(
    owned: Client, boto: Boto, topic: str
) -> None:
    inputs = {
        "name": "runs",
        "eventPattern": '{"source": ["aws.codepipeline"]}',
        "tags": {"Name": "runs"},
    }
    rule = owned.create("aws:cloudwatch/eventRule:EventRule", "runs", inputs)
    settled(owned, rule)
    imports(owned, rule)
    assert replaces(owned, rule, {**inputs, "eventBusName": "other"}) == ["eventBusName"]
    rule = owned.update(rule, {**inputs, "description": "every run", "state": "DISABLED"})
    live = boto("events").describe_rule(Name="runs")
    assert (live["Description"], live["State"]) == ("every run", "DISABLED")

    asked = {
        "rule": "runs",
        "arn": topic,
        "inputTransformer": {
            "inputPaths": {"state": "$.detail.state"},
            "inputTemplate": '"It is <state>"',
        },
    }
    target = owned.create("aws:cloudwatch/eventTarget:EventTarget", "topic", asked)
    name = target.state["targetId"]
    assert target.id == f"runs-{name}"
    settled(owned, target)
    imports(owned, target, f"runs/{name}")
    assert replaces(owned, target, {**asked, "targetId": "other"}) == ["targetId"]
    target = owned.update(target, {"rule": "runs", "arn": topic, "input": '{"it": "ran"}'})
    [result] = boto("events").list_targets_by_rule(Rule="runs")["Targets"]
    assert (result["Input"], "InputTransformer" in result) == ('{"it": "ran"}', False)
    owned.delete(target)
    assert owned.read(target) is None
    owned.delete(rule)
    assert owned.read(rule) is None


def test_a_rule_without_pattern_or_schedule_is_refused(owned: Client) -> None:
    with pytest.raises(CheckFailed, match="one of eventPattern, scheduleExpression must be set"):
        owned.check("aws:cloudwatch/eventRule:EventRule", "x", {"name": "x"})


def test_budget_updates_limit_and_notifications(owned: Client, boto: Boto) -> None:
    message = {
        "comparisonOperator": "GREATER_THAN",
        "notificationType": "FORECASTED",
        "threshold": 80,
        "thresholdType": "PERCENTAGE",
        "subscriberEmailAddresses": ["a@example.com"],
    }
    inputs = {
        "name": "monthly",
        "budgetType": "COST",
        "limitAmount": "100",
        "limitUnit": "USD",
        "timeUnit": "MONTHLY",
        "notifications": [message],
    }
    created = owned.create("aws:budgets/budget:Budget", "monthly", inputs)
    assert created.id == "123456789012:monthly"
    settled(owned, created)
    imports(owned, created)
    assert changes(owned, created, {**inputs, "limitAmount": "100.0"}) == []
    assert replaces(owned, created, {**inputs, "name": "other"}) == ["name"]
    news = {**inputs, "limitAmount": "200", "notifications": [{**message, "threshold": 100}]}
    created = owned.update(created, news)
    of = {"AccountId": "123456789012", "BudgetName": "monthly"}
    assert float(boto("budgets").describe_budget(**of)["Budget"]["BudgetLimit"]["Amount"]) == 200
    [live] = boto("budgets").describe_notifications_for_budget(**of)["Notifications"]
    assert live["Threshold"] == 100
    settled(owned, created)
    owned.delete(created)
    assert owned.read(created) is None


def test_secret_is_created_without_value_and_deleted_by_recovery_window(
    owned: Client, boto: Boto
) -> None:
    inputs = {
        "name": "app/token",
        "description": "a token",
        "recoveryWindowInDays": 0,
        "tags": {"Name": "token"},
    }
    created = owned.create("aws:secretsmanager/secret:Secret", "token", inputs)
    assert created.id == created.state["arn"]
    settled(owned, created)
    imports(owned, created)
    assert replaces(owned, created, {**inputs, "name": "other"}) == ["name"]
    created = owned.update(created, {**inputs, "description": "another"})
    assert boto("secretsmanager").describe_secret(SecretId=created.id)["Description"] == "another"
    owned.delete(created)
    assert owned.read(created) is None

    remaining = owned.create("aws:secretsmanager/secret:Secret", "kept", {"name": "kept"})
    owned.delete(remaining)
    assert boto("secretsmanager").describe_secret(SecretId="kept")["DeletedDate"]
    assert owned.read(remaining) is None
    with pytest.raises(
        CheckFailed,
        match="recoveryWindowInDays: must be 0 \\(delete immediately\\) or from 7 to 30",
    ):
        owned.check("aws:secretsmanager/secret:Secret", "x", {"recoveryWindowInDays": 3})
