"""Budgets. An ID is `ACCOUNT:NAME`, as in the AWS provider."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from sandbox.providers.aws.marshalling import filled, pascal, tag_list, tag_map
from sandbox.providers.aws.properties import block, boolean, length, list_of, number, set_of, text
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Properties

_TIME = "%Y-%m-%d_%H:%M"
_FOREVER = "2087-06-15_00:00"
_COST_TYPES = [
    "includeCredit",
    "includeDiscount",
    "includeOtherSubscription",
    "includeRecurring",
    "includeRefund",
    "includeSubscription",
    "includeSupport",
    "includeTax",
    "includeUpfront",
    "useAmortized",
    "useBlended",
]
_BUDGET_TYPES = [
    "COST",
    "USAGE",
    "RI_UTILIZATION",
    "RI_COVERAGE",
    "SAVINGS_PLANS_UTILIZATION",
    "SAVINGS_PLANS_COVERAGE",
]


def _same_amount(one: str, other: str) -> bool:
    return Decimal(one) == Decimal(other)


def _amount(value: str) -> str | None:
    try:
        Decimal(value)
    except InvalidOperation:
        return f"a number, not {value!r}"
    return None


def _time(value: str) -> str | None:
    try:
        datetime.datetime.strptime(value, _TIME).replace(tzinfo=datetime.UTC)
    except ValueError:
        return f"of the form 2027-01-31_00:00, not {value!r}"
    return None


def _moment(value: str) -> datetime.datetime:
    return datetime.datetime.strptime(value, _TIME).replace(tzinfo=datetime.UTC)


class Budget(Handler):
    """A budget with its notifications."""

    token = "aws:budgets/budget:Budget"
    noun = "Budget"
    inputs = {
        "accountId": text(computed=True, replaces=True),
        "name": text(replaces=True, rule=length(1, 100)),
        "namePrefix": text(replaces=True, write_only=True),
        "budgetType": text(required=True, one_of=_BUDGET_TYPES),
        "limitAmount": text(computed=True, rule=_amount, same=_same_amount),
        "limitUnit": text(computed=True),
        "timeUnit": text(required=True, one_of=("MONTHLY", "QUARTERLY", "ANNUALLY", "DAILY")),
        "timePeriodStart": text(computed=True, rule=_time),
        "timePeriodEnd": text(default=_FOREVER, rule=_time),
        "costFilters": set_of(
            block({"name": text(required=True), "values": list_of(text(), required=True)}),
            computed=True,
        ),
        "costTypes": block({name: boolean(computed=True) for name in _COST_TYPES}, computed=True),
        "notifications": set_of(
            block(
                {
                    "comparisonOperator": text(
                        required=True, one_of=("GREATER_THAN", "LESS_THAN", "EQUAL_TO")
                    ),
                    "notificationType": text(required=True, one_of=("ACTUAL", "FORECASTED")),
                    "threshold": number(required=True),
                    "thresholdType": text(required=True, one_of=("PERCENTAGE", "ABSOLUTE_VALUE")),
                    "subscriberEmailAddresses": set_of(text()),
                    "subscriberSnsTopicArns": set_of(text()),
                }
            )
        ),
    }
    outputs = ("arn",)
    autoname = AutoName("name", 100, unless=("namePrefix",))
    conflicts = (("name", "namePrefix"),)
    tagged = True
    missing = ("NotFoundException",)

    def validate(self, call: Call, inputs: Properties) -> Iterable[tuple[str, str]]:
        """Validate amount and unit, and the subscribers of notifications."""
        if (inputs.get("limitAmount") is None) != (inputs.get("limitUnit") is None):
            yield "limitUnit", "limitAmount and limitUnit must be set together"
        notifications = inputs.get("notifications") or ()
        for index, indexed in enumerate(notifications if isinstance(notifications, list) else ()):
            if isinstance(indexed, Mapping) and not (
                indexed.get("subscriberEmailAddresses") or indexed.get("subscriberSnsTopicArns")
            ):
                yield f"notifications[{index}]", "must have at least one subscriber"

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the budget with its notifications."""
        account = inputs.get("accountId") or call.account
        name = inputs.get("name") or f"{inputs['namePrefix']}{call.resource.name}"
        notifications = [
            {"Notification": _notification(entry), "Subscribers": _subscribers(entry)}
            for entry in inputs.get("notifications") or ()
        ]
        call.client("budgets").create_budget(
            AccountId=account,
            Budget=_budget(name, inputs),
            **filled(
                NotificationsWithSubscribers=notifications, ResourceTags=tag_list(inputs["tagsAll"])
            ),
        )
        return call.record_created(f"{account}:{name}")

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the budget, its notifications and their subscribers."""
        budgets, (account, name) = call.client("budgets"), id.split(":", 1)
        of = {"AccountId": account, "BudgetName": name}
        budget = budgets.describe_budget(**of)["Budget"]
        limit, period = budget.get("BudgetLimit") or {}, budget.get("TimePeriod") or {}
        arn = call.arn("budgets", f"budget/{name}", region=False)
        types = budget.get("CostTypes")
        notifications = []
        for entry in budgets.describe_notifications_for_budget(**of).get("Notifications") or ():
            key = {
                k: entry[k]
                for k in ("NotificationType", "ComparisonOperator", "Threshold", "ThresholdType")
                if k in entry
            }
            subscribers = (
                budgets.describe_subscribers_for_notification(**of, Notification=key).get(
                    "Subscribers"
                )
                or ()
            )
            notifications.append(
                {
                    "comparisonOperator": key["ComparisonOperator"],
                    "notificationType": key["NotificationType"],
                    "threshold": key["Threshold"],
                    "thresholdType": key.get("ThresholdType") or "PERCENTAGE",
                    "subscriberEmailAddresses": [
                        p["Address"] for p in subscribers if p["SubscriptionType"] == "EMAIL"
                    ],
                    "subscriberSnsTopicArns": [
                        p["Address"] for p in subscribers if p["SubscriptionType"] == "SNS"
                    ],
                }
            )
        return {
            "accountId": account,
            "name": name,
            "arn": arn,
            "budgetType": budget["BudgetType"],
            "limitAmount": limit.get("Amount"),
            "limitUnit": limit.get("Unit"),
            "timeUnit": budget["TimeUnit"],
            "timePeriodStart": _formatted(period.get("Start")),
            "timePeriodEnd": _formatted(period.get("End")) or _FOREVER,
            "costFilters": [
                {"name": k, "values": v} for k, v in (budget.get("CostFilters") or {}).items()
            ],
            "costTypes": {name: types.get(name[0].upper() + name[1:]) for name in _COST_TYPES}
            if types
            else None,
            "notifications": notifications,
            "tagsAll": tag_map(budgets.list_tags_for_resource(ResourceARN=arn).get("ResourceTags")),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Update the budget; recreate its notifications if they changed."""
        budgets, (account, name) = call.client("budgets"), id.split(":", 1)
        if changed - {"notifications"}:
            budgets.update_budget(AccountId=account, NewBudget=_budget(name, new))
        if "notifications" in changed:
            before, after = old.get("notifications") or [], new.get("notifications") or []
            for entry in before:
                if entry not in after:
                    budgets.delete_notification(
                        AccountId=account, BudgetName=name, Notification=_notification(entry)
                    )
            for entry in after:
                if entry not in before:
                    budgets.create_notification(
                        AccountId=account,
                        BudgetName=name,
                        Notification=_notification(entry),
                        Subscribers=_subscribers(entry),
                    )

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the budget."""
        if drop:
            call.client("budgets").untag_resource(
                ResourceARN=state["arn"], ResourceTagKeys=list(drop)
            )
        if put:
            call.client("budgets").tag_resource(
                ResourceARN=state["arn"], ResourceTags=tag_list(put)
            )

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the budget."""
        account, name = id.split(":", 1)
        call.client("budgets").delete_budget(AccountId=account, BudgetName=name)


def _budget(name: str, inputs: Properties) -> dict[str, Any]:
    limit = inputs.get("limitAmount")
    return filled(
        BudgetName=name,
        BudgetType=inputs["budgetType"],
        TimeUnit=inputs["timeUnit"],
        BudgetLimit={"Amount": str(limit), "Unit": inputs["limitUnit"]}
        if limit is not None
        else None,
        CostFilters={entry["name"]: entry["values"] for entry in inputs.get("costFilters") or ()},
        CostTypes=pascal(inputs.get("costTypes") or {}),
        TimePeriod=filled(
            Start=_moment(inputs["timePeriodStart"]) if inputs.get("timePeriodStart") else None,
            End=_moment(inputs["timePeriodEnd"]) if inputs.get("timePeriodEnd") else None,
        ),
    )


def _notification(entry: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("notificationType", "comparisonOperator", "threshold", "thresholdType")
    return {key[0].upper() + key[1:]: entry[key] for key in keys}


def _subscribers(entry: Mapping[str, Any]) -> list[dict[str, str]]:
    kinds = (("EMAIL", "subscriberEmailAddresses"), ("SNS", "subscriberSnsTopicArns"))
    return [
        {"SubscriptionType": kind, "Address": who}
        for kind, key in kinds
        for who in entry.get(key) or ()
    ]


def _formatted(value: Any) -> str | None:
    return (
        value.astimezone(datetime.UTC).strftime(_TIME)
        if isinstance(value, datetime.datetime)
        else None
    )


TYPES = (Budget(),)
