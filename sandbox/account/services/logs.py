"""CloudWatch Logs where moto differs: retention and keys of log groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import checks, implements

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

from sandbox.contracts.log_retention import RETENTION_DAYS


@checks("logs", "PutRetentionPolicy")
def check_retention(context: RequestContext, call: Call) -> None:  # noqa: ARG001
    """Validate the retention of a log group."""
    if call["retentionInDays"] not in RETENTION_DAYS:
        choices = ", ".join(map(str, sorted(RETENTION_DAYS)))
        text = (
            f"1 validation error detected: Value '{call['retentionInDays']}' at 'retentionInDays' "
            f"failed to satisfy constraint: Member must satisfy enum value set: [{choices}]"
        )
        raise AwsError("InvalidParameterException", text)


@checks("logs", "CreateLogGroup", "AssociateKmsKey")
def check_log_key(context: RequestContext, call: Call) -> None:
    """Validate a log group's key: enabled, and its policy allows CloudWatch Logs."""
    arn = call.get("kmsKeyId")
    if not arn:
        return
    key = moto_backends.key(context, call.region, arn)
    allowed = (
        key is not None
        and key.key_state == "Enabled"
        and f"logs.{call.region}.amazonaws.com" in str(key.policy)
    )
    if not allowed:
        reason = (
            "it does not exist"
            if key is None
            else f"it must be enabled and its policy must allow logs.{call.region}.amazonaws.com"
        )
        text = (
            "The specified KMS key does not exist or is not allowed to be used with LogGroup "
            f"({arn}: {reason})"
        )
        raise AwsError("InvalidParameterException", text)


@implements("logs", "AssociateKmsKey")
def associate_key(context: RequestContext, call: Call) -> dict[str, Any]:
    """Associate a key with a log group."""
    _log_group(context, call).kms_key_id = call["kmsKeyId"]
    return {}


@implements("logs", "DisassociateKmsKey")
def disassociate_key(context: RequestContext, call: Call) -> dict[str, Any]:
    """Disassociate the key from a log group."""
    _log_group(context, call).kms_key_id = None
    return {}


def _log_group(context: RequestContext, call: Call) -> Any:
    groups = context.backend("logs", call.region).groups
    name = (
        call.get("logGroupName")
        or (call.get("resourceIdentifier") or "").partition(":log-group:")[2]
    )
    if name not in groups:
        raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
    return groups[name]


def put_events(
    context: RequestContext,
    region: str,
    group: str,
    stream: str,
    events: Sequence[tuple[int, str]],
) -> bool:
    """Store events (milliseconds, message); return False without such a log group or stream."""
    backend = context.backend("logs", region)
    if group not in backend.groups or stream not in backend.groups[group].streams:
        return False
    documents = [{"timestamp": moment, "message": message} for moment, message in events]
    backend.put_log_events(group, stream, documents)
    return True
