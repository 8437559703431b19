"""CloudWatch Logs: log groups.

Replacements and defaults: pulumi_aws's documentation of aws.cloudwatch.LogGroup. Retention values:
PutRetentionPolicy's list; 0 means never, as in the AWS provider.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.contracts.log_retention import RETENTION_DAYS
from sandbox.providers.aws.properties import boolean, integer, length, text
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Properties


def _retention(days: int) -> str | None:
    choices = (0, *RETENTION_DAYS)
    return None if days in choices else f"one of {', '.join(map(str, choices))}, not {days}"


class LogGroup(Handler):
    """A log group."""

    token = "aws:cloudwatch/logGroup:LogGroup"
    noun = "CloudWatch Logs Log Group"
    inputs = {
        "name": text(replaces=True, rule=length(1, 512)),
        "kmsKeyId": text(),
        "logGroupClass": text(
            default="STANDARD", replaces=True, one_of=("STANDARD", "INFREQUENT_ACCESS", "DELIVERY")
        ),
        "retentionInDays": integer(rule=_retention),
        "skipDestroy": boolean(default=False, write_only=True),
    }
    outputs = ("arn",)
    autoname = AutoName("name", 512)
    tagged = True
    missing = ("ResourceNotFoundException",)

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the group, then set its retention, as the AWS provider does."""
        logs, name = call.client("logs"), inputs["name"]
        request: dict[str, Any] = {"logGroupName": name, "logGroupClass": inputs["logGroupClass"]}
        if inputs["tagsAll"]:
            request["tags"] = inputs["tagsAll"]
        if inputs.get("kmsKeyId"):
            request["kmsKeyId"] = inputs["kmsKeyId"]
        logs.create_log_group(**request)
        call.record_created(name)
        if inputs.get("retentionInDays"):
            logs.put_retention_policy(logGroupName=name, retentionInDays=inputs["retentionInDays"])
        return str(name)

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Find the group by its exact name."""
        logs = call.client("logs")
        pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=id)
        group = next(
            (g for page in pages for g in page["logGroups"] if g["logGroupName"] == id), None
        )
        if group is None:
            return None
        arn = group["arn"].removesuffix(":*")
        return {
            "name": id,
            "arn": arn,
            "kmsKeyId": group.get("kmsKeyId"),
            # moto 5.2.5 does not return the class.
            **({"logGroupClass": group["logGroupClass"]} if "logGroupClass" in group else {}),
            "retentionInDays": group.get("retentionInDays", 0),
            "tagsAll": logs.list_tags_for_resource(resourceArn=arn)["tags"],
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Update retention and key."""
        logs = call.client("logs")
        if "retentionInDays" in changed:
            if new.get("retentionInDays"):
                logs.put_retention_policy(logGroupName=id, retentionInDays=new["retentionInDays"])
            else:
                logs.delete_retention_policy(logGroupName=id)
        if "kmsKeyId" in changed:
            if new.get("kmsKeyId"):
                logs.associate_kms_key(logGroupName=id, kmsKeyId=new["kmsKeyId"])
            else:
                logs.disassociate_kms_key(logGroupName=id)

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the group."""
        logs = call.client("logs")
        if drop:
            logs.untag_resource(resourceArn=state["arn"], tagKeys=list(drop))
        if put:
            logs.tag_resource(resourceArn=state["arn"], tags=dict(put))

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the group unless `skipDestroy` is set."""
        if not state.get("skipDestroy"):
            call.client("logs").delete_log_group(logGroupName=id)


TYPES = (LogGroup(),)
