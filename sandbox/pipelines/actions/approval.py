"""The action Approval/Manual: publishes a request and waits for PutApprovalResult.

Source of the message's format: CodePipeline User Guide, "JSON data format for manual approval
notifications".
"""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

from botocore.exceptions import ClientError

from sandbox.pipelines.actions.action import (
    ActionContext,
    ActionError,
    ActionResult,
    denied_or_failed,
)
from sandbox.pipelines.records import now

_DEFAULT_MINUTES = 7 * 24 * 60
_RECHECK_SECONDS = 5.0


def request_approval(context: ActionContext) -> ActionResult:
    """Wait for a result; a time-out fails the action."""
    minutes = int(context.declaration.get("timeoutInMinutes") or _DEFAULT_MINUTES)
    expires = context.run.started + timedelta(minutes=minutes)
    # A restart keeps the token that reviewers have, and their decision.
    if not context.run.token and not context.run.updated_by:
        token = str(uuid.uuid4())
        _notify(context, token, expires.strftime("%Y-%m-%dT%H:%MZ"))
        context.update(token=token)
    while not context.run.updated_by:  # PutApprovalResult sets it
        remaining = (expires - now()).total_seconds()
        if remaining <= 0:
            context.update(token="")
            raise ActionError("TimedOut", f"Approval was not given within {minutes} minutes")
        context.pause(min(remaining, _RECHECK_SECONDS))
    if context.run.error_message:
        raise ActionError("Rejected", context.run.error_message)
    return ActionResult(summary=context.run.summary)


def _notify(context: ActionContext, token: str, expires: str) -> None:
    topic = context.configuration.get("NotificationArn")
    if not topic:
        return
    execution = context.execution
    console = (
        f"https://console.aws.amazon.com/codesuite/codepipeline/pipelines/{execution.pipeline}"
    )
    approval = {
        "pipelineName": execution.pipeline,
        "stageName": context.stage,
        "actionName": context.name,
        "token": token,
        "expires": expires,
        "externalEntityLink": context.configuration.get("ExternalEntityLink"),
        "approvalReviewLink": f"{console}/view?region={execution.region}#/{context.stage}",
        "customData": context.configuration.get("CustomData"),
    }
    message = {"region": execution.region, "consoleLink": f"{console}/view", "approval": approval}
    subject = f"APPROVAL NEEDED: AWS CodePipeline {execution.pipeline} for action {context.name}"
    try:
        context.role.client("sns").publish(
            TopicArn=topic, Subject=subject[:100], Message=json.dumps(message)
        )
    except ClientError as error:
        raise denied_or_failed(error) from None
