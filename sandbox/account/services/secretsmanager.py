"""Secrets Manager where moto differs: the date of the last access, and secrets without a function.

Source: docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from sandbox.account.core.operations import amends

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

_TABLE = "secretsmanager.access"


@amends("secretsmanager", "GetSecretValue")
def record_access(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Record the day of the access, in memory only: reads are not in the journal."""
    today = context.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    context.table(_TABLE)[call.region, result["ARN"]] = {"date": today}


@amends("secretsmanager", "DescribeSecret")
def describe(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Return the last access, and no function for a secret that RDS rotates itself."""
    _complete(context, call.region, result)


@amends("secretsmanager", "ListSecrets")
def list_secrets(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Complete each secret as DescribeSecret does."""
    for secret in result["SecretList"]:
        _complete(context, call.region, secret)


def _complete(context: RequestContext, region: str, secret: dict[str, Any]) -> None:
    access = context.table(_TABLE).get((region, secret["ARN"]))
    if access is not None:
        date: datetime.datetime = access["date"]
        secret["LastAccessedDate"] = date
    if not secret.get("RotationLambdaARN"):
        secret.pop("RotationLambdaARN", None)
