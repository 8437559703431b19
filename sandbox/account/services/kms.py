"""KMS where moto differs: key states, rotation periods, key policies.

Source: docs.aws.amazon.com/kms/latest/developerguide/key-state.html.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends, policy_documents
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import amends, checks
from sandbox.account.core.wire import ACCOUNT_ID

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

_CRYPTO = (
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncrypt",
    "Sign",
    "CreateGrant",
)
_NOT_WHILE_PENDING = (
    "EnableKey",
    "DisableKey",
    "EnableKeyRotation",
    "DisableKeyRotation",
    "UpdateKeyDescription",
    "TagResource",
    "UntagResource",
    "PutKeyPolicy",
    "ScheduleKeyDeletion",
)


def _key(context: RequestContext, call: Call, name: str) -> Any | None:
    return moto_backends.key(context, call.region, name)


@checks("kms", *_CRYPTO)
def usable(context: RequestContext, call: Call) -> None:
    """Refuse to use a key that is not enabled."""
    key = _key(context, call, call.get("KeyId") or call.get("DestinationKeyId") or "")
    if key is not None and key.key_state == "Disabled":
        raise AwsError("DisabledException", f"{key.arn} is disabled.")
    if key is not None and key.key_state == "PendingDeletion":
        raise AwsError("KMSInvalidStateException", f"{key.arn} is pending deletion.")


@checks("kms", *_NOT_WHILE_PENDING)
def not_pending(context: RequestContext, call: Call) -> None:
    """Refuse to change a key that is pending deletion."""
    key = _key(context, call, call["KeyId"])
    if key is not None and key.key_state == "PendingDeletion":
        raise AwsError("KMSInvalidStateException", f"{key.arn} is pending deletion.")


@checks("kms", "CreateAlias", "UpdateAlias")
def alias_target(context: RequestContext, call: Call) -> None:
    """Refuse an alias for a key that is pending deletion."""
    key = _key(context, call, call["TargetKeyId"])
    if key is not None and key.key_state == "PendingDeletion":
        raise AwsError("KMSInvalidStateException", f"{key.arn} is pending deletion.")


@checks("kms", "CancelKeyDeletion")
def is_pending(context: RequestContext, call: Call) -> None:
    """Refuse to cancel a deletion that is not pending."""
    key = _key(context, call, call["KeyId"])
    if key is not None and key.key_state != "PendingDeletion":
        raise AwsError("KMSInvalidStateException", f"{key.arn} is not pending deletion.")


@checks("kms", "ScheduleKeyDeletion")
def deletion_window(context: RequestContext, call: Call) -> None:  # noqa: ARG001
    """Validate the waiting period of 7 to 30 days."""
    if not 7 <= call.get("PendingWindowInDays", 30) <= 30:
        text = "PendingWindowInDays must be between 7 and 30 days"
        raise AwsError("ValidationException", text)


@amends("kms", "ScheduleKeyDeletion")
def plan_deletion(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Delete the key with its aliases after the waiting period, which is never scaled."""
    backend = context.backend("kms", call.region)
    key = _key(context, call, call["KeyId"])
    if key is None or key.deletion_date is None:
        return
    planned = key.deletion_date

    def gone() -> None:
        if key.key_state == "PendingDeletion" and key.deletion_date == planned:
            backend.keys.pop(key.id, None)

    context.schedule.add(planned.replace(tzinfo=datetime.UTC).timestamp(), gone)


@checks("kms", "CreateKey", "PutKeyPolicy")
def check_policy(context: RequestContext, call: Call) -> None:
    """Validate a key policy: well-formed, existing principals, no lockout."""
    if not call.get("Policy"):
        return

    def malformed(text: str) -> AwsError:
        return AwsError("MalformedPolicyDocumentException", text)

    key = policy_documents.statements(call["Policy"], malformed, principal=True)
    policy_documents.check_principals(context, key, malformed)
    if call.get("BypassPolicyLockoutSafetyCheck"):
        return
    owners = {"*", f"arn:aws:iam::{ACCOUNT_ID}:root", ACCOUNT_ID, moto_backends.CALLER_ARN}
    for statement in key:
        actions = statement.get("Action", [])
        rights = {actions} if isinstance(actions, str) else set(actions)
        grants = rights & {"kms:*", "*", "kms:Put*", "kms:PutKeyPolicy"}
        if (
            statement["Effect"] == "Allow"
            and grants
            and owners & set(policy_documents.aws_principals(statement))
        ):
            return
    text = "The new key policy will not allow you to update the key policy in the future."
    raise malformed(text)


@amends("kms", "EnableKeyRotation")
def keep_period(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Record the rotation period and its start."""
    key = _key(context, call, call["KeyId"])
    period = call.get("RotationPeriodInDays") or 365
    context.table("kms.rotation")[call.region, getattr(key, "id", "")] = {
        "days": period,
        "since": context.clock.now(),
    }


@amends("kms", "GetKeyRotationStatus")
def show_period(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Return the rotation period and the next date."""
    key = _key(context, call, call["KeyId"])
    rotation = context.table("kms.rotation").get((call.region, getattr(key, "id", "")))
    if result.get("KeyRotationEnabled") and rotation is not None and key is not None:
        following = rotation["since"] + datetime.timedelta(days=rotation["days"])
        result |= {
            "KeyId": key.id,
            "RotationPeriodInDays": rotation["days"],
            "NextRotationDate": following,
        }
