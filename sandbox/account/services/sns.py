"""SNS where moto differs: validation of topic policies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandbox.account.core import policy_documents
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import checks

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call


@checks("sns", "SetTopicAttributes", "CreateTopic")
def check_topic_policy(context: RequestContext, call: Call) -> None:
    """Validate a topic policy."""
    document = (call.get("Attributes") or {}).get("Policy")
    if call.get("AttributeName") == "Policy":
        document = call.get("AttributeValue")
    if not document:
        return

    def invalid(text: str) -> AwsError:
        return AwsError("InvalidParameter", f"Invalid parameter: Policy Error: {text}")

    statements = policy_documents.statements(document, invalid, principal=True)
    policy_documents.check_principals(context, statements, invalid)
    for statement in statements:
        actions = statement.get("Action", [])
        for action in [actions] if isinstance(actions, str) else actions:
            if not re.match(r"(?i)sns:|\*$", action):
                raise AwsError(
                    "InvalidParameter",
                    "Invalid parameter: Policy statement action out of service scope!",
                )
