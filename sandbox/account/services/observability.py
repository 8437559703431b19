"""CloudWatch, Logs and SNS where moto differs: alarms, retention, keys, topic policies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends, policy_documents
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import checks, implements

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

# CloudWatch Logs API reference, PutRetentionPolicy
_RETENTION = {
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
}
_ALARM = re.compile(r"\b(?:ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*\"?([^\"()]+?)\"?\s*\)")
_WEEK = 7 * 86400


def _wrong(text: str) -> AwsError:
    return AwsError("ValidationError", text)


@checks("cloudwatch", "PutMetricAlarm")
def check_alarm(context: RequestContext, call: Call) -> None:  # noqa: ARG001
    """Validate an alarm: one metric or expression, valid periods. Source: PutMetricAlarm."""
    metrics, name = call.get("Metrics"), call.get("MetricName")
    if bool(metrics) == bool(name):
        raise _wrong("Either MetricName or Metrics must be specified, and not both")
    if metrics and (call.get("Period") or call.get("Statistic") or call.get("Namespace")):
        raise _wrong("Period, Statistic and Namespace must not be set with Metrics")
    if metrics and [m.get("ReturnData", True) for m in metrics].count(True) != 1:
        raise _wrong("Exactly one element of the metrics list should return data.")
    if name:
        if not (call.get("Namespace") and call.get("Period")):
            raise _wrong("MetricName needs Namespace and Period")
        if bool(call.get("Statistic")) == bool(call.get("ExtendedStatistic")):
            raise _wrong("Either Statistic or ExtendedStatistic must be set, and not both")
        period = call["Period"]
        if period not in {10, 20, 30} and period % 60:
            raise _wrong(f"Period must be 10, 20, 30 or a multiple of 60, not {period}")
        if period * call["EvaluationPeriods"] > (86400 if period < 3600 else _WEEK):
            raise _wrong(
                "Metrics cannot be checked across more than a day (a week for periods of an "
                "hour and more)"
            )
    if call.get("DatapointsToAlarm", 0) > call["EvaluationPeriods"]:
        raise _wrong("DatapointsToAlarm cannot be more than EvaluationPeriods")
    if call.get("TreatMissingData") not in {None, "breaching", "notBreaching", "ignore", "missing"}:
        raise _wrong(f"TreatMissingData cannot be {call['TreatMissingData']}")
    _check_actions(call)


def _check_actions(call: Call) -> None:
    for name in ("AlarmActions", "OKActions", "InsufficientDataActions"):
        for arn in call.get(name) or []:
            if not arn.startswith("arn:aws"):
                raise _wrong(f"Invalid arn syntax: {arn}")
            if arn.startswith("arn:aws:sns:") and arn.split(":")[3] != call.region:
                raise _wrong(
                    f"Invalid region {arn.split(':')[3]} specified. Only {call.region} is "
                    "supported."
                )


@implements("cloudwatch", "PutCompositeAlarm")
def put_composite_alarm(context: RequestContext, call: Call) -> dict[str, Any]:
    """Create a composite alarm of existing alarms; its state does not change by itself."""
    backend, rule = context.backend("cloudwatch", call.region), call["AlarmRule"]
    children = {child.rpartition(":alarm:")[2] for child in _ALARM.findall(rule)}
    if not children and rule.strip() not in {"TRUE", "FALSE"}:
        raise _wrong(
            'AlarmRule must contain at least one alarm: ALARM("name"), OK("name"), '
            'INSUFFICIENT_DATA("name")'
        )
    for child in sorted(children):
        if child not in backend.alarms:
            raise _wrong(
                f"Could not save the composite alarm as alarms [{child}] in the alarm rule do "
                "not exist"
            )
    if call["AlarmName"] in children:
        raise _wrong("A composite alarm cannot depend on itself")
    _check_actions(call)
    backend.put_metric_alarm(
        name=call["AlarmName"],
        namespace=None,
        metric_name=None,
        metric_data_queries=None,
        comparison_operator=None,
        evaluation_periods=None,
        datapoints_to_alarm=None,
        period=None,
        threshold=None,
        statistic=None,
        extended_statistic=None,
        description=call.get("AlarmDescription"),
        dimensions=[],
        alarm_actions=call.get("AlarmActions") or [],
        ok_actions=call.get("OKActions") or [],
        insufficient_data_actions=call.get("InsufficientDataActions") or [],
        unit=None,
        actions_enabled=call.get("ActionsEnabled", True),
        treat_missing_data=None,
        evaluate_low_sample_count_percentile=None,
        threshold_metric_id=None,
        rule=rule,
        tags=call.get("Tags") or [],
    )
    return {}


@checks("logs", "PutRetentionPolicy")
def check_retention(context: RequestContext, call: Call) -> None:  # noqa: ARG001
    """Validate the retention of a log group."""
    if call["retentionInDays"] not in _RETENTION:
        choices = ", ".join(map(str, sorted(_RETENTION)))
        text = (
            f"1 validation error detected: Value '{call['retentionInDays']}' at 'retentionInDays' "
            f"failed to satisfy constraint: Member must satisfy enum value set: [{choices}]"
        )
        raise AwsError("InvalidParameterException", text)


@checks("logs", "CreateLogGroup", "AssociateKmsKey")
def check_log_key(context: RequestContext, call: Call) -> None:
    """Validate a log group's key: enabled, and its policy allows CloudWatch Logs."""
    arn = call.get("kmsKeyId")
    if not arn:
        return
    found = moto_backends.key(context, call.region, arn)
    allowed = (
        found is not None
        and found.key_state == "Enabled"
        and f"logs.{call.region}.amazonaws.com" in str(found.policy)
    )
    if not allowed:
        reason = (
            "it does not exist"
            if found is None
            else f"it must be enabled and its policy must allow logs.{call.region}.amazonaws.com"
        )
        text = (
            "The specified KMS key does not exist or is not allowed to be used with LogGroup "
            f"({arn}: {reason})"
        )
        raise AwsError("InvalidParameterException", text)


@implements("logs", "AssociateKmsKey")
def associate_key(context: RequestContext, call: Call) -> dict[str, Any]:
    """Associate a key with a log group."""
    _log_group(context, call).kms_key_id = call["kmsKeyId"]
    return {}


@implements("logs", "DisassociateKmsKey")
def disassociate_key(context: RequestContext, call: Call) -> dict[str, Any]:
    """Disassociate the key from a log group."""
    _log_group(context, call).kms_key_id = None
    return {}


def _log_group(context: RequestContext, call: Call) -> Any:
    groups = context.backend("logs", call.region).groups
    name = (
        call.get("logGroupName")
        or (call.get("resourceIdentifier") or "").partition(":log-group:")[2]
    )
    if name not in groups:
        raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
    return groups[name]


@checks("sns", "SetTopicAttributes", "CreateTopic")
def check_topic_policy(context: RequestContext, call: Call) -> None:
    """Validate a topic policy."""
    document = (call.get("Attributes") or {}).get("Policy")
    if call.get("AttributeName") == "Policy":
        document = call.get("AttributeValue")
    if not document:
        return

    def invalid(text: str) -> AwsError:
        return AwsError("InvalidParameter", f"Invalid parameter: Policy Error: {text}")

    found = policy_documents.statements(document, invalid, principal=True)
    policy_documents.check_principals(context, found, invalid)
    for statement in found:
        actions = statement.get("Action", [])
        for action in [actions] if isinstance(actions, str) else actions:
            if not re.match(r"(?i)sns:|\*$", action):
                raise AwsError(
                    "InvalidParameter",
                    "Invalid parameter: Policy statement action out of service scope!",
                )
