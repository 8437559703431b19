"""EKS access entries and access policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends
from sandbox.account.core.determinism import random_uuid
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import implements
from sandbox.account.core.wire import ACCOUNT_ID
from sandbox.account.services.eks import catalog
from sandbox.account.services.eks.clusters import find

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext
    from sandbox.account.core.wire import Call

_NODE_TYPES = {"EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "HYBRID_LINUX", "HYPERPOD_LINUX"}


def check_principal(context: RequestContext, arn: str) -> None:
    """Raise InvalidParameterException for a missing IAM principal."""
    if not moto_backends.principal_exists(context, arn):
        text = f"The specified principalArn is invalid: invalid principal ({arn} does not exist)."
        raise AwsError("InvalidParameterException", text)


def _username(principal: str, kind: str) -> str:
    if kind in {"EC2_LINUX", "EC2_WINDOWS", "EC2"}:
        return "system:node:{{EC2PrivateDNSName}}"
    if kind in _NODE_TYPES:
        return "system:node:{{SessionName}}"
    if ":role/" in principal:
        role = principal.rpartition("/")[2]
        return f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{role}/{{{{SessionName}}}}"
    return principal


def _add(
    context: RequestContext, cluster: Record, principal: str, kind: str = "STANDARD", **fields: Any
) -> Record:
    region, name = cluster["_region"], cluster["name"]
    what, _, path = principal.rpartition(":")[2].partition("/")
    groups = {
        "EC2_LINUX": ["system:nodes"],
        "EC2_WINDOWS": ["eks:kube-proxy-windows", "system:nodes"],
    }.get(kind, [])
    record: Record = {
        "clusterName": name,
        "principalArn": principal,
        "kubernetesGroups": fields.get("kubernetesGroups") or groups,
        "accessEntryArn": (
            f"arn:aws:eks:{region}:{ACCOUNT_ID}:access-entry/{name}/{what}/{ACCOUNT_ID}/{path.rpartition('/')[2]}/{random_uuid()}"
        ),
        "createdAt": context.clock.now(),
        "modifiedAt": context.clock.now(),
        "tags": fields.get("tags") or {},
        "username": fields.get("username") or _username(principal, kind),
        "type": kind,
        "_policies": {},
        "_region": region,
        "_cluster": name,
    }
    context.table("eks.access")[region, name, principal] = record
    return record


def add_creator(context: RequestContext, call: Call, cluster: Record) -> None:
    """Create the cluster creator's admin entry (bootstrapClusterCreatorAdminPermissions)."""
    from sandbox.account.services.sts.tokens import caller  # noqa: PLC0415

    record = _add(context, cluster, caller(context, call.access_key))
    _grant(
        context,
        record,
        f"{catalog.POLICY_PREFIX}AmazonEKSClusterAdminPolicy",
        {"type": "cluster", "namespaces": []},
    )


def add_node_role(context: RequestContext, cluster: Record, role_arn: str) -> None:
    """Create the entry of a managed node group's role, as EKS does."""
    if cluster["accessConfig"]["authenticationMode"] == "CONFIG_MAP":
        return
    if (cluster["_region"], cluster["name"], role_arn) not in context.table("eks.access"):
        _add(context, cluster, role_arn, "EC2_LINUX")["_managed"] = True


def drop_node_role(context: RequestContext, nodegroup: Record) -> None:
    """Delete a node role's entry with the last node group that uses it."""
    key = (nodegroup["_region"], nodegroup["_cluster"], nodegroup["nodeRole"])
    others = context.table("eks.nodegroup").values()
    if not any(key == (o["_region"], o["_cluster"], o["nodeRole"]) for o in others):
        entry = context.table("eks.access").get(key)
        if entry is not None and entry.get("_managed"):
            del context.table("eks.access")[key]


def _cluster(context: RequestContext, call: Call) -> Record:
    cluster = find(context, call, call["clusterName"])
    if cluster["accessConfig"]["authenticationMode"] == "CONFIG_MAP":
        text = (
            "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to "
            "perform this operation."
        )
        raise AwsError("InvalidRequestException", text)
    if cluster["status"] in {"CREATING", "DELETING"}:
        raise AwsError(
            "ResourceNotFoundException", f"Cluster {cluster['name']} is {cluster['status']}"
        )
    return cluster


def _find(context: RequestContext, call: Call) -> Record:
    _cluster(context, call)
    entry = context.table("eks.access").get(
        (call.region, call["clusterName"], call["principalArn"])
    )
    if entry is None:
        text = f"The specified principalArn could not be found: {call['principalArn']}."
        raise AwsError("ResourceNotFoundException", text)
    return entry


def _check_groups(groups: list[str]) -> None:
    for group in groups:
        if group.startswith(("system:", "eks:", "aws:", "amazon:", "iam:")):
            text = (
                f"The kubernetes group name {group} is invalid, it cannot start with system:, "
                "eks:, aws:, amazon: or iam:"
            )
            raise AwsError("InvalidParameterException", text)


@implements("eks", "CreateAccessEntry")
def create_access_entry(context: RequestContext, call: Call) -> dict[str, Any]:
    """Create an access entry."""
    cluster = _cluster(context, call)
    principal, kind = call["principalArn"], call.get("type") or "STANDARD"
    if (call.region, cluster["name"], principal) in context.table("eks.access"):
        raise AwsError(
            "ResourceInUseException",
            "The specified access entry resource is already in use on this cluster.",
        )
    check_principal(context, principal)
    _check_groups(call.get("kubernetesGroups") or [])
    if kind in _NODE_TYPES and (call.get("kubernetesGroups") or call.get("username")):
        raise AwsError(
            "InvalidRequestException",
            f"An entry of type {kind} takes neither groups nor a username",
        )
    record = _add(
        context,
        cluster,
        principal,
        kind,
        kubernetesGroups=call.get("kubernetesGroups"),
        username=call.get("username"),
        tags=call.get("tags"),
    )
    return {"accessEntry": record}


@implements("eks", "DescribeAccessEntry")
def describe_access_entry(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return an access entry."""
    return {"accessEntry": _find(context, call)}


@implements("eks", "ListAccessEntries")
def list_access_entries(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the principals of entries, optionally with a certain policy."""
    _cluster(context, call)
    policy = call.get("associatedPolicyArn")
    entries = context.table("eks.access").items()
    key = (call.region, call["clusterName"])
    return {
        "accessEntries": [
            k[2] for k, r in entries if k[:2] == key and (not policy or policy in r["_policies"])
        ]
    }


@implements("eks", "UpdateAccessEntry")
def update_access_entry(context: RequestContext, call: Call) -> dict[str, Any]:
    """Update an entry's groups or user name."""
    record = _find(context, call)
    if record["type"] in _NODE_TYPES:
        raise AwsError(
            "InvalidRequestException", f"An entry of type {record['type']} cannot be updated"
        )
    _check_groups(call.get("kubernetesGroups") or [])
    for name in ("kubernetesGroups", "username"):
        if name in call.params:
            record[name] = call[name]
    record["modifiedAt"] = context.clock.now()
    return {"accessEntry": record}


@implements("eks", "DeleteAccessEntry")
def delete_access_entry(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete an entry and its policies."""
    record = _find(context, call)
    del context.table("eks.access")[record["_region"], record["_cluster"], record["principalArn"]]
    return {}


def _grant(context: RequestContext, record: Record, policy: str, scope: dict[str, Any]) -> Record:
    previous = record["_policies"].get(policy)
    association: Record = {
        "policyArn": policy,
        "accessScope": {"type": scope["type"], "namespaces": scope.get("namespaces") or []},
        "associatedAt": previous["associatedAt"] if previous else context.clock.now(),
        "modifiedAt": context.clock.now(),
    }
    record["_policies"] = {**record["_policies"], policy: association}
    return association


@implements("eks", "AssociateAccessPolicy")
def associate_access_policy(context: RequestContext, call: Call) -> dict[str, Any]:
    """Associate an access policy with an entry, for the cluster or namespaces."""
    record = _find(context, call)
    policy, scope = call["policyArn"], call["accessScope"]
    if policy.removeprefix(catalog.POLICY_PREFIX) not in catalog.ACCESS_POLICIES:
        raise AwsError(
            "InvalidParameterException",
            f"The policyArn parameter format is not valid: {policy} is not an EKS access policy",
        )
    if record["type"] not in {"STANDARD", "EC2"}:
        raise AwsError(
            "InvalidRequestException",
            f"Access policies cannot be associated with an entry of type {record['type']}",
        )
    if (scope.get("type") == "namespace") != bool(scope.get("namespaces")):
        text = "Namespaces must be set for the scope type namespace, and only then"
        raise AwsError("InvalidParameterException", text)
    association = _grant(context, record, policy, scope)
    return {
        "clusterName": record["clusterName"],
        "principalArn": record["principalArn"],
        "associatedAccessPolicy": association,
    }


@implements("eks", "DisassociateAccessPolicy")
def disassociate_access_policy(context: RequestContext, call: Call) -> dict[str, Any]:
    """Disassociate an access policy from an entry."""
    record = _find(context, call)
    if call["policyArn"] not in record["_policies"]:
        raise AwsError(
            "ResourceNotFoundException",
            f"The policy {call['policyArn']} is not associated with the entry",
        )
    record["_policies"] = {
        arn: existing for arn, existing in record["_policies"].items() if arn != call["policyArn"]
    }
    return {}


@implements("eks", "ListAssociatedAccessPolicies")
def list_associated_access_policies(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return an entry's policies."""
    record = _find(context, call)
    return {
        "clusterName": record["clusterName"],
        "principalArn": record["principalArn"],
        "associatedAccessPolicies": list(record["_policies"].values()),
    }


@implements("eks", "ListAccessPolicies")
def list_access_policies(context: RequestContext, call: Call) -> dict[str, Any]:  # noqa: ARG001
    """Return all EKS access policies."""
    return {
        "accessPolicies": [
            {"name": n, "arn": catalog.POLICY_PREFIX + n} for n in catalog.ACCESS_POLICIES
        ]
    }
