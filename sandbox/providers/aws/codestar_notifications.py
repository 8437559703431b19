"""CodeStar notification rules. IDs are ARNs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sandbox.providers.aws.marshalling import filled
from sandbox.providers.aws.properties import block, length, set_of, text
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Properties


class NotificationRule(Handler):
    """A rule that notifies of events of a repository, build project, deployment or pipeline."""

    token = "aws:codestarnotifications/notificationRule:NotificationRule"
    noun = "CodeStar Notification Rule"
    inputs = {
        "name": text(rule=length(1, 64)),
        "resource": text(required=True, replaces=True),
        "detailType": text(required=True, one_of=("BASIC", "FULL")),
        "eventTypeIds": set_of(text(), required=True),
        "status": text(default="ENABLED", one_of=("ENABLED", "DISABLED")),
        "targets": set_of(
            block(
                {
                    "address": text(required=True),
                    "type": text(default="SNS"),
                    "status": text(computed=True),
                }
            )
        ),
    }
    outputs = ("arn",)
    autoname = AutoName("name", 64)
    tagged = True
    missing = ("ResourceNotFoundException",)

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the rule."""
        response = call.client("codestar-notifications").create_notification_rule(
            Name=inputs["name"],
            EventTypeIds=inputs["eventTypeIds"],
            Resource=inputs["resource"],
            Targets=_targets(inputs),
            DetailType=inputs["detailType"],
            Status=inputs["status"],
            **filled(Tags=inputs["tagsAll"]),
        )
        return call.record_created(response["Arn"])

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the rule."""
        rule = call.client("codestar-notifications").describe_notification_rule(Arn=id)
        return {
            "name": rule["Name"],
            "resource": rule["Resource"],
            "detailType": rule["DetailType"],
            "eventTypeIds": [kind["EventTypeId"] for kind in rule.get("EventTypes") or ()],
            "status": rule["Status"],
            "targets": [
                filled(
                    address=t["TargetAddress"],
                    type=t.get("TargetType"),
                    status=t.get("TargetStatus"),
                )
                for t in rule.get("Targets") or ()
            ],
            "arn": rule["Arn"],
            "tagsAll": rule.get("Tags") or {},
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Update the rule."""
        call.client("codestar-notifications").update_notification_rule(
            Arn=id,
            Name=new["name"],
            DetailType=new["detailType"],
            EventTypeIds=new["eventTypeIds"],
            Status=new["status"],
            Targets=_targets(new),
        )

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the rule."""
        client = call.client("codestar-notifications")
        if drop:
            client.untag_resource(Arn=id, TagKeys=list(drop))
        if put:
            client.tag_resource(Arn=id, Tags=dict(put))

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the rule."""
        call.client("codestar-notifications").delete_notification_rule(Arn=id)


def _targets(inputs: Properties) -> list[dict[str, str]]:
    return [
        {"TargetAddress": target["address"], "TargetType": target.get("type") or "SNS"}
        for target in inputs.get("targets") or ()
    ]


TYPES = (NotificationRule(),)
