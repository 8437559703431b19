"""EventBridge: events of the account's services, and what the rules of the default bus do.

Targets are pipelines, topics, queues and log groups; others are ignored.
Source: EventBridge User Guide, "Event patterns" and "Targets". A delivery that the target's policy
does not allow is dropped, as on AWS without a dead-letter queue.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sandbox.account.core.determinism import random_uuid
from sandbox.account.core.operations import admin, amends, implements
from sandbox.account.core.wire import ACCOUNT_ID
from sandbox.contracts.service_event import ServiceEvent

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

# Context, rule, target and input.
Delivery = Callable[["RequestContext", Any, Mapping[str, Any], Any], None]
TARGETS: dict[str, Delivery] = {}
"""Delivers to a target, by the service in its ARN."""
Listener = tuple[
    Callable[["RequestContext", Mapping[str, Any]], bool],
    Callable[["RequestContext", Mapping[str, Any]], None],
]
LISTENERS: list[Listener] = []
"""Get events of services apart from rules: whether one is awaited, and its delivery."""


def is_awaited(context: RequestContext, event: ServiceEvent) -> bool:
    """Whether a rule or a listener gets an event."""
    message = _message(context, event)
    return any(_matching(context, message, "default")) or any(
        awaits(context, message) for awaits, _ in LISTENERS
    )


@admin("event")
def put_service_event(context: RequestContext, content: dict[str, Any]) -> dict[str, Any]:
    """Send an event of a part of the sandbox; a replay of the journal fills queues again."""
    put(context, ServiceEvent(**{**content, "resources": tuple(content["resources"])}))
    return {}


def put(context: RequestContext, event: ServiceEvent) -> None:
    """Send an event to the rules and listeners of its region."""
    message = _message(context, event)
    _match(context, message, "default")
    for awaits, listener in LISTENERS:
        if awaits(context, message):
            listener(context, message)


def _message(context: RequestContext, event: ServiceEvent) -> dict[str, Any]:
    return {
        "version": "0",
        "id": random_uuid(),
        "detail-type": event.detail_type,
        "source": event.source,
        "account": ACCOUNT_ID,
        "time": context.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": event.region,
        "resources": list(event.resources),
        "detail": dict(event.detail),
    }


@implements("events", "PutEvents")
def put_events(context: RequestContext, call: Call) -> dict[str, Any]:
    """Send a caller's events to the rules of a bus."""
    backend = context.backend("events", call.region)
    entries: list[dict[str, str]] = []
    for entry in call["Entries"]:
        bus = str(entry.get("EventBusName") or "default").rpartition("/")[2]
        missing = [name for name in ("Source", "DetailType", "Detail") if not entry.get(name)]
        if missing:
            text = (
                f"Parameter {missing[0]} is not valid. Reason: {missing[0]} is a required argument."
            )
            entries.append({"ErrorCode": "InvalidArgument", "ErrorMessage": text})
            continue
        try:
            detail = json.loads(entry["Detail"])
        except ValueError:
            entries.append({"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."})
            continue
        message = _message(
            context,
            ServiceEvent(
                source=entry["Source"],
                detail_type=entry["DetailType"],
                region=call.region,
                detail=detail,
                resources=tuple(entry.get("Resources") or ()),
            ),
        )
        entries.append({"EventId": message["id"]})
        if bus in backend.event_buses:
            _match(context, message, bus)
    failed = sum("ErrorCode" in entry for entry in entries)
    return {"FailedEntryCount": failed, "Entries": entries}


def _match(context: RequestContext, message: dict[str, Any], bus: str) -> None:
    for rule in list(_matching(context, message, bus)):
        for target in list(rule.targets):
            _deliver(context, rule, target, _input(target, message))


def _matching(context: RequestContext, message: Mapping[str, Any], bus: str) -> Iterator[Any]:
    for rule in context.backend("events", message["region"]).event_buses[bus].rules.values():
        if rule.state == "ENABLED" and rule.event_pattern.matches_event(message):
            yield rule


def _deliver(context: RequestContext, rule: Any, target: Mapping[str, Any], content: Any) -> None:
    """Send to a target; a service that the sandbox does not have is ignored."""
    _, _, service, _, _, name = str(target["Arn"]).split(":", 5)
    if service == "sqs":
        group = (target.get("SqsParameters") or {}).get("MessageGroupId")
        queues = context.backend("sqs", rule.region_name)
        if name in queues.queues:
            queues.send_message(name, json.dumps(content), group_id=group)
    elif service == "logs":
        rule._send_to_cw_log_group(name.removeprefix("log-group:").removesuffix(":*"), content)
    elif service in TARGETS:
        TARGETS[service](context, rule, target, content)


def _input(target: Mapping[str, Any], message: dict[str, Any]) -> Any:
    """Return what a target receives: the event, a part of it, a text or a filled template."""
    if target.get("Input"):
        return json.loads(target["Input"])
    if target.get("InputPath"):
        return _at(message, target["InputPath"])
    transformer = target.get("InputTransformer") or {}
    if not transformer:
        return message
    text = str(transformer["InputTemplate"])
    for name, path in (transformer.get("InputPathsMap") or {}).items():
        value = _at(message, path)
        plain = value if isinstance(value, str) else json.dumps(value)
        # A string is quoted unless the template quotes it.
        quoted = plain if text.startswith('"') or f'"<{name}>"' in text else json.dumps(value)
        text = text.replace(f"<{name}>", quoted)
    try:
        return json.loads(text)
    except ValueError:
        return text


def _at(message: Mapping[str, Any], path: str) -> Any:
    """Return the part of an event at a path such as "$.detail.state"."""
    part: Any = message
    for name in filter(None, path.removeprefix("$").split(".")):
        part = part.get(name) if isinstance(part, dict) else None
    return part


@amends("s3", "PutObject", "CompleteMultipartUpload", "CopyObject")
def object_created(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Send the event of a new object, if the bucket sends events to EventBridge.

    Source: S3 User Guide, "Object Created" in "EventBridge event message structure".
    """
    bucket = context.backend("s3").buckets.get(call["Bucket"])
    configuration = bucket.notification_configuration if bucket is not None else None
    if configuration is None or configuration.event_bridge is None:
        return
    put(
        context,
        ServiceEvent(
            source="aws.s3",
            detail_type="Object Created",
            region=bucket.region_name,
            resources=(f"arn:aws:s3:::{call['Bucket']}",),
            detail={
                "bucket": {"name": call["Bucket"]},
                "object": {"key": call["Key"]},
                "reason": call.operation,
            },
        ),
    )
