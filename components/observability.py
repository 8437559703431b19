"""What tells people and pipelines how the platform is: alarms, one page to look at, and a budget."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.encryption import encryption_key
from components.place import Place, place_of
from components.policy import Statement, document

# Services that tell something through the topic, and must therefore be let into it and its key. A pipeline's approval
# isn't one of them: it tells in the pipeline's own role.
NOTIFICATIONS = "codestar-notifications.amazonaws.com"
"""Tells of a pipeline's failures and releases."""
TELLERS = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com", NOTIFICATIONS]


@dataclass(frozen=True, kw_only=True)
class ObservabilityArgs:
    """What observability needs to know."""

    prefix: str
    """Stage prefix of physical names."""
    cluster_name: pulumi.Input[str]
    database_identifier: pulumi.Input[str] | None = None
    """RDS instance; None without a database."""
    contacts: Sequence[str] = ()
    """Mail addresses; each must confirm its subscription once."""
    monthly_budget_usd: int
    """US dollars; contacts are told at 80 % spent and at 100 % forecast."""
    budget_tag: str
    """`Key$Value` of the cost allocation tag by which this environment's money is told from others'."""
    protected: bool = False


class Observability(pulumi.ComponentResource):
    """Guarantees an encrypted topic that AWS's services of this account alone can publish to, alarms for a pipeline to
    watch, and one alarm, `release`, that sums them up for people.

    Watches what AWS measures by itself: control plane (metrics in AWS/EKS) and database.
    Refuses to own metrics of the service, which it serves at /metrics to whoever scrapes them.
    """

    topic_arn: pulumi.Output[str]
    """The topic, once its policy lets the services in."""
    topic_key_arn: pulumi.Output[str]
    """Key of the topic: whoever publishes in a role of its own must be allowed to use it."""
    release_alarm_names: list[pulumi.Output[str]]
    """The alarms that hold a release back or roll it back."""

    def __init__(self, name: str, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("platform:index:Observability", name, {}, opts)
        self._name, self._args, self._physical = name, args, f"{args.prefix}-{name}"
        self._child = pulumi.ResourceOptions(parent=self)
        self._topic(place_of(self))

        unscheduled = self._alarm(
            "unscheduled",
            "Pods find no machine: the release is too large, or the nodes are too few",
            {"namespace": "AWS/EKS", "metric_name": "scheduler_pending_pods_UNSCHEDULABLE"},
            {"ClusterName": args.cluster_name},
            threshold=0,
        )
        refused = self._alarm(
            "api-errors",
            "The Kubernetes API answers with server errors",
            {"namespace": "AWS/EKS", "metric_name": "apiserver_request_total_5XX"},
            {"ClusterName": args.cluster_name},
            threshold=50,
            statistic="Sum",
        )
        alarms = [unscheduled, refused, *self._database_alarms()]
        # A pipeline watches these one by one: asked for an alarm by name, CloudWatch answers with metric alarms unless
        # composite ones are asked for too (https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html).
        self.release_alarm_names = [alarm.name for alarm in alarms]
        aws.cloudwatch.CompositeAlarm(
            name,
            alarm_name=f"{self._physical}-release",
            alarm_description="Any alarm of this environment: not a time to release",
            alarm_rule=pulumi.Output.all(*self.release_alarm_names).apply(_any_of),
            alarm_actions=[self.topic_arn],
            ok_actions=[self.topic_arn],
            opts=self._child,
        )
        self._dashboard(alarms)
        self._budget()
        self.register_outputs({"topic_arn": self.topic_arn})

    def _topic(self, place: Place) -> None:
        ours = {"StringEquals": {"aws:SourceAccount": place.account_id}}
        through_sns = {"StringEquals": {"kms:ViaService": pulumi.Output.concat("sns.", place.region, ".amazonaws.com")}}
        use_key: list[Statement] = [
            {
                "Sid": sid,
                "Effect": "Allow",
                "Principal": {"Service": tellers},
                "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                "Resource": "*",
                "Condition": condition,
            }
            for sid, tellers, condition in (
                ("TellersEncrypt", TELLERS, ours),
                # AWS's own example for this one goes by the way, not by the account, which it may not name
                # (https://docs.aws.amazon.com/dtconsole/latest/userguide/set-up-sns.html). The topic's policy has the account.
                ("NotificationsEncrypt", [NOTIFICATIONS], through_sns),
            )
        ]
        key = encryption_key(
            self._name,
            place=place,
            purpose=f"Notifications of {self._physical}",
            alias=self._physical,
            protected=self._args.protected,
            parent=self,
            statements=use_key,
        )
        topic = aws.sns.Topic(self._name, name=self._physical, kms_master_key_id=key.arn, opts=self._child)
        publish: Statement = {
            "Sid": "TellersPublish",
            "Effect": "Allow",
            "Principal": {"Service": TELLERS},
            "Action": "sns:Publish",
            "Resource": topic.arn,
            "Condition": ours,
        }
        opened = aws.sns.TopicPolicy(self._name, arn=topic.arn, policy=document(publish), opts=self._child)
        self.topic_arn, self.topic_key_arn = opened.arn, key.arn
        for contact in self._args.contacts:
            aws.sns.TopicSubscription(
                f"{self._name}-{contact}", topic=topic.arn, protocol="email", endpoint=contact, opts=self._child
            )

    def _alarm(
        self,
        what: str,
        meaning: str,
        metric: dict[str, str],
        dimensions: dict[str, pulumi.Input[str]],
        *,
        threshold: float,
        statistic: str = "Maximum",
    ) -> aws.cloudwatch.MetricAlarm:
        """Three minutes in a row above `threshold`, or below it for a minimum. A metric that isn't there is no trouble."""
        return aws.cloudwatch.MetricAlarm(
            f"{self._name}-{what}",
            name=f"{self._physical}-{what}",
            alarm_description=meaning,
            namespace=metric["namespace"],
            metric_name=metric["metric_name"],
            dimensions=dimensions,
            statistic=statistic,
            period=60,
            evaluation_periods=3,
            threshold=threshold,
            comparison_operator="LessThanThreshold" if statistic == "Minimum" else "GreaterThanThreshold",
            treat_missing_data="notBreaching",
            opts=self._child,
        )

    def _database_alarms(self) -> list[aws.cloudwatch.MetricAlarm]:
        if self._args.database_identifier is None:
            return []
        which: dict[str, pulumi.Input[str]] = {"DBInstanceIdentifier": self._args.database_identifier}
        return [
            self._alarm(
                "database-cpu",
                "The database computes more than 90 % of the time",
                {"namespace": "AWS/RDS", "metric_name": "CPUUtilization"},
                which,
                threshold=90,
            ),
            self._alarm(
                "database-storage",
                "Less than 2 GiB of storage left in the database",
                {"namespace": "AWS/RDS", "metric_name": "FreeStorageSpace"},
                which,
                threshold=2 * 1024**3,
                statistic="Minimum",
            ),
        ]

    def _dashboard(self, alarms: Sequence[aws.cloudwatch.MetricAlarm]) -> None:
        aws.cloudwatch.Dashboard(
            self._name,
            dashboard_name=self._physical,
            dashboard_body=pulumi.Output.all(
                alarms=[alarm.arn for alarm in alarms],
                region=place_of(self).region,
                cluster=self._args.cluster_name,
                database=self._args.database_identifier,
            ).apply(_dashboard_body),
            opts=self._child,
        )

    def _budget(self) -> None:
        aws.budgets.Budget(
            self._name,
            name=self._physical,
            budget_type="COST",
            limit_amount=str(self._args.monthly_budget_usd),
            limit_unit="USD",
            time_unit="MONTHLY",
            cost_filters=[{"name": "TagKeyValue", "values": [self._args.budget_tag]}],
            notifications=[
                {
                    "comparison_operator": "GREATER_THAN",
                    "threshold": percent,
                    "threshold_type": "PERCENTAGE",
                    "notification_type": kind,
                    "subscriber_sns_topic_arns": [self.topic_arn],
                }
                for kind, percent in (("ACTUAL", 80), ("FORECASTED", 100))
            ],
            # Its name is the account's, whatever the region.
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )


def _any_of(names: Sequence[str]) -> str:
    return " OR ".join(f'ALARM("{name}")' for name in names)


def _dashboard_body(known: dict[str, Any]) -> str:
    def graph(title: str, *metrics: list[str]) -> dict[str, Any]:
        return {
            "type": "metric",
            "width": 12,
            "height": 6,
            "properties": {"title": title, "region": known["region"], "metrics": list(metrics), "period": 60},
        }

    cluster, database = ["ClusterName", known["cluster"]], ["DBInstanceIdentifier", known["database"]]
    widgets = [
        {"type": "alarm", "width": 24, "height": 3, "properties": {"title": "Alarms", "alarms": known["alarms"]}},
        graph("Kubernetes API requests", ["AWS/EKS", "apiserver_request_total", *cluster]),
        graph("Pods without a machine", ["AWS/EKS", "scheduler_pending_pods_UNSCHEDULABLE", *cluster]),
    ]
    if known["database"]:
        widgets += [
            graph("Database connections", ["AWS/RDS", "DatabaseConnections", *database]),
            graph("Database CPU, %", ["AWS/RDS", "CPUUtilization", *database]),
        ]
    return json.dumps({"widgets": widgets})
