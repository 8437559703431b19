"""Messages to SNS topics: of services, which need the topic's and its key's policy, and of callers.

The newest messages of all topics are in `messages.jsonl`, for `sandbox notifications`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sandbox.account.core import authorization
from sandbox.account.core.operations import amends
from sandbox.account.services import events

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call


@amends("sns", "Publish")
def keep_message(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Keep a caller's message."""
    if call.get("TopicArn"):
        _keep(context, call["TopicArn"], call.get("Subject") or "", call["Message"])


def publish(
    context: RequestContext,
    service: str,
    topic_arn: str,
    message: str,
    *,
    source_arn: str,
    subject: str = "",
) -> bool:
    """Send a message of a service; return False if the topic is missing or denies it.

    Source: SNS Developer Guide, "Managing Amazon SNS encryption keys and costs".
    """
    region = topic_arn.split(":")[3]
    topic = context.backend("sns", region).topics.get(topic_arn)
    conditions = {"aws:sourcearn": source_arn}
    if topic is None or not authorization.service_allows(
        context, service, region, "sns:Publish", topic_arn, conditions
    ):
        return False
    if (key := str(topic.kms_master_key_id or "")) and "alias/aws/" not in key:
        via = {**conditions, "kms:viaservice": f"sns.{region}.amazonaws.com"}
        for action in ("kms:GenerateDataKey", "kms:Decrypt"):
            if not authorization.service_allows(context, service, region, action, key, via):
                return False
    topic.publish(message, subject=subject or None)
    _keep(context, topic_arn, subject, message)
    return True


def _keep(context: RequestContext, topic_arn: str, subject: str, message: str) -> None:
    if context.replaying:  # the file has it
        return
    context.messages.append(
        {
            "time": context.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "topic": topic_arn,
            "subject": subject,
            "message": message,
        }
    )


def _to_topic(context: RequestContext, rule: Any, target: Mapping[str, Any], content: Any) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    publish(context, "events.amazonaws.com", target["Arn"], text, source_arn=str(rule.arn))


events.TARGETS["sns"] = _to_topic
