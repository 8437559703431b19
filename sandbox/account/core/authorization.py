"""Allows or denies each request of a role session or user.

The account's own key may do everything but assume a role that does not trust it. Evaluated are
identity policies, permissions boundaries, session policies, the policies of KMS keys, buckets,
topics, repositories and secrets, and the trust policies of roles; not evaluated are organization
policies.

Logic: IAM User Guide, "Policy evaluation logic" and "Cross-service confused deputy prevention"; KMS
Developer Guide, "Key policies".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.account.core import (
    moto_backends,
    policy_evaluation,
    required_permissions,
    resource_policies,
)
from sandbox.account.core.errors import AwsError
from sandbox.account.core.policy_evaluation import Requirement, Statement
from sandbox.account.core.wire import ACCOUNT_ID
from sandbox.contracts import service_principal

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

# Needs no permission: STS API reference, GetCallerIdentity.
_SOURCE_ARN = f"HTTP_{service_principal.SOURCE_ARN_HEADER.upper().replace('-', '_')}"
_ALWAYS_ALLOWED = {"sts:GetCallerIdentity", "sts:GetSessionToken"}
_MUST_BE_NAMED = ("kms:", "sts:AssumeRole", "sts:TagSession")
"""Actions that the resource's policy must allow, to the caller or to its account."""
_ADMINISTRATOR = policy_evaluation.parse(
    {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
)
_ROOT = (f"arn:aws:iam::{ACCOUNT_ID}:root", ACCOUNT_ID)


@dataclass(frozen=True)
class Principal:
    """A caller: `arn` as AWS's messages name it, and `owner`, its role or user."""

    arn: str
    owner: str
    statements: Sequence[Statement]
    limits: Mapping[str, Sequence[Statement]] = field(default_factory=dict)
    """Permissions boundary and session policy, by the name that AWS's messages have for them."""


def check(context: RequestContext, call: Call) -> None:
    """Raise AwsError if the caller's permissions do not allow the request."""
    principal = _principal(context, call.access_key)
    assumes = (call.service, call.operation) == ("sts", "AssumeRole")
    if assumes and call.access_key.endswith(service_principal.SUFFIX):
        _require_trust(context, call)
        return
    if assumes and principal is None:
        own = moto_backends.CALLER_ARN
        principal = Principal(own, own, _ADMINISTRATOR)
    if principal is not None:
        required = required_permissions.of(context, call)
        _require(context, principal, call.region, required, call)


def _require_trust(context: RequestContext, call: Call) -> None:
    """Raise AwsError if a role's trust policy does not allow a service to assume it."""
    service, source = call.access_key, call.environ.get(_SOURCE_ARN, "")
    for item in required_permissions.of(context, call):
        named = {"aws:sourcearn": source} if source else {}
        if not service_allows(
            context, service, call.region, item.action, str(item.resource), named
        ):
            text = (
                f"User: {service} is not authorized to perform: {item.action} on resource: "
                f"{item.resource} because no resource-based policy allows the {item.action} action"
            )
            raise _denied(call, text)


def require(
    context: RequestContext,
    access_key: str,
    region: str,
    action: str,
    resource: str,
    conditions: Mapping[str, str] | None = None,
) -> None:
    """Raise AwsError (AccessDenied) if the key's policies do not allow an action."""
    principal = _principal(context, access_key)
    if principal is not None:
        required = [Requirement(action, resource, conditions or {})]
        _require(context, principal, region, required, None)


def role_allows(
    context: RequestContext,
    service: str,
    role_arn: str,
    region: str,
    action: str,
    resource: str,
    *,
    source_arn: str,
) -> bool:
    """Return whether a role trusts a service for a resource, and allows the service an action."""
    role = moto_backends.role(context, role_arn)
    source = {"aws:sourcearn": source_arn}
    if role is None or not service_allows(
        context, service, region, "sts:AssumeRole", role_arn, source
    ):
        return False
    limits = _boundary(context, role)
    principal = Principal(role_arn, role_arn, list(_statements([role])), limits)
    return not _denial(context, principal, region, Requirement(action, resource))


def service_allows(
    context: RequestContext,
    service: str,
    region: str,
    action: str,
    resource: str,
    conditions: Mapping[str, str],
) -> bool:
    """Return whether a resource's policy allows an action of a service, such as
    "events.amazonaws.com", on behalf of the account.
    """
    item = Requirement(action, _arn_of(context, region, action, resource), conditions)
    values = {**global_conditions("", region), **conditions}
    attached = resource_policies.statements(context, region, item) or []
    named = policy_evaluation.for_principals(attached, (service,), kind="Service")
    return policy_evaluation.allows(named, action, item.resource, values)


def _arn_of(context: RequestContext, region: str, action: str, resource: str) -> str:
    """Return the ARN of a resource; a key may be named by its ID or an alias."""
    if not action.startswith("kms:"):
        return resource
    key = moto_backends.key(context, region, resource)
    return str(key.arn) if key is not None else resource


def global_conditions(principal_arn: str, region: str) -> dict[str, str]:
    """Return the global condition keys of a request."""
    return {
        "aws:requestedregion": region,
        "aws:principalarn": principal_arn,
        "aws:principalaccount": ACCOUNT_ID,
        "aws:resourceaccount": ACCOUNT_ID,
        "aws:sourceaccount": ACCOUNT_ID,
        "aws:securetransport": "true",
        "kms:calleraccount": ACCOUNT_ID,
    }


def _require(
    context: RequestContext,
    principal: Principal,
    region: str,
    required: Sequence[Requirement],
    call: Call | None,
) -> None:
    for item in required:
        if item.action in _ALWAYS_ALLOWED:
            continue
        if reason := _denial(context, principal, region, item):
            resource = item.resource
            if resource and item.action.startswith("s3:"):
                resource = f'"{resource}"'
            on = f" on resource: {resource}" if resource else ""
            text = f"User: {principal.arn} is not authorized to perform: {item.action}{on} {reason}"
            raise _denied(call, text)


def _denial(context: RequestContext, principal: Principal, region: str, item: Requirement) -> str:
    """Return the reason of a denial, in AWS's words, or nothing; record the result."""
    values = {**global_conditions(principal.owner, region), **item.conditions}
    access = (item.action, item.resource, values)
    own = policy_evaluation.decide(principal.statements, *access)
    attached = resource_policies.statements(context, region, item)
    names = (principal.owner, principal.arn)
    direct = policy_evaluation.decide(
        policy_evaluation.for_principals(attached or (), names), *access
    )
    root = policy_evaluation.decide(
        policy_evaluation.for_principals(attached or (), _ROOT), *access
    )
    # The policy of a key or role must name the caller, or the account, which leaves it to identity
    # policies.
    must_name = item.action.startswith(_MUST_BE_NAMED) and attached is not None
    delegated = not must_name or root == "allow"
    limits = {
        name: policy_evaluation.decide(statements, *access)
        for name, statements in principal.limits.items()
    }
    # A policy that names a session or user itself is not limited; one that names its role is.
    unlimited = policy_evaluation.decide(
        policy_evaluation.for_principals(attached or (), (principal.arn,), anyone=False), *access
    )
    denying = [name for name, decision in limits.items() if decision == "deny"]
    silent = [name for name, decision in limits.items() if decision == "none"]
    if own == "deny":
        reason = "with an explicit deny in an identity-based policy"
    elif "deny" in (direct, root):
        reason = "with an explicit deny in a resource-based policy"
    elif denying:
        reason = f"with an explicit deny in a {denying[0]}"
    elif unlimited == "allow":
        reason = ""
    elif direct == "allow" or (own == "allow" and delegated):
        reason = f"because no {silent[0]} allows the {item.action} action" if silent else ""
    elif own == "allow":
        reason = f"because no resource-based policy allows the {item.action} action"
    else:
        reason = f"because no identity-based policy allows the {item.action} action"
    context.record_authorization(principal.owner, region, item, allowed=not reason)
    return reason


def _denied(call: Call | None, text: str) -> AwsError:
    """Return the error with the code and status of the service's protocol."""
    if call is None:
        return AwsError("AccessDeniedException", text, status=400)
    if call.service == "ec2":
        text = f"You are not authorized to perform this operation. {text}"
        return AwsError("UnauthorizedOperation", text, status=403)
    if call.service == "sns":
        return AwsError("AuthorizationError", text, status=403)
    if call.service == "s3" or call.protocol == "query":
        return AwsError("AccessDenied", text, status=403)
    status = 403 if call.protocol == "rest-json" else 400
    return AwsError("AccessDeniedException", text, status=status)


def _principal(context: RequestContext, access_key: str) -> Principal | None:
    """Return the role session or user of a key; None for the account's own key."""
    iam = context.backend("iam")
    for session in context.backend("sts").assumed_roles:
        if session.access_key_id == access_key:
            role = next((r for r in iam.roles.values() if r.arn == session.role_arn), None)
            statements = list(_statements([role] if role is not None else []))
            limits = {**_boundary(context, role), **_session_policy(context, session)}
            return Principal(str(session.arn), str(session.role_arn), statements, limits)
    for user in iam.users.values():
        if any(key.access_key_id == access_key for key in user.access_keys):
            groups = [g for g in iam.groups.values() if user in g.users]
            statements = list(_statements([user, *groups]))
            return Principal(str(user.arn), str(user.arn), statements, _boundary(context, user))
    return None


def _boundary(context: RequestContext, holder: Any) -> dict[str, list[Statement]]:
    """Return the permissions boundary of a role or user, if it has one."""
    arn = getattr(holder, "permissions_boundary_arn", None)
    return {"permissions boundary": _managed(context, [arn])} if arn else {}


def _session_policy(context: RequestContext, session: Any) -> dict[str, list[Statement]]:
    """Return the policies that were passed to AssumeRole, if there are any."""
    arns = getattr(session, "policy_arns", ())
    inline = policy_evaluation.parse(session.policy) if session.policy else []
    named = _managed(context, arns)
    return {"session policy": [*inline, *named]} if session.policy or arns else {}


def _managed(context: RequestContext, arns: Sequence[str]) -> list[Statement]:
    """Return the statements of managed policies."""
    policies = context.backend("iam").managed_policies
    versions = [version for arn in arns for version in policies[arn].versions if version.is_default]
    return [item for version in versions for item in policy_evaluation.parse(version.document)]


def _statements(holders: Sequence[Any]) -> Iterator[Statement]:
    for holder in holders:
        inline = holder.policies
        documents = list(inline.values() if isinstance(inline, dict) else inline)
        documents += [
            version.document
            for policy in holder.managed_policies.values()
            for version in policy.versions
            if version.version_id == policy.default_version_id
        ]
        for document in documents:
            yield from policy_evaluation.parse(document)
