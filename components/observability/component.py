"""Alarms of the environment, the topic they publish to, a dashboard and a budget."""

import pulumi
import pulumi_aws as aws

from components.aws.context import aws_context
from components.observability.alarms import database_alarms, kubernetes_alarms, release_alarm
from components.observability.args import ObservabilityArgs
from components.observability.dashboard import dashboard
from components.observability.events import database_events, scan_findings
from components.observability.topic import notification_topic

__all__ = ["Observability"]


class Observability(pulumi.ComponentResource):
    """Encrypted topic for AWS services of this account, and alarms that gate a pipeline.

    Watches metrics that AWS publishes by itself: control plane (AWS/EKS) and database (AWS/RDS),
    events of the database, and findings of image scans.
    Does not own metrics of the service, which serves them at /metrics.
    """

    topic_arn: pulumi.Output[str]
    """The topic, after its policy admits the publishers."""
    topic_key_arn: pulumi.Output[str]
    """Key of the topic; a role that publishes must be allowed to use it."""
    release_alarm_names: list[pulumi.Output[str]]
    """Alarms that gate a release or roll it back."""

    def __init__(
        self, name: str, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("platform:index:Observability", name, {}, opts)
        physical = f"{args.prefix}-{name}"
        self.topic_arn, self.topic_key_arn = notification_topic(
            name,
            physical=physical,
            contacts=args.settings.contacts,
            context=aws_context(self),
            protected=args.protected,
            parent=self,
        )
        alarms = kubernetes_alarms(name, physical, args.cluster_name, args.workload, self)
        if args.database_identifier is not None:
            alarms += database_alarms(name, physical, args.database_identifier, self)
            database_events(name, physical, args.database_identifier, self.topic_arn, self)
        scan_findings(name, physical, args.repository_name, self.topic_arn, self)
        # A pipeline watches each metric alarm: DescribeAlarms by name does not return composite
        # alarms unless it requests them by type
        # (https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html).
        self.release_alarm_names = [alarm.name for alarm in alarms]
        release_alarm(name, physical, self.release_alarm_names, self.topic_arn, self)
        dashboard(
            name,
            physical=physical,
            alarms=alarms,
            cluster_name=args.cluster_name,
            database_identifier=args.database_identifier,
            parent=self,
        )
        self._budget(name, physical, args.settings.monthly_budget_usd, args.budget_tag)
        self.register_outputs({"topic_arn": self.topic_arn})

    def _budget(self, name: str, physical: str, monthly_usd: int, tag: str) -> None:
        aws.budgets.Budget(
            name,
            name=physical,
            budget_type="COST",
            limit_amount=str(monthly_usd),
            limit_unit="USD",
            time_unit="MONTHLY",
            cost_filters=[{"name": "TagKeyValue", "values": [tag]}],
            notifications=[
                {
                    "comparison_operator": "GREATER_THAN",
                    "threshold": percent,
                    "threshold_type": "PERCENTAGE",
                    "notification_type": notification_type,
                    "subscriber_sns_topic_arns": [self.topic_arn],
                }
                for notification_type, percent in (("ACTUAL", 80), ("FORECASTED", 100))
            ],
            # Budget names are unique in the account, across regions.
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
