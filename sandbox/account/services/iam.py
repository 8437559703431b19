"""IAM and STS where moto differs: trust policies, quotas, policies in use, service-linked roles,
caller identity.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends, policy_documents
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import amends, checks, implements
from sandbox.account.core.referential_integrity import refuses
from sandbox.account.core.wire import ACCOUNT_ID
from sandbox.account.services.sts.tokens import caller

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

# docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html, in characters without white
# space.
_TRUST_SIZE, _MANAGED_SIZE, _ROLE_INLINE_SIZE = 2048, 6144, 10240
_LINKED = {
    "eks.amazonaws.com": "AWSServiceRoleForAmazonEKS",
    "eks-nodegroup.amazonaws.com": "AWSServiceRoleForAmazonEKSNodegroup",
    "autoscaling.amazonaws.com": "AWSServiceRoleForAutoScaling",
    "elasticloadbalancing.amazonaws.com": "AWSServiceRoleForElasticLoadBalancing",
    "spot.amazonaws.com": "AWSServiceRoleForEC2Spot",
    "rds.amazonaws.com": "AWSServiceRoleForRDS",
}


def _malformed(text: str) -> AwsError:
    return AwsError("MalformedPolicyDocument", text)


def _size(document: str) -> int:
    return len(re.sub(r"\s", "", document))


def _limit(what: str, highest: int, actual: int) -> None:
    if actual > highest:
        raise AwsError("LimitExceeded", f"Cannot exceed quota for {what}: {highest}")


@checks("iam", "CreateRole", "UpdateAssumeRolePolicy")
def check_trust(context: RequestContext, call: Call) -> None:
    """Validate a trust policy."""
    document = call.get("AssumeRolePolicyDocument") or call["PolicyDocument"]
    statements = policy_documents.statements(document, _malformed, principal=True)
    for statement in statements:
        if "Resource" in statement or "NotResource" in statement:
            raise _malformed("Has prohibited field Resource")
        actions = statement.get("Action", [])
        for action in [actions] if isinstance(actions, str) else actions:
            if not action.lower().startswith("sts:") and action != "*":
                raise _malformed(
                    f"AssumeRole policy may only specify STS AssumeRole actions, not {action}."
                )
    policy_documents.check_principals(context, statements, _malformed)
    _limit("ACLSizePerRole", _TRUST_SIZE, _size(document))


@checks("iam", "CreateRole", "PutRolePermissionsBoundary", "CreateUser")
def check_boundary(context: RequestContext, call: Call) -> None:
    """Validate a permissions boundary: the policy must exist."""
    boundary = call.get("PermissionsBoundary")
    if boundary and boundary not in context.backend("iam").managed_policies:
        raise AwsError(
            "NoSuchEntity", f"Scope ARN: {boundary} does not exist or is not attachable."
        )


@checks(
    "iam", "CreatePolicy", "CreatePolicyVersion", "PutRolePolicy", "PutUserPolicy", "PutGroupPolicy"
)
def check_permissions(context: RequestContext, call: Call) -> None:
    """Validate a permission policy: resources, no principals, size."""
    document = call["PolicyDocument"]
    for statement in policy_documents.statements(document, _malformed, principal=False):
        if ("Resource" in statement) == ("NotResource" in statement):
            raise _malformed("Policy statement must contain resources.")
    if "RoleName" not in call.params:
        _limit("PolicySize", _MANAGED_SIZE, _size(document))
        return
    role = next(
        (r for r in context.backend("iam").roles.values() if r.name == call["RoleName"]), None
    )
    others = role.policies.items() if role is not None else ()
    size = sum(_size(str(text)) for name, text in others if name != call["PolicyName"])
    _limit(
        f"maximum policy size for role {call['RoleName']}",
        _ROLE_INLINE_SIZE,
        size + _size(document),
    )


@refuses(
    "iam",
    "DeletePolicy",
    "DeleteConflict",
    "Cannot delete a policy attached to entities. (Sandbox: {referrers})",
)
def policy_users(context: RequestContext, call: Call) -> Iterator[str]:
    """Yield the roles, users and groups that use a policy."""
    iam, arn = context.backend("iam"), call["PolicyArn"]
    for holders in (iam.roles, iam.users, iam.groups):
        for holder in holders.values():
            boundary = getattr(holder, "permissions_boundary_arn", None) or getattr(
                holder, "permissions_boundary", None
            )
            if arn in holder.managed_policies or boundary == arn:
                yield holder.name


@refuses(
    "iam",
    "DeletePolicy",
    "DeleteConflict",
    (
        "This policy has more than one version. Before you delete a policy, you must delete the "
        "policy's versions. The default version is deleted with the policy. (Sandbox: {referrers})"
    ),
)
def policy_versions(context: RequestContext, call: Call) -> Iterator[str]:
    """Yield a policy's versions except the default one."""
    policy = context.backend("iam").managed_policies.get(call["PolicyArn"])
    yield from (
        (v.version_id for v in policy.versions if not v.is_default) if policy is not None else ()
    )


@refuses(
    "iam",
    "DeleteRole",
    "DeleteConflict",
    "Cannot delete entity, must remove roles from instance profile first. (Sandbox: {referrers})",
)
def role_profiles(context: RequestContext, call: Call) -> Iterator[str]:
    """Yield the instance profiles with a role."""
    for profile in context.backend("iam").instance_profiles.values():
        if any(role.name == call["RoleName"] for role in profile.roles):
            yield profile.name


@checks("iam", "DeleteRole")
def linked_roles_stay(context: RequestContext, call: Call) -> None:
    """Refuse to delete a service-linked role except by DeleteServiceLinkedRole."""
    role = next(
        (r for r in context.backend("iam").roles.values() if r.name == call["RoleName"]), None
    )
    if role is not None and role.path.startswith("/aws-service-role/"):
        text = (
            f"Cannot perform the operation on the protected role '{role.name}' - this role is only "
            "modifiable by AWS"
        )
        raise AwsError("UnmodifiableEntity", text)


@amends("iam", "CreateServiceLinkedRole")
def linked_role_name(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Name service-linked roles as AWS does."""
    name = _LINKED.get(call["AWSServiceName"])
    role = context.backend("iam").roles.get(result["Role"]["RoleId"])
    if name and role is not None:
        role.name = result["Role"]["RoleName"] = name + (
            f"_{call['CustomSuffix']}" if call.get("CustomSuffix") else ""
        )
        result["Role"]["Arn"] = role.arn


@implements("iam", "AddClientIDToOpenIDConnectProvider")
def add_client_id(context: RequestContext, call: Call) -> dict[str, Any]:
    """Add an audience to an identity provider."""
    provider = context.backend("iam").open_id_providers.get(call["OpenIDConnectProviderArn"])
    if provider is None:
        raise AwsError(
            "NoSuchEntity",
            f"OpenIDConnect Provider not found for arn {call['OpenIDConnectProviderArn']}",
        )
    if call["ClientID"] not in provider.client_id_list:
        provider.client_id_list.append(call["ClientID"])
    return {}


@implements("iam", "RemoveClientIDFromOpenIDConnectProvider")
def remove_client_id(context: RequestContext, call: Call) -> dict[str, Any]:
    """Remove an audience from an identity provider."""
    provider = context.backend("iam").open_id_providers.get(call["OpenIDConnectProviderArn"])
    if provider is None:
        raise AwsError(
            "NoSuchEntity",
            f"OpenIDConnect Provider not found for arn {call['OpenIDConnectProviderArn']}",
        )
    provider.client_id_list = [
        client for client in provider.client_id_list if client != call["ClientID"]
    ]
    return {}


@implements("sts", "GetCallerIdentity")
def get_caller_identity(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the caller; keys not issued by IAM and STS belong to the sandbox's user."""
    if caller(context, call.access_key) == moto_backends.CALLER_ARN:
        return {
            "UserId": moto_backends.CALLER_ID,
            "Account": ACCOUNT_ID,
            "Arn": moto_backends.CALLER_ARN,
        }
    return context.moto.result(call)


@amends("iam", "CreateUser", "GetUser")
def user_boundary(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Store and return the permissions boundary of a user, which moto ignores."""
    user = context.backend("iam").users.get(result["User"]["UserName"])
    if call.get("PermissionsBoundary"):
        user.permissions_boundary_arn = call["PermissionsBoundary"]
    if boundary := getattr(user, "permissions_boundary_arn", None):
        result["User"]["PermissionsBoundary"] = {
            "PermissionsBoundaryType": "PermissionsBoundaryPolicy",
            "PermissionsBoundaryArn": boundary,
        }


@checks("sts", "AssumeRole", "AssumeRoleWithWebIdentity")
def check_session_policy(context: RequestContext, call: Call) -> None:
    """Validate session policies: syntax, and managed policies that exist."""
    if call.get("Policy"):
        policy_documents.statements(call["Policy"], _malformed, principal=False)
    policies = context.backend("iam").managed_policies
    for item in call.get("PolicyArns") or ():
        if item["arn"] not in policies:
            raise _malformed(f"Policy {item['arn']} does not exist or is not attachable.")


@amends("sts", "AssumeRole", "AssumeRoleWithWebIdentity")
def store_session_policies(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Store the managed policies of a session, which moto ignores."""
    access_key = result["Credentials"]["AccessKeyId"]
    for session in context.backend("sts").assumed_roles:
        if session.access_key_id == access_key:
            session.policy_arns = [item["arn"] for item in call.get("PolicyArns") or ()]


@checks("sts", "AssumeRole")
def role_to_assume(context: RequestContext, call: Call) -> None:
    """Refuse to assume a missing role of this account."""
    arn = call["RoleArn"]
    if f"::{ACCOUNT_ID}:" in arn and moto_backends.role(context, arn) is None:
        text = (
            f"User: {caller(context, call.access_key)} is not authorized to perform: "
            f"sts:AssumeRole on resource: {arn}"
        )
        raise AwsError("AccessDenied", text, status=403)
