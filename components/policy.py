"""IAM documents as values: exact statements, and trusts that name the one source allowed to use them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import pulumi

Statement: TypeAlias = dict[str, Any]
Conditions: TypeAlias = Mapping[str, Mapping[str, Any]]


def allow(
    sid: str, actions: Sequence[str], resources: Sequence[pulumi.Input[str]], conditions: Conditions | None = None
) -> Statement:
    """Allow `actions` on exactly `resources`, under `conditions` (operator to key to value) where given."""
    statement: Statement = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return statement if conditions is None else {**statement, "Condition": conditions}


def document(*statements: Statement) -> pulumi.Output[str]:
    """The statements as the JSON text that IAM, KMS, S3 and SNS take."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


def service_trust(
    service: str,
    *,
    actions: Sequence[str] = ("sts:AssumeRole",),
    account_id: pulumi.Input[str] | None = None,
    source_arn: pulumi.Input[str] | None = None,
) -> pulumi.Output[str]:
    """Let one AWS service assume a role; with a source, only on behalf of that account and that resource.

    The source conditions are what stands against the confused deputy
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html).
    """
    conditions: dict[str, dict[str, Any]] = {}
    if account_id is not None:
        conditions["StringEquals"] = {"aws:SourceAccount": account_id}
    if source_arn is not None:
        conditions["ArnLike"] = {"aws:SourceArn": source_arn}
    statement: Statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": list(actions)}
    return document({**statement, "Condition": conditions} if conditions else statement)


def role_trust(role_arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """Let one named role assume another."""
    return document({"Effect": "Allow", "Principal": {"AWS": role_arn}, "Action": ["sts:AssumeRole"]})
