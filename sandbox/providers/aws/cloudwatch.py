"""CloudWatch: metric alarms, composite alarms, dashboards. Replacements: pulumi_aws's
documentation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sandbox.providers.aws.marshalling import filled, tag_list, tag_map, without_none
from sandbox.providers.aws.properties import (
    block,
    boolean,
    integer,
    json_text,
    length,
    map_of,
    number,
    set_of,
    text,
)
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Properties

_COMPARISONS = (
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
    "LessThanLowerOrGreaterThanUpperThreshold",
    "LessThanLowerThreshold",
    "GreaterThanUpperThreshold",
)
_STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
_ACTIONS = {
    "actionsEnabled": boolean(default=True),
    "alarmActions": set_of(text()),
    "alarmDescription": text(rule=length(0, 1024)),
    "insufficientDataActions": set_of(text()),
    "okActions": set_of(text()),
}
# Properties whose API name is not just capitalized.
_SPELLINGS = {
    "okActions": "OKActions",
    "name": "AlarmName",
    "evaluateLowSampleCountPercentiles": "EvaluateLowSampleCountPercentile",
    "metricQueries": "Metrics",
}


class _Alarm(Handler):
    """The common part of metric and composite alarms."""

    tagged = True
    missing = ("ResourceNotFound",)

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the alarm."""
        if drop:
            call.client("cloudwatch").untag_resource(ResourceARN=state["arn"], TagKeys=list(drop))
        if put:
            call.client("cloudwatch").tag_resource(ResourceARN=state["arn"], Tags=tag_list(put))

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the alarm."""
        call.client("cloudwatch").delete_alarms(AlarmNames=[id])

    def _described(self, call: Call, id: str, kind: str) -> dict[str, Any] | None:
        response = call.client("cloudwatch").describe_alarms(AlarmNames=[id], AlarmTypes=[kind])
        alarms: list[dict[str, Any]] = response.get(f"{kind}s") or []
        if not alarms:
            return None
        tags = call.client("cloudwatch").list_tags_for_resource(ResourceARN=alarms[0]["AlarmArn"])
        return {**alarms[0], "tagsAll": tag_map(tags["Tags"])}


class MetricAlarm(_Alarm):
    """An alarm on a metric or on an expression over metrics."""

    token = "aws:cloudwatch/metricAlarm:MetricAlarm"
    noun = "CloudWatch Metric Alarm"
    inputs = {
        **_ACTIONS,
        "name": text(replaces=True, rule=length(1, 255)),
        "comparisonOperator": text(required=True, one_of=_COMPARISONS),
        "evaluationPeriods": integer(required=True),
        "datapointsToAlarm": integer(),
        "threshold": number(),
        "thresholdMetricId": text(),
        "metricName": text(),
        "namespace": text(),
        "dimensions": map_of(),
        "period": integer(),
        "statistic": text(one_of=_STATISTICS),
        "extendedStatistic": text(),
        "unit": text(),
        "evaluateLowSampleCountPercentiles": text(computed=True, one_of=("evaluate", "ignore")),
        "treatMissingData": text(
            default="missing", one_of=("breaching", "notBreaching", "ignore", "missing")
        ),
        "metricQueries": set_of(
            block(
                {
                    "id": text(required=True),
                    "accountId": text(),
                    "expression": text(),
                    "label": text(),
                    "period": integer(),
                    "returnData": boolean(),
                    "metric": block(
                        {
                            "metricName": text(required=True),
                            "namespace": text(),
                            "period": integer(required=True),
                            "stat": text(required=True),
                            "unit": text(),
                            "dimensions": map_of(),
                        }
                    ),
                }
            )
        ),
    }
    outputs = ("arn",)
    autoname = AutoName("name", 255)
    conflicts = (
        ("statistic", "extendedStatistic"),
        ("metricName", "metricQueries"),
        ("threshold", "thresholdMetricId"),
    )
    one_needed = (("metricName", "metricQueries"),)

    def validate(self, call: Call, inputs: Properties) -> Iterable[tuple[str, str]]:
        """Require a metric's statistic, namespace and period."""
        if not inputs.get("metricName"):
            return
        if not inputs.get("statistic") and not inputs.get("extendedStatistic"):
            yield (
                "statistic",
                (
                    "one of `statistic` or `extendedStatistic` must be set for a given cloudwatch "
                    "metric alarm"
                ),
            )
        for key in ("namespace", "period"):
            if inputs.get(key) is None:
                yield key, "is required with metricName"

    def create(self, call: Call, inputs: Properties) -> str:
        """Put the alarm."""
        self._put(call, inputs, Tags=tag_list(inputs["tagsAll"]))
        return call.record_created(inputs["name"])

    def _put(self, call: Call, inputs: Properties, **more: Any) -> None:
        request = {
            _SPELLINGS.get(key, key[0].upper() + key[1:]): value
            for key, value in inputs.items()
            if key in self.inputs
            and key not in ("dimensions", "metricQueries")
            and value not in (None, "", [])
        }
        request["Dimensions"] = _dimensions(inputs.get("dimensions"))
        request["Metrics"] = [_query(query) for query in inputs.get("metricQueries") or ()]
        call.client("cloudwatch").put_metric_alarm(
            **{k: v for k, v in request.items() if v != []}, **filled(**more)
        )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the alarm."""
        resource = self._described(call, id, "MetricAlarm")
        if resource is None:
            return None
        live: Properties = {
            key: resource.get(_SPELLINGS.get(key, key[0].upper() + key[1:])) for key in self.inputs
        }
        live["dimensions"] = {d["Name"]: d["Value"] for d in resource.get("Dimensions") or ()}
        live["metricQueries"] = [_queried(query) for query in resource.get("Metrics") or ()]
        return {**live, "arn": resource["AlarmArn"], "tagsAll": resource["tagsAll"]}

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Replace the alarm's definition."""
        self._put(call, new)


class CompositeAlarm(_Alarm):
    """An alarm over other alarms."""

    token = "aws:cloudwatch/compositeAlarm:CompositeAlarm"
    noun = "CloudWatch Composite Alarm"
    inputs = {
        **_ACTIONS,
        "actionsEnabled": boolean(default=True, replaces=True),
        "alarmName": text(required=True, replaces=True, rule=length(1, 255)),
        "alarmRule": text(required=True, rule=length(1, 10240)),
        "actionsSuppressor": block(
            {
                "alarm": text(required=True),
                "extensionPeriod": integer(required=True),
                "waitPeriod": integer(required=True),
            }
        ),
    }
    outputs = ("arn",)

    def create(self, call: Call, inputs: Properties) -> str:
        """Put the alarm."""
        self._put(call, inputs, Tags=tag_list(inputs["tagsAll"]))
        return call.record_created(inputs["alarmName"])

    def _put(self, call: Call, inputs: Properties, **more: Any) -> None:
        suppressor = inputs.get("actionsSuppressor") or {}
        call.client("cloudwatch").put_composite_alarm(
            ActionsEnabled=inputs["actionsEnabled"],
            **filled(
                AlarmName=inputs["alarmName"],
                AlarmRule=inputs["alarmRule"],
                AlarmDescription=inputs.get("alarmDescription"),
                AlarmActions=inputs.get("alarmActions"),
                InsufficientDataActions=inputs.get("insufficientDataActions"),
                OKActions=inputs.get("okActions"),
                ActionsSuppressor=suppressor.get("alarm"),
                **more,
            ),
            **without_none(
                ActionsSuppressorExtensionPeriod=suppressor.get("extensionPeriod"),
                ActionsSuppressorWaitPeriod=suppressor.get("waitPeriod"),
            ),
        )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the alarm."""
        resource = self._described(call, id, "CompositeAlarm")
        if resource is None:
            return None
        suppressor = resource.get("ActionsSuppressor")
        return {
            "alarmName": resource["AlarmName"],
            "alarmRule": resource["AlarmRule"],
            "alarmDescription": resource.get("AlarmDescription"),
            "actionsEnabled": resource.get("ActionsEnabled", True),
            "alarmActions": resource.get("AlarmActions") or [],
            "insufficientDataActions": resource.get("InsufficientDataActions") or [],
            "okActions": resource.get("OKActions") or [],
            "actionsSuppressor": {
                "alarm": suppressor,
                "extensionPeriod": resource.get("ActionsSuppressorExtensionPeriod"),
                "waitPeriod": resource.get("ActionsSuppressorWaitPeriod"),
            }
            if suppressor
            else None,
            "arn": resource["AlarmArn"],
            "tagsAll": resource["tagsAll"],
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Replace the alarm's definition."""
        self._put(call, new)


class Dashboard(Handler):
    """A dashboard; an update replaces its body."""

    token = "aws:cloudwatch/dashboard:Dashboard"
    noun = "CloudWatch Dashboard"
    inputs = {
        "dashboardName": text(required=True, replaces=True, rule=length(1, 255)),
        "dashboardBody": json_text(required=True),
    }
    outputs = ("dashboardArn",)
    missing = ("ResourceNotFound", "ResourceNotFoundException", "DashboardNotFoundError")

    def create(self, call: Call, inputs: Properties) -> str:
        """Put the dashboard."""
        self._put(call, inputs)
        return call.record_created(inputs["dashboardName"])

    def _put(self, call: Call, inputs: Properties) -> None:
        response = call.client("cloudwatch").put_dashboard(
            DashboardName=inputs["dashboardName"], DashboardBody=inputs["dashboardBody"]
        )
        for message in response.get("DashboardValidationMessages") or ():
            call.resource.log(
                "warning", f"{message.get('DataPath', 'dashboard')}: {message['Message']}"
            )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the dashboard."""
        resource = call.client("cloudwatch").get_dashboard(DashboardName=id)
        return {
            "dashboardName": resource["DashboardName"],
            "dashboardBody": resource["DashboardBody"],
            "dashboardArn": resource["DashboardArn"],
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Replace the body."""
        self._put(call, new)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the dashboard."""
        call.client("cloudwatch").delete_dashboards(DashboardNames=[id])


def _dimensions(values: Mapping[str, str] | None) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in (values or {}).items()]


def _query(query: Mapping[str, Any]) -> dict[str, Any]:
    metric = query.get("metric")
    stat = metric and filled(
        Metric=filled(
            MetricName=metric["metricName"],
            Namespace=metric.get("namespace"),
            Dimensions=_dimensions(metric.get("dimensions")),
        ),
        Period=metric["period"],
        Stat=metric["stat"],
        Unit=metric.get("unit"),
    )
    return {
        **filled(
            Id=query["id"],
            AccountId=query.get("accountId"),
            Expression=query.get("expression"),
            Label=query.get("label"),
            Period=query.get("period"),
            MetricStat=stat,
        ),
        "ReturnData": bool(query.get("returnData")),
    }


def _queried(query: Mapping[str, Any]) -> Properties:
    stat = query.get("MetricStat") or {}
    metric = stat.get("Metric") or {}
    return {
        **filled(
            id=query["Id"],
            accountId=query.get("AccountId"),
            expression=query.get("Expression"),
            label=query.get("Label"),
            period=query.get("Period"),
            metric=filled(
                metricName=metric.get("MetricName"),
                namespace=metric.get("Namespace"),
                dimensions={d["Name"]: d["Value"] for d in metric.get("Dimensions") or ()},
                period=stat.get("Period"),
                stat=stat.get("Stat"),
                unit=stat.get("Unit"),
            ),
        ),
        "returnData": bool(query.get("ReturnData")),
    }


TYPES = (MetricAlarm(), CompositeAlarm(), Dashboard())
