"""Events that people are notified of: findings of image scans, and changes of the database."""

import pulumi
import pulumi_aws as aws

EVENT_BRIDGE = "events.amazonaws.com"
RDS_EVENTS = "events.rds.amazonaws.com"
SEVERITIES = ("CRITICAL", "HIGH")
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.Messages.html
DATABASE_CATEGORIES = [
    "availability",
    "deletion",
    "failover",
    "failure",
    "low storage",
    "maintenance",
    "recovery",
]


def scan_findings(
    name: str,
    physical: str,
    repository_name: pulumi.Input[str],
    topic_arn: pulumi.Input[str],
    parent: pulumi.Resource,
) -> None:
    """Notify of every completed scan of an image with critical or high findings.

    See https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html for the event.
    """
    child = pulumi.ResourceOptions(parent=parent)
    findings = [{severity: [{"numeric": [">", 0]}]} for severity in SEVERITIES]
    rule = aws.cloudwatch.EventRule(
        f"{name}-scan-findings",
        name=f"{physical}-scan-findings",
        description="Image scans with critical or high findings",
        event_pattern=pulumi.Output.json_dumps(
            {
                "source": ["aws.ecr"],
                "detail-type": ["ECR Image Scan"],
                "detail": {
                    "scan-status": ["COMPLETE"],
                    "repository-name": [repository_name],
                    "finding-severity-counts": {"$or": findings},
                },
            }
        ),
        opts=child,
    )
    aws.cloudwatch.EventTarget(f"{name}-scan-findings", rule=rule.name, arn=topic_arn, opts=child)


def database_events(
    name: str,
    physical: str,
    identifier: pulumi.Input[str],
    topic_arn: pulumi.Input[str],
    parent: pulumi.Resource,
) -> None:
    """Notify of failures and maintenance of an RDS instance."""
    aws.rds.EventSubscription(
        f"{name}-database",
        name=f"{physical}-database",
        sns_topic=topic_arn,
        source_type="db-instance",
        source_ids=[identifier],
        event_categories=DATABASE_CATEGORIES,
        opts=pulumi.ResourceOptions(parent=parent),
    )
