"""SNS: topics, topic policies and subscriptions.

Replacements and defaults: pulumi_aws's documentation of aws.sns. A topic's settings are attributes
of the API; the table maps properties to them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from sandbox.providers.aws.marshalling import filled, tag_list, tag_map
from sandbox.providers.aws.properties import (
    between,
    boolean,
    integer,
    json_text,
    length,
    policy,
    text,
)
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Failure, Properties

_ATTRIBUTES = {
    "contentBasedDeduplication": "ContentBasedDeduplication",
    "deliveryPolicy": "DeliveryPolicy",
    "displayName": "DisplayName",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "policy": "Policy",
    "signatureVersion": "SignatureVersion",
    "tracingConfig": "TracingConfig",
}
_SUBSCRIPTION = {
    "deliveryPolicy": "DeliveryPolicy",
    "filterPolicy": "FilterPolicy",
    "filterPolicyScope": "FilterPolicyScope",
    "rawMessageDelivery": "RawMessageDelivery",
    "redrivePolicy": "RedrivePolicy",
    "subscriptionRoleArn": "SubscriptionRoleArn",
}
_MISSING = ("NotFound", "NotFoundException")


def _formatted(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


class Topic(Handler):
    """A topic."""

    token = "aws:sns/topic:Topic"
    noun = "SNS Topic"
    inputs = {
        "name": text(replaces=True, rule=length(1, 256)),
        "namePrefix": text(replaces=True, write_only=True),
        "displayName": text(rule=length(0, 100)),
        "policy": policy(computed=True),
        "deliveryPolicy": json_text(),
        "kmsMasterKeyId": text(),
        "fifoTopic": boolean(replaces=True),
        "contentBasedDeduplication": boolean(),
        "signatureVersion": integer(computed=True, rule=between(1, 2)),
        "tracingConfig": text(computed=True, one_of=("Active", "PassThrough")),
    }
    outputs = ("arn", "owner")
    autoname = AutoName("name", 256, unless=("namePrefix",))
    conflicts = (("name", "namePrefix"),)
    tagged = True
    missing = _MISSING

    def validate(self, call: Call, inputs: Properties) -> Iterable[tuple[str, str]]:
        """Validate a FIFO topic's name and deduplication."""
        if inputs.get("contentBasedDeduplication") is True and not inputs.get("fifoTopic"):
            yield "contentBasedDeduplication", "can only be set for FIFO topics"

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the topic with all attributes."""
        name = inputs.get("name") or f"{inputs['namePrefix']}{call.resource.name}"
        attributes = {
            api: _formatted(inputs[key])
            for key, api in _ATTRIBUTES.items()
            if inputs.get(key) is not None
        }
        if inputs.get("fifoTopic"):
            attributes["FifoTopic"] = "true"
            name = name if name.endswith(".fifo") else f"{name}.fifo"
        response = call.client("sns").create_topic(
            Name=name, Attributes=attributes, Tags=tag_list(inputs["tagsAll"])
        )
        return call.record_created(response["TopicArn"])

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the attributes."""
        sns = call.client("sns")
        attributes = sns.get_topic_attributes(TopicArn=id)["Attributes"]
        live = {key: attributes.get(api) for key, api in _ATTRIBUTES.items()}
        live["contentBasedDeduplication"] = attributes.get("ContentBasedDeduplication") == "true"
        version = attributes.get("SignatureVersion")
        return {
            **live,
            "signatureVersion": int(version) if version else None,
            "fifoTopic": attributes.get("FifoTopic") == "true",
            "name": id.rsplit(":", 1)[-1],
            "arn": attributes["TopicArn"],
            "owner": attributes.get("Owner"),
            "tagsAll": tag_map(sns.list_tags_for_resource(ResourceArn=id)["Tags"]),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Set each changed attribute."""
        for key in sorted(changed & set(_ATTRIBUTES)):
            value = _formatted(new.get(key))
            if value or key not in ("policy", "signatureVersion"):
                call.client("sns").set_topic_attributes(
                    TopicArn=id, AttributeName=_ATTRIBUTES[key], AttributeValue=value
                )

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the topic."""
        if drop:
            call.client("sns").untag_resource(ResourceArn=id, TagKeys=list(drop))
        if put:
            call.client("sns").tag_resource(ResourceArn=id, Tags=tag_list(put))

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the topic."""
        call.client("sns").delete_topic(TopicArn=id)


class TopicPolicy(Handler):
    """The policy of a topic."""

    token = "aws:sns/topicPolicy:TopicPolicy"
    noun = "SNS Topic Policy"
    inputs = {"arn": text(required=True, replaces=True), "policy": policy(required=True)}
    outputs = ("owner",)
    missing = _MISSING

    def create(self, call: Call, inputs: Properties) -> str:
        """Set the policy."""
        self._set(call, inputs["arn"], inputs["policy"])
        return call.record_created(inputs["arn"])

    def _set(self, call: Call, topic: str, document: str) -> None:
        sns = call.client("sns")
        sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=document)

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the topic's policy."""
        attributes = call.client("sns").get_topic_attributes(TopicArn=id)["Attributes"]
        return {"arn": id, "policy": attributes["Policy"], "owner": attributes.get("Owner")}

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Replace the policy."""
        self._set(call, id, new["policy"])

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Restore the default policy, which allows the owner only."""
        actions = [
            "GetTopicAttributes",
            "SetTopicAttributes",
            "AddPermission",
            "RemovePermission",
            "DeleteTopic",
            "Subscribe",
            "ListSubscriptionsByTopic",
            "Publish",
        ]
        statement = {
            "Sid": "__default_statement_ID",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": [f"SNS:{action}" for action in actions],
            "Resource": id,
            "Condition": {"StringEquals": {"AWS:SourceOwner": call.account}},
        }
        document = {"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]}
        self._set(call, id, json.dumps(document))


class TopicSubscription(Handler):
    """A subscription of a topic."""

    token = "aws:sns/topicSubscription:TopicSubscription"
    noun = "SNS Topic Subscription"
    inputs = {
        "topic": text(required=True, replaces=True),
        "protocol": text(
            required=True,
            replaces=True,
            one_of=(
                "application",
                "email",
                "email-json",
                "firehose",
                "http",
                "https",
                "lambda",
                "sms",
                "sqs",
            ),
        ),
        "endpoint": text(required=True, replaces=True),
        "confirmationTimeoutInMinutes": integer(default=1, write_only=True),
        "endpointAutoConfirms": boolean(default=False, write_only=True),
        "deliveryPolicy": json_text(),
        "filterPolicy": json_text(),
        "filterPolicyScope": text(computed=True, one_of=("MessageAttributes", "MessageBody")),
        "rawMessageDelivery": boolean(),
        "redrivePolicy": json_text(),
        "subscriptionRoleArn": text(),
    }
    outputs = ("arn", "confirmationWasAuthenticated", "ownerId", "pendingConfirmation")
    missing = _MISSING

    def create(self, call: Call, inputs: Properties) -> str:
        """Subscribe."""
        attributes = {
            api: _formatted(inputs[key])
            for key, api in _SUBSCRIPTION.items()
            if inputs.get(key) is not None
        }
        response = call.client("sns").subscribe(
            **filled(
                TopicArn=inputs["topic"],
                Protocol=inputs["protocol"],
                Endpoint=inputs["endpoint"],
                Attributes=attributes,
            ),
            ReturnSubscriptionArn=True,
        )
        return call.record_created(response["SubscriptionArn"])

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the subscription's attributes."""
        attributes = call.client("sns").get_subscription_attributes(SubscriptionArn=id)[
            "Attributes"
        ]
        live = {key: attributes.get(api) for key, api in _SUBSCRIPTION.items()}
        return {
            **live,
            "rawMessageDelivery": attributes.get("RawMessageDelivery") == "true",
            "topic": attributes["TopicArn"],
            "protocol": attributes["Protocol"],
            "endpoint": attributes["Endpoint"],
            "arn": attributes["SubscriptionArn"],
            "ownerId": attributes.get("Owner"),
            "confirmationWasAuthenticated": attributes.get("ConfirmationWasAuthenticated")
            == "true",
            "pendingConfirmation": attributes.get("PendingConfirmation") == "true",
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Set each changed attribute."""
        for key in sorted(changed & set(_SUBSCRIPTION)):
            value = _formatted(new.get(key)) or ("{}" if key == "filterPolicy" else "")
            call.client("sns").set_subscription_attributes(
                SubscriptionArn=id, AttributeName=_SUBSCRIPTION[key], AttributeValue=value
            )

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Unsubscribe. An unconfirmed subscription cannot be deleted; AWS removes it after three
        days.
        """
        if not id.startswith("arn:"):
            raise Failure(f'"{id}" is not a subscription; its ARN is expected')
        call.client("sns").unsubscribe(SubscriptionArn=id)


TYPES = (Topic(), TopicPolicy(), TopicSubscription())
