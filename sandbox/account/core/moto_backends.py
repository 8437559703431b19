"""What exists: looks up the objects that other objects refer to, by ARN or id, in moto's backends."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sandbox.account.core.wire import ACCOUNT_ID

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext

# Whoever calls with keys that IAM didn't issue is this user; it exists without having been created.
CALLER_ARN = f"arn:aws:iam::{ACCOUNT_ID}:user/sandbox"
CALLER_ID = "AIDASANDBOXCALLER0000"


def role(context: RequestContext, arn: str) -> Any | None:
    """Return moto's role with this ARN."""
    return next((r for r in context.backend("iam").roles.values() if r.arn == arn), None)


def trusts(found: Any, principal: str) -> bool:
    """Say whether a role's trust policy lets a service (e.g. "eks.amazonaws.com") assume it."""
    document = found.assume_role_policy_document
    statements = json.loads(document).get("Statement", []) if isinstance(document, str) else []
    for statement in [statements] if isinstance(statements, dict) else statements:
        services = (
            (statement.get("Principal") or {})
            if isinstance(statement.get("Principal"), dict)
            else {}
        )
        named = services.get("Service", [])
        if statement.get("Effect") == "Allow" and principal in (
            [named] if isinstance(named, str) else named
        ):
            return True
    return False


def principal_exists(context: RequestContext, arn: str) -> bool:
    """Say whether an IAM role or user with this ARN exists (the account's root and the caller always do)."""
    if arn in {CALLER_ARN, f"arn:aws:iam::{ACCOUNT_ID}:root"}:
        return True
    iam = context.backend("iam")
    return any(found.arn == arn for found in (*iam.roles.values(), *iam.users.values()))


def subnet(context: RequestContext, region: str, subnet_id: str) -> Any | None:
    """Return moto's subnet with this id."""
    for zone in context.backend("ec2", region).subnets.values():
        if subnet_id in zone:
            return zone[subnet_id]
    return None


def subnets(context: RequestContext, region: str) -> Iterable[Any]:
    """Return all subnets of a region."""
    return [
        found for zone in context.backend("ec2", region).subnets.values() for found in zone.values()
    ]


def security_group(context: RequestContext, region: str, group_id: str) -> Any | None:
    """Return moto's security group with this id."""
    for groups in context.backend("ec2", region).groups.values():
        if group_id in groups:
            return groups[group_id]
    return None


def key(context: RequestContext, region: str, name: str) -> Any | None:
    """Return moto's KMS key for a key id, key ARN, alias name or alias ARN."""
    keys = context.backend("kms", region).keys
    short = name.rpartition(":")[2]
    if short.startswith("alias/"):
        return next((found for found in keys.values() if short in found.aliases), None)
    return keys.get(short.removeprefix("key/"))
