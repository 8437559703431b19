"""RDS: event subscriptions.

Replacements and defaults: pulumi_aws's documentation of aws.rds.EventSubscription.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.providers.aws.marshalling import filled, tag_list, tag_map
from sandbox.providers.aws.properties import boolean, length, set_of, text
from sandbox.providers.aws.rds.groups import retag
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Properties

_SOURCE_TYPES = (
    "db-instance",
    "db-security-group",
    "db-parameter-group",
    "db-snapshot",
    "db-cluster",
    "db-cluster-snapshot",
    "db-proxy",
)


class EventSubscription(Handler):
    """Events of RDS, sent to a topic."""

    token = "aws:rds/eventSubscription:EventSubscription"
    noun = "RDS Event Subscription"
    inputs = {
        "name": text(replaces=True, rule=length(1, 255)),
        "namePrefix": text(replaces=True, write_only=True),
        "snsTopic": text(required=True),
        "sourceType": text(one_of=_SOURCE_TYPES),
        "sourceIds": set_of(text()),
        "eventCategories": set_of(text()),
        "enabled": boolean(default=True),
    }
    outputs = ("arn", "customerAwsId")
    autoname = AutoName("name", 255, unless=("namePrefix",))
    conflicts = (("name", "namePrefix"),)
    tagged = True
    missing = ("SubscriptionNotFound", "SubscriptionNotFoundFault")

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the subscription."""
        name = inputs.get("name") or f"{inputs['namePrefix']}{call.resource.name}"
        call.client("rds").create_event_subscription(
            SubscriptionName=name,
            SourceIds=inputs.get("sourceIds") or [],
            Tags=tag_list(inputs["tagsAll"]),
            **_settings(inputs),
        )
        return call.record_created(name)

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the subscription."""
        rds = call.client("rds")
        subscription = rds.describe_event_subscriptions(SubscriptionName=id)[
            "EventSubscriptionsList"
        ][0]
        arn = subscription["EventSubscriptionArn"]
        return {
            "name": subscription["CustSubscriptionId"],
            "snsTopic": subscription["SnsTopicArn"],
            "sourceType": subscription.get("SourceType"),
            "sourceIds": subscription.get("SourceIdsList") or [],
            "eventCategories": subscription.get("EventCategoriesList") or [],
            "enabled": subscription["Enabled"],
            "customerAwsId": subscription.get("CustomerAwsId") or arn.split(":")[4],
            "arn": arn,
            "tagsAll": tag_map(rds.list_tags_for_resource(ResourceName=arn)["TagList"]),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Change settings and sources."""
        rds = call.client("rds")
        if changed - {"sourceIds"}:
            rds.modify_event_subscription(SubscriptionName=id, **_settings(new))
        before, after = set(old.get("sourceIds") or []), set(new.get("sourceIds") or [])
        for source in sorted(after - before):
            rds.add_source_identifier_to_subscription(SubscriptionName=id, SourceIdentifier=source)
        for source in sorted(before - after):
            rds.remove_source_identifier_from_subscription(
                SubscriptionName=id, SourceIdentifier=source
            )

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the subscription."""
        retag(call, state["arn"], put, drop)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the subscription."""
        call.client("rds").delete_event_subscription(SubscriptionName=id)


def _settings(inputs: Properties) -> dict[str, Any]:
    return filled(
        SnsTopicArn=inputs["snsTopic"],
        SourceType=inputs.get("sourceType"),
        EventCategories=inputs.get("eventCategories"),
        Enabled=inputs["enabled"],
    )


TYPES = (EventSubscription(),)
