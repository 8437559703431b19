"""RDS event subscriptions: validation, and the changes that moto lacks. No events are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import checks, implements

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call


@checks("rds", "CreateEventSubscription", "ModifyEventSubscription")
def check_subscription(context: RequestContext, call: Call) -> None:
    """Validate topic and sources (API reference, errors of CreateEventSubscription)."""
    topic = call.get("SnsTopicArn")
    if topic and topic not in context.backend("sns", call.region).topics:
        raise AwsError("SNSTopicArnNotFound", f"The SNS topic {topic} does not exist.")
    if call.get("SourceIds") and not call.get("SourceType"):
        raise AwsError("InvalidParameterCombination", "SourceIds need a SourceType.")
    if call.get("SourceType") == "db-instance":
        for source in call.get("SourceIds") or []:
            _check_source(context, call, source)


@implements("rds", "ModifyEventSubscription")
def modify(context: RequestContext, call: Call) -> dict[str, Any]:
    """Change the settings that are given."""
    subscription = _subscription(context, call)
    for parameter, attribute in (
        ("SnsTopicArn", "sns_topic_arn"),
        ("SourceType", "source_type"),
        ("EventCategories", "event_categories"),
        ("Enabled", "enabled"),
    ):
        if call.get(parameter) is not None:
            setattr(subscription, attribute, call[parameter])
    return _described(subscription)


@implements("rds", "AddSourceIdentifierToSubscription")
def add_source(context: RequestContext, call: Call) -> dict[str, Any]:
    """Add a source."""
    subscription, source = _subscription(context, call), call["SourceIdentifier"]
    if subscription.source_type == "db-instance":
        _check_source(context, call, source)
    subscription.source_ids = [*subscription.source_ids, source]
    return _described(subscription)


@implements("rds", "RemoveSourceIdentifierFromSubscription")
def remove_source(context: RequestContext, call: Call) -> dict[str, Any]:
    """Remove a source."""
    subscription, source = _subscription(context, call), call["SourceIdentifier"]
    if source not in subscription.source_ids:
        raise AwsError("SourceNotFound", f"The subscription has no source {source}.")
    subscription.source_ids = [item for item in subscription.source_ids if item != source]
    return _described(subscription)


def _subscription(context: RequestContext, call: Call) -> Any:
    name = call["SubscriptionName"]
    subscription = context.backend("rds", call.region).event_subscriptions.get(name)
    if subscription is None:
        raise AwsError("SubscriptionNotFound", f"Subscription {name} not found.")
    return subscription


def _check_source(context: RequestContext, call: Call, source: str) -> None:
    if source not in context.backend("rds", call.region).databases:
        raise AwsError("SourceNotFound", f"The source {source} of type db-instance does not exist.")


def _described(subscription: Any) -> dict[str, Any]:
    return {
        "EventSubscription": {
            "CustSubscriptionId": subscription.subscription_name,
            "SnsTopicArn": subscription.sns_topic_arn,
            "SourceType": subscription.source_type,
            "SourceIdsList": subscription.source_ids,
            "EventCategoriesList": subscription.event_categories,
            "Enabled": subscription.enabled,
            "Status": subscription.status,
            "EventSubscriptionArn": subscription.arn,
        }
    }
