"""CodeStar notification rules, which moto lacks.

Event types: docs.aws.amazon.com/dtconsole/latest/userguide/concepts.html ("Events for notification
rules").
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends
from sandbox.account.core.determinism import random_hex
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import OWN_SERVICES, Item, implements, lists
from sandbox.account.core.wire import ACCOUNT_ID

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext
    from sandbox.account.core.wire import Call

OWN_SERVICES.add("codestar-notifications")
_EVENTS: dict[tuple[str, str], tuple[str, ...]] = {
    ("codepipeline", "pipeline"): (
        *(f"action-execution-{s}" for s in ("succeeded", "failed", "canceled", "started")),
        *(
            f"stage-execution-{s}"
            for s in ("started", "succeeded", "resumed", "canceled", "failed")
        ),
        *(
            f"pipeline-execution-{s}"
            for s in ("failed", "canceled", "started", "resumed", "succeeded", "superseded")
        ),
        *(f"manual-approval-{s}" for s in ("failed", "needed", "succeeded")),
    ),
    ("codebuild", "project"): (
        *(f"build-state-{s}" for s in ("failed", "succeeded", "in-progress", "stopped")),
        *(f"build-phase-{s}" for s in ("failure", "success")),
    ),
}


def _event_ids() -> dict[str, dict[str, str]]:
    return {
        f"{service}-{resource}-{name}": {
            "EventTypeId": f"{service}-{resource}-{name}",
            "ServiceName": {"codepipeline": "CodePipeline", "codebuild": "CodeBuild"}[service],
            "EventTypeName": name.replace("-", " ").capitalize(),
            "ResourceType": resource.capitalize(),
        }
        for (service, resource), names in _EVENTS.items()
        for name in names
    }


def _find(context: RequestContext, arn: str) -> Record:
    rule = context.table("notifications").get(
        (arn.split(":")[3] if arn.count(":") >= 5 else "", arn)
    )
    if rule is None:
        raise AwsError("ResourceNotFoundException", f"Notification rule {arn} does not exist")
    return rule


def _check_events(ids: list[str], resource: str) -> None:
    valid_ids, service = _event_ids(), resource.split(":")[2]
    for event in ids:
        if event not in valid_ids or not event.startswith(f"{service}-"):
            raise AwsError(
                "ValidationException", f"Invalid event type id {event} for the resource {resource}"
            )


def _targets(context: RequestContext, requested: list[dict[str, str]]) -> list[dict[str, str]]:
    targets = []
    for target in requested:
        address, kind = target.get("TargetAddress", ""), target.get("TargetType", "SNS")
        if kind == "SNS":
            parts = address.split(":")
            region = parts[3] if len(parts) == 6 else ""
            if not region or address not in context.backend("sns", region).topics:
                raise AwsError("ConfigurationException", f"The SNS topic {address} does not exist")
        elif not address.startswith("arn:aws:chatbot:"):
            raise AwsError("ValidationException", f"{address} is not a target of type {kind}")
        targets.append({"TargetAddress": address, "TargetType": kind, "TargetStatus": "ACTIVE"})
    return targets


@implements("codestar-notifications", "CreateNotificationRule")
def create_notification_rule(context: RequestContext, call: Call) -> dict[str, Any]:
    """Create a rule that sends events of a pipeline or build project to topics."""
    table = context.table("notifications")
    token = call.get("ClientRequestToken")
    for record in table.values():
        if record["Name"] == call["Name"] and record["_region"] == call.region:
            if token and token == record["_token"]:
                return {"Arn": record["Arn"]}
            raise AwsError(
                "ResourceAlreadyExistsException", f"Notification rule {call['Name']} already exists"
            )
    resource = call["Resource"]
    if not _resource_exists(context, resource):
        raise AwsError("ResourceNotFoundException", f"The resource {resource} does not exist")
    _check_events(call["EventTypeIds"], resource)
    prefix = f"arn:aws:codestar-notifications:{call.region}:{ACCOUNT_ID}"
    arn = f"{prefix}:notificationrule/{random_hex(40)}"
    now = context.clock.now()
    table[call.region, arn] = {
        "Arn": arn,
        "Name": call["Name"],
        "EventTypes": [_event_ids()[event] for event in call["EventTypeIds"]],
        "Resource": resource,
        "Targets": _targets(context, call["Targets"]),
        "DetailType": call["DetailType"],
        "CreatedBy": moto_backends.CALLER_ARN,
        "Status": call.get("Status") or "ENABLED",
        "CreatedTimestamp": now,
        "LastModifiedTimestamp": now,
        "Tags": call.get("Tags") or {},
        "_region": call.region,
        "_token": token,
    }
    return {"Arn": arn}


def _resource_exists(context: RequestContext, arn: str) -> bool:
    parts = arn.split(":")
    if len(parts) != 6 or parts[2] not in {"codepipeline", "codebuild"}:
        raise AwsError("ValidationException", f"{arn} is neither a pipeline nor a build project")
    if parts[2] == "codepipeline":
        return (parts[3], parts[5]) in context.table("codepipeline")
    return (parts[3], parts[5].removeprefix("project/")) in context.table("codebuild")


@implements("codestar-notifications", "DescribeNotificationRule")
def describe_notification_rule(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return a rule."""
    return _find(context, call["Arn"])


@implements("codestar-notifications", "UpdateNotificationRule")
def update_notification_rule(context: RequestContext, call: Call) -> dict[str, Any]:
    """Update a rule."""
    record = _find(context, call["Arn"])
    changed: dict[str, Any] = {n: call[n] for n in ("Name", "Status", "DetailType") if call.get(n)}
    if call.get("EventTypeIds"):
        _check_events(call["EventTypeIds"], record["Resource"])
        changed["EventTypes"] = [_event_ids()[event] for event in call["EventTypeIds"]]
    if call.get("Targets") is not None:
        changed["Targets"] = _targets(context, call["Targets"])
    record.update(changed, LastModifiedTimestamp=context.clock.now())
    return {}


@implements("codestar-notifications", "DeleteNotificationRule")
def delete_notification_rule(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete a rule; a missing one is no error."""
    context.table("notifications").pop((call.region, call["Arn"]), None)
    return {"Arn": call["Arn"]}


@implements("codestar-notifications", "ListNotificationRules")
def list_notification_rules(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the region's rules, optionally of one resource."""
    names = {f["Name"]: f["Value"] for f in call.get("Filters") or []}
    rules = [r for k, r in context.table("notifications").items() if k[0] == call.region]
    rules = [r for r in rules if names.get("RESOURCE") in {None, r["Resource"]}]
    return {
        "NotificationRules": [{"Id": r["Arn"].rpartition("/")[2], "Arn": r["Arn"]} for r in rules]
    }


@implements("codestar-notifications", "Subscribe")
def subscribe(context: RequestContext, call: Call) -> dict[str, Any]:
    """Add a target."""
    record = _find(context, call["Arn"])
    added = _targets(context, [call["Target"]])
    record["Targets"] = [
        t for t in record["Targets"] if t["TargetAddress"] != added[0]["TargetAddress"]
    ] + added
    return {"Arn": record["Arn"]}


@implements("codestar-notifications", "Unsubscribe")
def unsubscribe(context: RequestContext, call: Call) -> dict[str, Any]:
    """Remove a target."""
    record = _find(context, call["Arn"])
    record["Targets"] = [
        t for t in record["Targets"] if t["TargetAddress"] != call["TargetAddress"]
    ]
    return {"Arn": record["Arn"]}


@implements("codestar-notifications", "ListTargets")
def list_targets(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return all targets of the region's rules."""
    targets = [
        t
        for k, r in context.table("notifications").items()
        if k[0] == call.region
        for t in r["Targets"]
    ]
    return {"Targets": list({target["TargetAddress"]: target for target in targets}.values())}


@implements("codestar-notifications", "DeleteTarget")
def delete_target(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete a target of all rules; of rules in use only with force."""
    using = [
        r
        for r in context.table("notifications").values()
        if any(t["TargetAddress"] == call["TargetAddress"] for t in r["Targets"])
    ]
    if using and not call.get("ForceUnsubscribeAll"):
        raise AwsError(
            "ValidationException",
            f"Unsubscribe target {call['TargetAddress']} before it is deleted",
        )
    for record in using:
        record["Targets"] = [
            t for t in record["Targets"] if t["TargetAddress"] != call["TargetAddress"]
        ]
    return {}


@implements("codestar-notifications", "ListEventTypes")
def list_event_types(context: RequestContext, call: Call) -> dict[str, Any]:  # noqa: ARG001
    """Return the event types that rules can name."""
    names = {f["Name"]: f["Value"] for f in call.get("Filters") or []}
    events = [
        e for e in _event_ids().values() if names.get("SERVICE_NAME") in {None, e["ServiceName"]}
    ]
    return {
        "EventTypes": [e for e in events if names.get("RESOURCE_TYPE") in {None, e["ResourceType"]}]
    }


@implements("codestar-notifications", "TagResource")
def tag_resource(context: RequestContext, call: Call) -> dict[str, Any]:
    """Add tags."""
    record = _find(context, call["Arn"])
    record["Tags"].update(call["Tags"])
    return {"Tags": record["Tags"]}


@implements("codestar-notifications", "UntagResource")
def untag_resource(context: RequestContext, call: Call) -> dict[str, Any]:
    """Remove tags."""
    for key in call["TagKeys"]:
        _find(context, call["Arn"])["Tags"].pop(key, None)
    return {}


@implements("codestar-notifications", "ListTagsForResource")
def list_tags(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return tags."""
    return {"Tags": _find(context, call["Arn"])["Tags"]}


@lists
def inventory(context: RequestContext) -> Iterable[Item]:
    """Yield every rule."""
    for key, record in context.table("notifications").items():
        yield Item(
            "codestar-notifications",
            "rule",
            record["Arn"],
            record["Arn"],
            record["Name"],
            key[0],
            record["Tags"],
        )
