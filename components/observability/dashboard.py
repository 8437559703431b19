"""CloudWatch dashboard of an environment."""

import json
from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from components.aws.context import aws_context
from components.observability.alarms import EKS, PENDING_PODS, RDS


def dashboard(
    name: str,
    *,
    physical: str,
    alarms: Sequence[aws.cloudwatch.MetricAlarm],
    cluster_name: pulumi.Input[str],
    database_identifier: pulumi.Input[str] | None,
    parent: pulumi.Resource,
) -> None:
    """Create the dashboard: alarms, Kubernetes API and, where there is one, the database."""
    aws.cloudwatch.Dashboard(
        name,
        dashboard_name=physical,
        dashboard_body=pulumi.Output.all(
            alarm_arns=[alarm.arn for alarm in alarms],
            region=aws_context(parent).region,
            cluster_name=cluster_name,
            database_identifier=database_identifier,
        ).apply(lambda values: _body(**values)),
        opts=pulumi.ResourceOptions(parent=parent),
    )


def _body(
    *,
    alarm_arns: Sequence[str],
    region: str,
    cluster_name: str,
    database_identifier: str | None,
) -> str:
    def graph(title: str, *metrics: list[str]) -> dict[str, Any]:
        properties = {"title": title, "region": region, "metrics": list(metrics), "period": 60}
        return {"type": "metric", "width": 12, "height": 6, "properties": properties}

    cluster = ["ClusterName", cluster_name]
    widgets: list[dict[str, Any]] = [
        {
            "type": "alarm",
            "width": 24,
            "height": 3,
            "properties": {"title": "Alarms", "alarms": alarm_arns},
        },
        graph("Kubernetes API requests", [EKS, "apiserver_request_total", *cluster]),
        graph("Pods without a machine", [EKS, PENDING_PODS, *cluster]),
    ]
    if database_identifier:
        database = ["DBInstanceIdentifier", database_identifier]
        widgets += [
            graph("Database connections", [RDS, "DatabaseConnections", *database]),
            graph("Database CPU, %", [RDS, "CPUUtilization", *database]),
        ]
    return json.dumps({"widgets": widgets})
