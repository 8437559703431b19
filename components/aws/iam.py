"""IAM policy documents: statements, trust policies and conditions."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import pulumi

from components.aws.context import AwsContext

Statement: TypeAlias = dict[str, Any]
Conditions: TypeAlias = Mapping[str, Mapping[str, Any]]


def allow(
    sid: str,
    actions: Sequence[str],
    resources: Sequence[pulumi.Input[str]],
    conditions: Conditions | None = None,
) -> Statement:
    """Allow `actions` on exactly `resources`, under `conditions` (operator to key to value)."""
    statement: Statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": list(resources),
    }
    return statement if conditions is None else {**statement, "Condition": conditions}


def document(*statements: Statement) -> pulumi.Output[str]:
    """Policy document as JSON text."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


def via_service(context: AwsContext, service: str) -> dict[str, dict[str, Any]]:
    """Condition: the KMS key is used through `service` in this region."""
    return {"StringEquals": {"kms:ViaService": context.endpoint(service)}}


def source_account(context: AwsContext) -> dict[str, dict[str, Any]]:
    """Condition: an AWS service acts on behalf of this account."""
    return {"StringEquals": {"aws:SourceAccount": context.account_id}}


def service_trust(
    service: str,
    *,
    actions: Sequence[str] = ("sts:AssumeRole",),
    account_id: pulumi.Input[str] | None = None,
    source_arn: pulumi.Input[str] | None = None,
) -> pulumi.Output[str]:
    """Let an AWS service assume a role, on behalf of one account and resource where given.

    The source conditions prevent the confused deputy problem
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html).
    """
    conditions: dict[str, dict[str, Any]] = {}
    if account_id is not None:
        conditions["StringEquals"] = {"aws:SourceAccount": account_id}
    if source_arn is not None:
        conditions["ArnLike"] = {"aws:SourceArn": source_arn}
    statement: Statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": list(actions),
    }
    return document({**statement, "Condition": conditions} if conditions else statement)


def pod_identity_trust(context: AwsContext, cluster_arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """Let the pods of one cluster assume a role through EKS Pod Identity."""
    return service_trust(
        "pods.eks.amazonaws.com",
        actions=["sts:AssumeRole", "sts:TagSession"],
        account_id=context.account_id,
        source_arn=cluster_arn,
    )


def role_trust(role_arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """Let one role assume another."""
    return document(
        {"Effect": "Allow", "Principal": {"AWS": role_arn}, "Action": ["sts:AssumeRole"]}
    )
