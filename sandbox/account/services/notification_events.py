"""Delivers events of pipelines and builds to the topics of notification rules.

Source: Developer Tools console User Guide, "Events for notification rules"; the message is that of
"Notification rules … SNS" with detail type FULL.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sandbox.account.services import events
from sandbox.account.services.sns_delivery import publish

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext

_SERVICE = "codestar-notifications.amazonaws.com"
_STATES = {
    "IN_PROGRESS": "in-progress",
    "FAULT": "failed",
    "TIMED_OUT": "failed",
    "ABANDONED": "canceled",
}
_KINDS = {
    "CodePipeline Pipeline Execution State Change": "codepipeline-pipeline-pipeline-execution",
    "CodePipeline Stage Execution State Change": "codepipeline-pipeline-stage-execution",
    "CodePipeline Action Execution State Change": "codepipeline-pipeline-action-execution",
    "CodeBuild Build State Change": "codebuild-project-build-state",
}
_APPROVAL = {"STARTED": "needed", "SUCCEEDED": "succeeded", "FAILED": "failed"}


def _event_types(message: Mapping[str, Any]) -> Iterator[str]:
    """Yield the event types of a message."""
    kind, detail = message["detail-type"], message["detail"]
    if kind == "CodeBuild Build Phase Change":
        succeeded = detail["completed-phase-status"] == "SUCCEEDED"
        yield f"codebuild-project-build-phase-{'success' if succeeded else 'failure'}"
        return
    if kind not in _KINDS:
        return
    state = str(detail.get("state") or detail.get("build-status"))
    yield f"{_KINDS[kind]}-{_STATES.get(state, state.lower())}"
    if (detail.get("type") or {}).get("category") == "Approval" and state in _APPROVAL:
        yield f"codepipeline-pipeline-manual-approval-{_APPROVAL[state]}"


def _resource(message: Mapping[str, Any]) -> str:
    """Return the pipeline or build project of a message."""
    detail = message["detail"]
    if "pipeline" in detail:
        return str(message["resources"][0])
    prefix = ":".join(str(message["resources"][0]).split(":")[:5])
    return f"{prefix}:project/{detail['project-name']}"


def is_awaited(context: RequestContext, message: Mapping[str, Any]) -> bool:
    """Whether an enabled rule names the event."""
    return any(_rules(context, message))


def notify(context: RequestContext, message: Mapping[str, Any]) -> None:
    """Send a message to the topics of the enabled rules that name it."""
    for rule in list(_rules(context, message)):
        text = json.dumps(_content(message, rule))
        for target in rule["Targets"]:
            if target["TargetType"] == "SNS":
                sent = publish(
                    context, _SERVICE, target["TargetAddress"], text, source_arn=rule["Arn"]
                )
                target["TargetStatus"] = "ACTIVE" if sent else "UNREACHABLE"


def _rules(context: RequestContext, message: Mapping[str, Any]) -> Iterator[Record]:
    types = set(_event_types(message))
    for rule in context.table("notifications").values() if types else ():
        named = types & {event["EventTypeId"] for event in rule["EventTypes"]}
        if named and rule["Resource"] == _resource(message) and rule["Status"] == "ENABLED":
            yield rule


def _content(message: Mapping[str, Any], rule: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "account": message["account"],
        "detailType": message["detail-type"],
        "region": message["region"],
        "source": message["source"],
        "time": message["time"],
        "notificationRuleArn": rule["Arn"],
        "detail": message["detail"],
        "resources": message["resources"],
        "additionalAttributes": {},
    }


events.LISTENERS.append((is_awaited, notify))
