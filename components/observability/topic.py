"""SNS topic of an environment: encrypted, open to AWS services of this account."""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from components.aws.context import AwsContext
from components.aws.iam import Statement, document, source_account, via_service
from components.aws.kms import encryption_key
from components.observability.events import EVENT_BRIDGE, RDS_EVENTS

NOTIFICATION_RULES = "codestar-notifications.amazonaws.com"
# Services that publish on behalf of the account. An approval is published in the pipeline's role.
PUBLISHERS = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com", RDS_EVENTS]
# Services whose statement has no condition: with one, the topic becomes unreachable
# (https://docs.aws.amazon.com/dtconsole/latest/userguide/set-up-sns.html,
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html).
UNCONDITIONAL = [NOTIFICATION_RULES, EVENT_BRIDGE]


def notification_topic(
    name: str,
    *,
    physical: str,
    contacts: Sequence[str],
    context: AwsContext,
    protected: bool,
    parent: pulumi.Resource,
) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
    """Create the topic with its key and subscriptions; return the ARNs of topic and key."""
    child = pulumi.ResourceOptions(parent=parent)
    own_account = source_account(context)
    key = encryption_key(
        name,
        context=context,
        purpose=f"Notifications of {physical}",
        alias=physical,
        protected=protected,
        parent=parent,
        statements=[
            _encrypt("EncryptFromPublishers", PUBLISHERS, own_account),
            # AWS's example for notification rules restricts the path, not the account.
            _encrypt("EncryptFromRules", UNCONDITIONAL, via_service(context, "sns")),
        ],
    )
    topic = aws.sns.Topic(name, name=physical, kms_master_key_id=key.arn, opts=child)
    publish: Statement = {"Effect": "Allow", "Action": "sns:Publish", "Resource": topic.arn}
    policy = aws.sns.TopicPolicy(
        name,
        arn=topic.arn,
        policy=document(
            {
                **publish,
                "Sid": "PublishFromBudgetsAlarmsAndDatabases",
                "Principal": {"Service": PUBLISHERS},
                "Condition": own_account,
            },
            {**publish, "Sid": "PublishFromRules", "Principal": {"Service": UNCONDITIONAL}},
        ),
        opts=child,
    )
    for contact in contacts:
        aws.sns.TopicSubscription(
            f"{name}-{contact}", topic=topic.arn, protocol="email", endpoint=contact, opts=child
        )
    return policy.arn, key.arn


def _encrypt(sid: str, services: Sequence[str], condition: Statement) -> Statement:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": list(services)},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",
        "Condition": condition,
    }
