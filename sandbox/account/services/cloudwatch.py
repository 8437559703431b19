"""CloudWatch where moto differs: validation of alarms, composite alarms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import checks, implements

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

_ALARM = re.compile(r"\b(?:ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*\"?([^\"()]+?)\"?\s*\)")
_WEEK = 7 * 86400


def _invalid(text: str) -> AwsError:
    return AwsError("ValidationError", text)


@checks("cloudwatch", "PutMetricAlarm")
def check_alarm(context: RequestContext, call: Call) -> None:  # noqa: ARG001
    """Validate an alarm: one metric or expression, valid periods. Source: PutMetricAlarm."""
    metrics, name = call.get("Metrics"), call.get("MetricName")
    if bool(metrics) == bool(name):
        raise _invalid("Either MetricName or Metrics must be specified, and not both")
    if metrics and (call.get("Period") or call.get("Statistic") or call.get("Namespace")):
        raise _invalid("Period, Statistic and Namespace must not be set with Metrics")
    if metrics and [m.get("ReturnData", True) for m in metrics].count(True) != 1:
        raise _invalid("Exactly one element of the metrics list should return data.")
    if name:
        if not (call.get("Namespace") and call.get("Period")):
            raise _invalid("MetricName needs Namespace and Period")
        if bool(call.get("Statistic")) == bool(call.get("ExtendedStatistic")):
            raise _invalid("Either Statistic or ExtendedStatistic must be set, and not both")
        period = call["Period"]
        if period not in {10, 20, 30} and period % 60:
            raise _invalid(f"Period must be 10, 20, 30 or a multiple of 60, not {period}")
        if period * call["EvaluationPeriods"] > (86400 if period < 3600 else _WEEK):
            raise _invalid(
                "Metrics cannot be checked across more than a day (a week for periods of an "
                "hour and more)"
            )
    if call.get("DatapointsToAlarm", 0) > call["EvaluationPeriods"]:
        raise _invalid("DatapointsToAlarm cannot be more than EvaluationPeriods")
    if call.get("TreatMissingData") not in {None, "breaching", "notBreaching", "ignore", "missing"}:
        raise _invalid(f"TreatMissingData cannot be {call['TreatMissingData']}")
    _check_actions(call)


def _check_actions(call: Call) -> None:
    for name in ("AlarmActions", "OKActions", "InsufficientDataActions"):
        for arn in call.get(name) or []:
            if not arn.startswith("arn:aws"):
                raise _invalid(f"Invalid arn syntax: {arn}")
            if arn.startswith("arn:aws:sns:") and arn.split(":")[3] != call.region:
                raise _invalid(
                    f"Invalid region {arn.split(':')[3]} specified. Only {call.region} is "
                    "supported."
                )


@implements("cloudwatch", "PutCompositeAlarm")
def put_composite_alarm(context: RequestContext, call: Call) -> dict[str, Any]:
    """Create a composite alarm of existing alarms; its state does not change by itself."""
    backend, rule = context.backend("cloudwatch", call.region), call["AlarmRule"]
    children = {child.rpartition(":alarm:")[2] for child in _ALARM.findall(rule)}
    if not children and rule.strip() not in {"TRUE", "FALSE"}:
        raise _invalid(
            'AlarmRule must contain at least one alarm: ALARM("name"), OK("name"), '
            'INSUFFICIENT_DATA("name")'
        )
    for child in sorted(children):
        if child not in backend.alarms:
            raise _invalid(
                f"Could not save the composite alarm as alarms [{child}] in the alarm rule do "
                "not exist"
            )
    if call["AlarmName"] in children:
        raise _invalid("A composite alarm cannot depend on itself")
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
