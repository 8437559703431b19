"""Validation of policy documents for IAM, KMS, S3, SNS and ECR."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends
from sandbox.account.core.wire import ACCOUNT_ID

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext

Refuse = Callable[[str], Exception]


def statements(document: str, refuse: Refuse, *, principal: bool) -> list[dict[str, Any]]:
    """Return a policy's statements; raise `refuse(reason)` if it is malformed.

    `principal` says whether statements must have a Principal (resource and trust policies) or must
    not.
    """
    try:
        parsed = json.loads(document)
    except ValueError as error:
        raise refuse("This policy contains invalid Json") from error
    if not isinstance(parsed, dict) or "Statement" not in parsed:
        raise refuse("Syntax errors in policy: it has no Statement")
    if parsed.get("Version", "2008-10-17") not in {"2008-10-17", "2012-10-17"}:
        raise refuse(
            f"The policy version {parsed['Version']} is not one of 2008-10-17 and 2012-10-17"
        )
    unknown = set(parsed) - {"Version", "Id", "Statement"}
    if unknown:
        raise refuse(f"Syntax errors in policy: unknown element {', '.join(sorted(unknown))}")
    statement_list = (
        parsed["Statement"] if isinstance(parsed["Statement"], list) else [parsed["Statement"]]
    )
    for statement in statement_list:
        _check_statement(statement, refuse, principal=principal)
    return statement_list


_ELEMENTS = {
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
}


def _check_statement(statement: Any, refuse: Refuse, *, principal: bool) -> None:
    if not isinstance(statement, dict):
        raise refuse("Syntax errors in policy: a statement is not a JSON object")
    unknown = set(statement) - _ELEMENTS
    if unknown:
        raise refuse(f"Syntax errors in policy: unknown element {', '.join(sorted(unknown))}")
    if statement.get("Effect") not in {"Allow", "Deny"}:
        raise refuse("Syntax errors in policy: Effect must be Allow or Deny")
    if ("Action" in statement) == ("NotAction" in statement):
        raise refuse("Syntax errors in policy: a statement has either Action or NotAction")
    has = "Principal" in statement or "NotPrincipal" in statement
    if has != principal:
        raise refuse(
            "Missing required field Principal"
            if principal
            else "Policy document should not specify a principal."
        )


def aws_principals(statement: dict[str, Any]) -> list[str]:
    """Return the AWS principals of a statement."""
    principal = statement.get("Principal", {})
    if principal == "*":
        return ["*"]
    named = principal.get("AWS", []) if isinstance(principal, dict) else []
    return [named] if isinstance(named, str) else list(named)


def check_principals(
    context: RequestContext, statement_list: list[dict[str, Any]], refuse: Refuse
) -> None:
    """Refuse principals of this account that do not exist, as AWS does."""
    for statement in statement_list:
        for arn in aws_principals(statement):
            ours = (
                f"::{ACCOUNT_ID}:" in arn
                and (":role/" in arn or ":user/" in arn)
                and "*" not in arn
            )
            if ours and not moto_backends.principal_exists(context, arn):
                raise refuse(f'Invalid principal in policy: "AWS":"{arn}"')
