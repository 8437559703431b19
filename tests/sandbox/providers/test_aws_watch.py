"""What watches a release, through the AWS provider: topics, alarms, dashboards, events, budgets and secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sandbox.providers.engine_client import CheckFailed, Client
from tests.sandbox.providers.life import Boto, changes, imports, replaces, settled


@pytest.fixture(scope="module")
def topic(boto: Boto) -> str:
    return str(boto("sns").create_topic(Name="watch")["TopicArn"])


def test_a_topic_changes_its_settings_and_tags_in_place(owned: Client, boto: Boto) -> None:
    given = {"displayName": "Alarms", "tags": {"Name": "alarms"}}
    made = owned.create("aws:sns/topic:Topic", "alarms", given)
    assert made.id == made.state["arn"]
    settled(owned, made)
    imports(owned, made)
    assert replaces(owned, made, {**given, "name": "other"}) == ["name"]
    assert replaces(owned, made, {**given, "fifoTopic": True}) == ["fifoTopic"]
    made = owned.update(made, {"displayName": "Bells", "tags": {"Name": "bells"}})
    assert boto("sns").get_topic_attributes(TopicArn=made.id)["Attributes"]["DisplayName"] == "Bells"
    tags = boto("sns").list_tags_for_resource(ResourceArn=made.id)["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"Name": "bells", "Owner": "us"}
    settled(owned, made)
    owned.delete(made)
    assert owned.read(made) is None


def test_a_topic_policy_is_compared_by_meaning_and_taken_back_on_deletion(
    owned: Client, boto: Boto, topic: str
) -> None:
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": topic,
    }
    given = {"arn": topic, "policy": json.dumps({"Version": "2012-10-17", "Statement": [allow]})}
    made = owned.create("aws:sns/topicPolicy:TopicPolicy", "publish", given)
    settled(owned, made)
    imports(owned, made)
    spaced = json.dumps({"Version": "2012-10-17", "Statement": allow}, indent=2)
    assert changes(owned, made, {"arn": topic, "policy": spaced}) == []
    owned.delete(made)
    document = json.loads(boto("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])
    assert document["Statement"][0]["Sid"] == "__default_statement_ID"


def test_a_subscription_filters_and_ends(owned: Client, boto: Boto, topic: str) -> None:
    queue = "arn:aws:sqs:us-east-1:123456789012:bells"
    boto("sqs").create_queue(QueueName="bells")
    given = {"topic": topic, "protocol": "sqs", "endpoint": queue}
    made = owned.create("aws:sns/topicSubscription:TopicSubscription", "bells", given)
    settled(owned, made)
    imports(owned, made)
    assert replaces(owned, made, {**given, "protocol": "https"}) == ["protocol"]
    made = owned.update(made, {**given, "filterPolicy": '{"kind": ["alarm"]}', "rawMessageDelivery": True})
    live = boto("sns").get_subscription_attributes(SubscriptionArn=made.id)["Attributes"]
    assert json.loads(live["FilterPolicy"]) == {"kind": ["alarm"]}
    assert live["RawMessageDelivery"] == "true"
    owned.delete(made)
    assert owned.read(made) is None


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


def test_an_alarm_is_put_again_when_it_changes(owned: Client, boto: Boto, topic: str) -> None:
    given = alarm(topic)
    made = owned.create("aws:cloudwatch/metricAlarm:MetricAlarm", "errors", given)
    settled(owned, made)
    imports(owned, made)
    assert replaces(owned, made, {**given, "name": "other"}) == ["name"]
    made = owned.update(made, {**given, "threshold": 7.5, "alarmActions": [], "tags": {"Name": "changed"}})
    live = boto("cloudwatch").describe_alarms(AlarmNames=["errors"])["MetricAlarms"][0]
    assert (live["Threshold"], live["AlarmActions"], live["Dimensions"]) == (
        7.5,
        [],
        [{"Name": "LoadBalancer", "Value": "app/web/1"}],
    )
    tags = boto("cloudwatch").list_tags_for_resource(ResourceARN=made.state["arn"])["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"Name": "changed", "Owner": "us"}
    settled(owned, made)
    owned.delete(made)
    assert owned.read(made) is None


def test_an_alarm_on_an_expression_keeps_its_queries(owned: Client) -> None:
    metric = {
        "metricName": "Requests",
        "namespace": "App",
        "period": 60,
        "stat": "Sum",
        "dimensions": {"Service": "web"},
    }
    given = {
        "name": "ratio",
        "comparisonOperator": "GreaterThanThreshold",
        "evaluationPeriods": 1,
        "threshold": 1,
        "metricQueries": [
            {"id": "ratio", "expression": "requests * 2", "label": "twice", "returnData": True},
            {"id": "requests", "metric": metric},
        ],
    }
    made = owned.create("aws:cloudwatch/metricAlarm:MetricAlarm", "ratio", given)
    settled(owned, made)
    imports(owned, made)
    owned.delete(made)


def test_an_alarm_without_a_statistic_is_refused(owned: Client, topic: str) -> None:
    given = {key: value for key, value in alarm(topic).items() if key != "statistic"}
    with pytest.raises(CheckFailed, match="statistic: one of `statistic` or `extendedStatistic` must be set"):
        owned.check("aws:cloudwatch/metricAlarm:MetricAlarm", "x", given)


def test_a_composite_alarm_watches_others(owned: Client, boto: Boto, topic: str) -> None:
    one = owned.create("aws:cloudwatch/metricAlarm:MetricAlarm", "one", {**alarm(topic), "name": "one"})
    given = {"alarmName": "any", "alarmRule": "ALARM(one)", "alarmActions": [topic]}
    made = owned.create("aws:cloudwatch/compositeAlarm:CompositeAlarm", "any", given)
    settled(owned, made)
    imports(owned, made)
    assert replaces(owned, made, {**given, "alarmName": "all"}) == ["alarmName"]
    made = owned.update(made, {**given, "alarmRule": "NOT ALARM(one)"})
    live = boto("cloudwatch").describe_alarms(AlarmTypes=["CompositeAlarm"])["CompositeAlarms"][0]
    assert live["AlarmRule"] == "NOT ALARM(one)"
    owned.delete(made)
    assert owned.read(made) is None
    owned.delete(one)


def test_a_dashboard_is_compared_by_meaning(owned: Client, boto: Boto) -> None:
    body = {"widgets": [{"type": "text", "x": 0, "y": 0, "width": 6, "height": 2, "properties": {"markdown": "hi"}}]}
    given = {"dashboardName": "app", "dashboardBody": json.dumps(body)}
    made = owned.create("aws:cloudwatch/dashboard:Dashboard", "app", given)
    settled(owned, made)
    imports(owned, made)
    assert changes(owned, made, {**given, "dashboardBody": json.dumps(body, indent=4)}) == []
    body["widgets"][0]["width"] = 12
    made = owned.update(made, {**given, "dashboardBody": json.dumps(body)})
    live = json.loads(boto("cloudwatch").get_dashboard(DashboardName="app")["DashboardBody"])
    assert live["widgets"][0]["width"] == 12
    owned.delete(made)
    assert owned.read(made) is None


def test_a_rule_and_its_target_come_and_go_in_order(owned: Client, boto: Boto, topic: str) -> None:
    given = {"name": "runs", "eventPattern": '{"source": ["aws.codepipeline"]}', "tags": {"Name": "runs"}}
    rule = owned.create("aws:cloudwatch/eventRule:EventRule", "runs", given)
    settled(owned, rule)
    imports(owned, rule)
    assert replaces(owned, rule, {**given, "eventBusName": "other"}) == ["eventBusName"]
    rule = owned.update(rule, {**given, "description": "every run", "state": "DISABLED"})
    live = boto("events").describe_rule(Name="runs")
    assert (live["Description"], live["State"]) == ("every run", "DISABLED")

    asked = {
        "rule": "runs",
        "arn": topic,
        "inputTransformer": {"inputPaths": {"state": "$.detail.state"}, "inputTemplate": '"It is <state>"'},
    }
    target = owned.create("aws:cloudwatch/eventTarget:EventTarget", "topic", asked)
    name = target.state["targetId"]
    assert target.id == f"runs-{name}"
    settled(owned, target)
    imports(owned, target, f"runs/{name}")
    assert replaces(owned, target, {**asked, "targetId": "other"}) == ["targetId"]
    target = owned.update(target, {"rule": "runs", "arn": topic, "input": '{"it": "ran"}'})
    [found] = boto("events").list_targets_by_rule(Rule="runs")["Targets"]
    assert (found["Input"], "InputTransformer" in found) == ('{"it": "ran"}', False)
    owned.delete(target)
    assert owned.read(target) is None
    owned.delete(rule)
    assert owned.read(rule) is None


def test_a_rule_without_pattern_or_schedule_is_refused(owned: Client) -> None:
    with pytest.raises(CheckFailed, match="one of eventPattern, scheduleExpression must be given"):
        owned.check("aws:cloudwatch/eventRule:EventRule", "x", {"name": "x"})


def test_a_budget_changes_its_limit_and_whom_it_tells(owned: Client, boto: Boto) -> None:
    told = {
        "comparisonOperator": "GREATER_THAN",
        "notificationType": "FORECASTED",
        "threshold": 80,
        "thresholdType": "PERCENTAGE",
        "subscriberEmailAddresses": ["a@example.com"],
    }
    given = {
        "name": "monthly",
        "budgetType": "COST",
        "limitAmount": "100",
        "limitUnit": "USD",
        "timeUnit": "MONTHLY",
        "notifications": [told],
    }
    made = owned.create("aws:budgets/budget:Budget", "monthly", given)
    assert made.id == "123456789012:monthly"
    settled(owned, made)
    imports(owned, made)
    assert changes(owned, made, {**given, "limitAmount": "100.0"}) == []
    assert replaces(owned, made, {**given, "name": "other"}) == ["name"]
    news = {**given, "limitAmount": "200", "notifications": [{**told, "threshold": 100}]}
    made = owned.update(made, news)
    of = {"AccountId": "123456789012", "BudgetName": "monthly"}
    assert float(boto("budgets").describe_budget(**of)["Budget"]["BudgetLimit"]["Amount"]) == 200
    [live] = boto("budgets").describe_notifications_for_budget(**of)["Notifications"]
    assert live["Threshold"] == 100
    settled(owned, made)
    owned.delete(made)
    assert owned.read(made) is None


def test_a_secret_is_made_empty_and_deleted_at_once_or_after_its_window(owned: Client, boto: Boto) -> None:
    given = {"name": "app/token", "description": "a token", "recoveryWindowInDays": 0, "tags": {"Name": "token"}}
    made = owned.create("aws:secretsmanager/secret:Secret", "token", given)
    assert made.id == made.state["arn"]
    settled(owned, made)
    imports(owned, made)
    assert replaces(owned, made, {**given, "name": "other"}) == ["name"]
    made = owned.update(made, {**given, "description": "another"})
    assert boto("secretsmanager").describe_secret(SecretId=made.id)["Description"] == "another"
    owned.delete(made)
    assert owned.read(made) is None

    kept = owned.create("aws:secretsmanager/secret:Secret", "kept", {"name": "kept"})
    owned.delete(kept)
    assert boto("secretsmanager").describe_secret(SecretId="kept")["DeletedDate"]
    assert owned.read(kept) is None
    with pytest.raises(CheckFailed, match="recoveryWindowInDays: must be 0 \\(delete at once\\) or from 7 to 30"):
        owned.check("aws:secretsmanager/secret:Secret", "x", {"recoveryWindowInDays": 3})
