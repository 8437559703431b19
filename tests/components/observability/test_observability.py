"""Observability component: topic key and release alarms."""

import json

from components.observability import Observability
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
    publishers = [
        "budgets.amazonaws.com",
        "cloudwatch.amazonaws.com",
        "codestar-notifications.amazonaws.com",
    ]
    assert services == [
        (publishers, {"StringEquals": {"aws:SourceAccount": "123456789012"}}),
        (publishers[2:], {"StringEquals": {"kms:ViaService": "sns.us-east-1.amazonaws.com"}}),
    ]


def test_release_alarms_are_all_metric_alarms_and_fit_one_condition() -> None:
    components: list[Observability] = []
    recording = record(
        lambda: components.append(observability("one", database_identifier="test-database"))
    )
    alarms = recording.all("aws:cloudwatch/metricAlarm:MetricAlarm")
    assert len(components[0].release_alarm_names) == len(alarms) <= MAX_ALARMS
