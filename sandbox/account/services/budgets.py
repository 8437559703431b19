"""AWS Budgets, which moto lacks in part: updates, notifications, subscribers, tags. Costs are not
measured.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import OWN_SERVICES, Item, implements, lists
from sandbox.account.core.wire import ACCOUNT_ID

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext
    from sandbox.account.core.wire import Call

OWN_SERVICES.add("budgets")
_MOST_SUBSCRIBERS = 11  # ten e-mail addresses and one topic
_FOREVER = datetime.datetime(2087, 6, 15)  # AWS's default end, in moto's zoneless UTC


def _find(context: RequestContext, call: Call) -> Record:
    if call["AccountId"] != ACCOUNT_ID:
        raise AwsError(
            "AccessDeniedException", f"Account {call['AccountId']} is not this one ({ACCOUNT_ID})"
        )
    budget = context.table("budgets").get((call["BudgetName"],))
    if budget is None:
        raise AwsError(
            "NotFoundException",
            f"Unable to get budget: {call['BudgetName']} - the budget doesn't exist.",
        )
    return budget


def _budget(context: RequestContext, definition: dict[str, Any], present: Record | None) -> Record:
    if (
        "BudgetLimit" not in definition
        and "PlannedBudgetLimits" not in definition
        and "AutoAdjustData" not in definition
    ):
        raise AwsError(
            "InvalidParameterException",
            "One of BudgetLimit, PlannedBudgetLimits and AutoAdjustData is required",
        )
    if "BudgetLimit" in definition:
        try:
            amount = float(definition["BudgetLimit"]["Amount"])
        except ValueError as error:
            raise AwsError(
                "InvalidParameterException", "BudgetLimit.Amount is not a number"
            ) from error
        if amount <= 0:
            raise AwsError(
                "InvalidParameterException", "BudgetLimit.Amount must be greater than zero"
            )
    now = context.clock.now()
    costs = {
        "IncludeTax": True,
        "IncludeSubscription": True,
        "UseBlended": False,
        "IncludeRefund": True,
        "IncludeCredit": True,
        "IncludeUpfront": True,
        "IncludeRecurring": True,
        "IncludeOtherSubscription": True,
        "IncludeSupport": True,
        "IncludeDiscount": True,
        "UseAmortized": False,
    }
    start = (
        present["TimePeriod"]["Start"]
        if present
        else now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    )
    budget: Record = {
        "TimePeriod": {"Start": start, "End": _FOREVER, **(definition.get("TimePeriod") or {})},
        "CalculatedSpend": {"ActualSpend": {"Amount": "0", "Unit": "USD"}},
        **{
            name: value
            for name, value in definition.items()
            if name not in {"TimePeriod", "CalculatedSpend", "LastUpdatedTime"}
        },
        "LastUpdatedTime": now,
    }
    if (
        definition["BudgetType"] == "COST"
        and "Metrics" not in definition
        and "FilterExpression" not in definition
    ):
        budget["CostTypes"] = {**costs, **(definition.get("CostTypes") or {})}
        budget.setdefault("CostFilters", {})
    return budget


def _same(other: dict[str, Any], right: dict[str, Any]) -> bool:
    def key(n: dict[str, Any]) -> tuple[Any, ...]:
        kind = n.get("ThresholdType") or "PERCENTAGE"
        return n["NotificationType"], n["ComparisonOperator"], float(n["Threshold"]), kind

    return key(other) == key(right)


def _notification(definition: dict[str, Any], subscribers: list[dict[str, Any]]) -> Record:
    if not subscribers:
        raise AwsError("InvalidParameterException", "A notification needs at least one subscriber")
    if len(subscribers) > _MOST_SUBSCRIBERS:
        raise AwsError(
            "CreationLimitExceededException", "A notification has at most eleven subscribers"
        )
    for subscriber in subscribers:
        _check_subscriber(subscriber)
    return {
        "notification": {"ThresholdType": "PERCENTAGE", "NotificationState": "OK", **definition},
        "subscribers": subscribers,
    }


def _check_subscriber(subscriber: dict[str, Any]) -> None:
    address, kind = subscriber["Address"], subscriber["SubscriptionType"]
    if (kind == "EMAIL" and "@" not in address) or (
        kind == "SNS" and not address.startswith("arn:aws:sns:")
    ):
        raise AwsError(
            "InvalidParameterException", f"The address is invalid for a subscription of type {kind}"
        )


def _find_notification(budget: Record, definition: dict[str, Any]) -> Record:
    for notifications in budget["_notifications"]:
        if _same(notifications["notification"], definition):
            notification: Record = notifications
            return notification
    raise AwsError(
        "NotFoundException", "Unable to get notification - the notification doesn't exist."
    )


@implements("budgets", "CreateBudget")
def create_budget(context: RequestContext, call: Call) -> dict[str, Any]:
    """Create a budget with its notifications."""
    definition = call["Budget"]
    name = definition["BudgetName"]
    if call["AccountId"] != ACCOUNT_ID:
        raise AwsError(
            "AccessDeniedException", f"Account {call['AccountId']} is not this one ({ACCOUNT_ID})"
        )
    if (name,) in context.table("budgets"):
        raise AwsError(
            "DuplicateRecordException",
            f"Error creating budget: {name} - the budget already exists.",
        )
    budget = _budget(context, definition, None)
    notifications = [
        _notification(n["Notification"], n["Subscribers"])
        for n in call.get("NotificationsWithSubscribers") or []
    ]
    for index, one in enumerate(notifications):
        if any(
            _same(one["notification"], other["notification"]) for other in notifications[:index]
        ):
            raise AwsError("DuplicateRecordException", "The same notification occurs twice")
    budget["_notifications"] = notifications
    budget["_tags"] = {tag["Key"]: tag["Value"] for tag in call.get("ResourceTags") or []}
    context.table("budgets")[(name,)] = budget
    return {}


@implements("budgets", "DescribeBudget")
def describe_budget(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return a budget."""
    return {"Budget": _find(context, call)}


@implements("budgets", "DescribeBudgets")
def describe_budgets(context: RequestContext, call: Call) -> dict[str, Any]:  # noqa: ARG001
    """Return all budgets."""
    return {"Budgets": list(context.table("budgets").values())}


@implements("budgets", "UpdateBudget")
def update_budget(context: RequestContext, call: Call) -> dict[str, Any]:
    """Replace a budget's definition; keep notifications and tags."""
    definition = call["NewBudget"]
    call.params["BudgetName"] = definition["BudgetName"]
    present = _find(context, call)
    changed = _budget(context, definition, present)
    present_extras = {key: present[key] for key in ("_notifications", "_tags")}
    present.clear()
    present.update(changed, **present_extras)
    return {}


@implements("budgets", "DeleteBudget")
def delete_budget(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete a budget and its notifications."""
    del context.table("budgets")[(_find(context, call)["BudgetName"],)]
    return {}


@implements("budgets", "CreateNotification")
def create_notification(context: RequestContext, call: Call) -> dict[str, Any]:
    """Add a notification."""
    budget = _find(context, call)
    if any(
        _same(notifications["notification"], call["Notification"])
        for notifications in budget["_notifications"]
    ):
        raise AwsError(
            "DuplicateRecordException",
            "Error creating notification - the notification already exists.",
        )
    budget["_notifications"].append(_notification(call["Notification"], call["Subscribers"]))
    return {}


@implements("budgets", "UpdateNotification")
def update_notification(context: RequestContext, call: Call) -> dict[str, Any]:
    """Replace a notification; keep its subscribers."""
    notification = _find_notification(_find(context, call), call["OldNotification"])
    notification["notification"] = {
        "ThresholdType": "PERCENTAGE",
        "NotificationState": "OK",
        **call["NewNotification"],
    }
    return {}


@implements("budgets", "DeleteNotification")
def delete_notification(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete a notification and its subscribers."""
    budget = _find(context, call)
    budget["_notifications"].remove(_find_notification(budget, call["Notification"]))
    return {}


@implements("budgets", "DescribeNotificationsForBudget")
def describe_notifications(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return a budget's notifications."""
    return {
        "Notifications": [
            notifications["notification"]
            for notifications in _find(context, call)["_notifications"]
        ]
    }


@implements("budgets", "DescribeSubscribersForNotification")
def describe_subscribers(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return a notification's subscribers."""
    return {
        "Subscribers": _find_notification(_find(context, call), call["Notification"])["subscribers"]
    }


@implements("budgets", "CreateSubscriber")
def create_subscriber(context: RequestContext, call: Call) -> dict[str, Any]:
    """Add a subscriber."""
    notification = _find_notification(_find(context, call), call["Notification"])
    if call["Subscriber"] in notification["subscribers"]:
        raise AwsError(
            "DuplicateRecordException", "Error creating subscriber - the subscriber already exists."
        )
    notification.update(
        _notification(
            notification["notification"], [*notification["subscribers"], call["Subscriber"]]
        )
    )
    return {}


@implements("budgets", "UpdateSubscriber")
def update_subscriber(context: RequestContext, call: Call) -> dict[str, Any]:
    """Replace a subscriber."""
    notification = _find_notification(_find(context, call), call["Notification"])
    if call["OldSubscriber"] not in notification["subscribers"]:
        raise AwsError(
            "NotFoundException", "Unable to update subscriber - the subscriber doesn't exist."
        )
    _check_subscriber(call["NewSubscriber"])
    notification["subscribers"] = [
        call["NewSubscriber"] if s == call["OldSubscriber"] else s
        for s in notification["subscribers"]
    ]
    return {}


@implements("budgets", "DeleteSubscriber")
def delete_subscriber(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete a subscriber; the last one's notification too (Budgets API reference,
    DeleteSubscriber).
    """
    budget = _find(context, call)
    notification = _find_notification(budget, call["Notification"])
    if call["Subscriber"] not in notification["subscribers"]:
        raise AwsError(
            "NotFoundException", "Unable to delete subscriber - the subscriber doesn't exist."
        )
    notification["subscribers"].remove(call["Subscriber"])
    if not notification["subscribers"]:
        budget["_notifications"].remove(notification)
    return {}


def _tagged(context: RequestContext, call: Call) -> Record:
    name = call["ResourceARN"].rpartition("budget/")[2]
    budget = context.table("budgets").get((name,))
    if budget is None:
        raise AwsError("NotFoundException", f"The budget {name} doesn't exist")
    return budget


@implements("budgets", "TagResource")
def tag_resource(context: RequestContext, call: Call) -> dict[str, Any]:
    """Add tags."""
    _tagged(context, call)["_tags"].update(
        {tag["Key"]: tag["Value"] for tag in call["ResourceTags"]}
    )
    return {}


@implements("budgets", "UntagResource")
def untag_resource(context: RequestContext, call: Call) -> dict[str, Any]:
    """Remove tags."""
    for key in call["ResourceTagKeys"]:
        _tagged(context, call)["_tags"].pop(key, None)
    return {}


@implements("budgets", "ListTagsForResource")
def list_tags(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return tags."""
    return {
        "ResourceTags": [{"Key": k, "Value": v} for k, v in _tagged(context, call)["_tags"].items()]
    }


@lists
def inventory(context: RequestContext) -> Iterable[Item]:
    """Yield every budget."""
    for (name,), record in context.table("budgets").items():
        yield Item(
            "budgets",
            "budget",
            name,
            f"arn:aws:budgets::{ACCOUNT_ID}:budget/{name}",
            name,
            "",
            record["_tags"],
        )
