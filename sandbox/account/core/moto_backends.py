"""Looks up objects in moto's backends by ARN or ID."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sandbox.account.core.wire import ACCOUNT_ID

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext

# The identity of callers whose keys IAM did not issue; it always exists.
CALLER_ARN = f"arn:aws:iam::{ACCOUNT_ID}:user/sandbox"
CALLER_ID = "AIDASANDBOXCALLER0000"


def role(context: RequestContext, arn: str) -> Any | None:
    """Return moto's role with this ARN."""
    return next((r for r in context.backend("iam").roles.values() if r.arn == arn), None)


def trusts(role: Any, principal: str) -> bool:
    """Whether a role's trust policy allows a service, such as "eks.amazonaws.com"."""
    document = role.assume_role_policy_document
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
    """Whether a role or user exists; the account's root and the caller always do."""
    if arn in {CALLER_ARN, f"arn:aws:iam::{ACCOUNT_ID}:root"}:
        return True
    iam = context.backend("iam")
    return any(principals.arn == arn for principals in (*iam.roles.values(), *iam.users.values()))


def subnet(context: RequestContext, region: str, subnet_id: str) -> Any | None:
    """Return moto's subnet with this ID."""
    for zone in context.backend("ec2", region).subnets.values():
        if subnet_id in zone:
            return zone[subnet_id]
    return None


def subnets(context: RequestContext, region: str) -> Iterable[Any]:
    """Return all subnets of a region."""
    return [
        zones for zone in context.backend("ec2", region).subnets.values() for zones in zone.values()
    ]


def security_group(context: RequestContext, region: str, group_id: str) -> Any | None:
    """Return moto's security group with this ID."""
    for groups in context.backend("ec2", region).groups.values():
        if group_id in groups:
            return groups[group_id]
    return None


def key(context: RequestContext, region: str, name: str) -> Any | None:
    """Return moto's KMS key for a key ID, key ARN, alias or alias ARN."""
    keys = context.backend("kms", region).keys
    short = name.rpartition(":")[2]
    if short.startswith("alias/"):
        return next((matches for matches in keys.values() if short in matches.aliases), None)
    return keys.get(short.removeprefix("key/"))
