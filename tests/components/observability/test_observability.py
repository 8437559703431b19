"""Observability component: topic key and release alarms."""

import json

from components.observability import Observability
from components.observability.topic import PUBLISHERS, UNCONDITIONAL
from components.pipeline.stages import MAX_ALARMS
from tests.components.factories import observability, record


def test_topic_key_admits_publishers_of_the_account_and_notification_rules_through_sns() -> None:
    recording = record(lambda: observability("one"))
    policy = json.loads(recording.one("aws:kms/key:Key", "one").inputs["policy"])
    services = [
        (statement["Principal"]["Service"], statement["Condition"])
        for statement in policy["Statement"]
        if "Service" in statement["Principal"]
    ]
    assert services == [
        (PUBLISHERS, {"StringEquals": {"aws:SourceAccount": "123456789012"}}),
        (
            UNCONDITIONAL,
            {"StringEquals": {"kms:ViaService": "sns.us-east-1.amazonaws.com"}},
        ),
    ]


def test_topic_policy_has_no_condition_for_notification_rules() -> None:
    recording = record(lambda: observability("one"))
    policy = json.loads(recording.one("aws:sns/topicPolicy:TopicPolicy", "one").inputs["policy"])
    conditions = {
        tuple(statement["Principal"]["Service"]): statement.get("Condition")
        for statement in policy["Statement"]
    }
    assert conditions == {
        tuple(PUBLISHERS): {"StringEquals": {"aws:SourceAccount": "123456789012"}},
        tuple(UNCONDITIONAL): None,
    }


def test_alarm_on_unschedulable_pods_is_created_after_the_workload() -> None:
    """During the first `up`, pods wait for the first nodes."""
    recording = record(lambda: observability("one"))
    alarm = "aws:cloudwatch/metricAlarm:MetricAlarm"
    workload = "pulumi:providers:kubernetes::one-workload"
    assert workload in recording.one(alarm, "one-unscheduled").depends_on
    assert workload not in recording.one(alarm, "one-api-errors").depends_on


def test_release_alarms_are_all_metric_alarms_and_fit_one_condition() -> None:
    components: list[Observability] = []
    recording = record(
        lambda: components.append(observability("one", database_identifier="test-database"))
    )
    alarms = recording.all("aws:cloudwatch/metricAlarm:MetricAlarm")
    assert len(components[0].release_alarm_names) == len(alarms) <= MAX_ALARMS


def test_scan_findings_and_database_events_reach_the_topic() -> None:
    recording = record(lambda: observability("one", database_identifier="db"))
    topic = recording.one("aws:cloudwatch/eventTarget:EventTarget", "one-scan-findings").inputs
    subscription = recording.one("aws:rds/eventSubscription:EventSubscription", "one-database")
    assert topic["arn"] == subscription.inputs["snsTopic"]
    assert subscription.inputs["sourceIds"] == ["db"]
    rule = recording.one("aws:cloudwatch/eventRule:EventRule", "one-scan-findings").inputs
    assert json.loads(rule["eventPattern"])["detail"] == {
        "scan-status": ["COMPLETE"],
        "repository-name": ["test/image"],
        "finding-severity-counts": {
            "$or": [{"CRITICAL": [{"numeric": [">", 0]}]}, {"HIGH": [{"numeric": [">", 0]}]}]
        },
    }
