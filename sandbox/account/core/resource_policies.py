"""Policies of resources: KMS keys, roles, buckets, topics, repositories, secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends, policy_evaluation

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.policy_evaluation import Requirement, Statement


def statements(context: RequestContext, region: str, item: Requirement) -> list[Statement] | None:
    """Return the statements of the policy of a permission's resource, or None without one."""
    resource = item.resource or ""
    parts = resource.split(":", 5)
    if len(parts) < 6:
        return None
    service, region, name = parts[2], parts[3] or region, parts[5]
    if service == "iam":
        return _trust(context, resource) if item.action.startswith("sts:") else None
    document = _document(context, service, region, name, resource)
    return policy_evaluation.parse(document) if document else None


def _trust(context: RequestContext, role_arn: str) -> list[Statement] | None:
    """Return the statements of a role's trust policy, which name no resource."""
    role = moto_backends.role(context, role_arn)
    if role is None:
        return None
    statements = policy_evaluation.parse(role.assume_role_policy_document)
    return [{**statement, "Resource": "*"} for statement in statements]


def _document(
    context: RequestContext, service: str, region: str, name: str, arn: str
) -> Any | None:
    match service:
        case "kms":
            return getattr(moto_backends.key(context, region, arn), "policy", None)
        case "s3":
            bucket = context.backend("s3").buckets.get(name.partition("/")[0])
            policy = getattr(bucket, "policy", None)
            return policy.decode() if isinstance(policy, bytes) else policy
        case "sns":
            return getattr(context.backend("sns", region).topics.get(arn), "policy", None)
        case "ecr":
            repositories = context.backend("ecr", region).repositories
            repository = repositories.get(name.removeprefix("repository/"))
            return getattr(repository, "policy", None)
        case "secretsmanager":
            secrets = context.backend("secretsmanager", region).secrets
            secret = next((s for s in secrets.values() if s.arn == arn), None)
            return getattr(secret, "policy", None)
    return None
