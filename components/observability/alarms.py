"""CloudWatch alarms on control plane and database, and the composite alarm of a release."""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

EKS, RDS = "AWS/EKS", "AWS/RDS"
PENDING_PODS = "scheduler_pending_pods_UNSCHEDULABLE"


def kubernetes_alarms(
    name: str,
    physical: str,
    cluster_name: pulumi.Input[str],
    workload: pulumi.Resource | None,
    parent: pulumi.Resource,
) -> list[aws.cloudwatch.MetricAlarm]:
    """Create the alarms on the control plane."""
    dimensions = {"ClusterName": cluster_name}
    return [
        _alarm(
            name,
            physical,
            "unscheduled",
            "Pods find no machine: the release is too large, or the nodes are too few",
            metric=(EKS, PENDING_PODS),
            dimensions=dimensions,
            threshold=0,
            parent=parent,
            depends_on=[] if workload is None else [workload],
        ),
        _alarm(
            name,
            physical,
            "api-errors",
            "The Kubernetes API answers with server errors",
            metric=(EKS, "apiserver_request_total_5XX"),
            dimensions=dimensions,
            threshold=50,
            statistic="Sum",
            parent=parent,
        ),
    ]


def database_alarms(
    name: str, physical: str, identifier: pulumi.Input[str], parent: pulumi.Resource
) -> list[aws.cloudwatch.MetricAlarm]:
    """Create the alarms on the database."""
    dimensions = {"DBInstanceIdentifier": identifier}
    return [
        _alarm(
            name,
            physical,
            "database-cpu",
            "The database computes more than 90 % of the time",
            metric=(RDS, "CPUUtilization"),
            dimensions=dimensions,
            threshold=90,
            parent=parent,
        ),
        _alarm(
            name,
            physical,
            "database-storage",
            "Less than 2 GiB of storage left in the database",
            metric=(RDS, "FreeStorageSpace"),
            dimensions=dimensions,
            threshold=2 * 1024**3,
            statistic="Minimum",
            parent=parent,
        ),
    ]


def release_alarm(
    name: str,
    physical: str,
    alarm_names: Sequence[pulumi.Output[str]],
    topic_arn: pulumi.Input[str],
    parent: pulumi.Resource,
) -> None:
    """Create the composite alarm, which notifies people about any of the metric alarms."""
    aws.cloudwatch.CompositeAlarm(
        name,
        alarm_name=f"{physical}-release",
        alarm_description="Any alarm of this environment: not a time to release",
        alarm_rule=pulumi.Output.all(*alarm_names).apply(_any_of),
        alarm_actions=[topic_arn],
        ok_actions=[topic_arn],
        opts=pulumi.ResourceOptions(parent=parent),
    )


def _alarm(
    name: str,
    physical: str,
    key: str,
    description: str,
    *,
    metric: tuple[str, str],
    dimensions: Mapping[str, pulumi.Input[str]],
    threshold: float,
    parent: pulumi.Resource,
    statistic: str = "Maximum",
    depends_on: Sequence[pulumi.Resource] = (),
) -> aws.cloudwatch.MetricAlarm:
    """Alarm after three minutes above `threshold`, or below it for the statistic `Minimum`.

    Missing data does not breach: a metric may not exist yet.
    """
    below = statistic == "Minimum"
    return aws.cloudwatch.MetricAlarm(
        f"{name}-{key}",
        name=f"{physical}-{key}",
        alarm_description=description,
        namespace=metric[0],
        metric_name=metric[1],
        dimensions=dimensions,
        statistic=statistic,
        period=60,
        evaluation_periods=3,
        threshold=threshold,
        comparison_operator="LessThanThreshold" if below else "GreaterThanThreshold",
        treat_missing_data="notBreaching",
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(depends_on)),
    )


def _any_of(names: Sequence[str]) -> str:
    return " OR ".join(f'ALARM("{name}")' for name in names)
