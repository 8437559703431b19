"""EKS Pod Identity associations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends
from sandbox.account.core.determinism import random_hex
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import implements
from sandbox.account.core.wire import ACCOUNT_ID
from sandbox.account.services.eks.clusters import find

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext
    from sandbox.account.core.wire import Call


def check_role(context: RequestContext, arn: str) -> None:
    """Raise InvalidParameterException unless the role exists and trusts EKS Pod Identity."""
    role = moto_backends.role(context, arn)
    if role is None or not moto_backends.trusts(role, "pods.eks.amazonaws.com"):
        reason = "does not exist" if role is None else "does not trust pods.eks.amazonaws.com"
        raise AwsError(
            "InvalidParameterException", f"Trust policy of role {arn} is invalid: it {reason}"
        )


def add(
    context: RequestContext,
    cluster: Record,
    namespace: str,
    account: str,
    role: str,
    *,
    owner: str = "",
    **fields: Any,
) -> Record:
    """Create an association of service account and role. Raises if one exists."""
    region, name = cluster["_region"], cluster["name"]
    for existing in context.table("eks.podidentity").values():
        if (
            existing["_region"],
            existing["_cluster"],
            existing["namespace"],
            existing["serviceAccount"],
        ) == (
            region,
            name,
            namespace,
            account,
        ):
            text = f"Association already exists: {existing['associationId']}"
            raise AwsError("ResourceInUseException", text, clusterName=name)
    unique = f"a-{random_hex(17)}"
    record: Record = {
        "clusterName": name,
        "namespace": namespace,
        "serviceAccount": account,
        "roleArn": role,
        "associationArn": f"arn:aws:eks:{region}:{ACCOUNT_ID}:podidentityassociation/"
        f"{name}/{unique}",
        "associationId": unique,
        "tags": fields.pop("tags", None) or {},
        "createdAt": context.clock.now(),
        "modifiedAt": context.clock.now(),
        "disableSessionTags": bool(fields.pop("disableSessionTags", False)),
        **{key: value for key, value in fields.items() if value},
        "_region": region,
        "_cluster": name,
    }
    if owner:
        record["ownerArn"] = owner
    context.table("eks.podidentity")[region, name, unique] = record
    return record


def delete_owned(context: RequestContext, owner: str) -> None:
    """Delete the associations that an add-on owns."""
    table = context.table("eks.podidentity")
    for key in [key for key, record in table.items() if record.get("ownerArn") == owner]:
        del table[key]


def _find(context: RequestContext, call: Call) -> Record:
    find(context, call, call["clusterName"])
    association = context.table("eks.podidentity").get(
        (call.region, call["clusterName"], call["associationId"])
    )
    if association is None:
        text = f"Association: {call['associationId']} not found in cluster: {call['clusterName']}"
        raise AwsError("ResourceNotFoundException", text)
    return association


@implements("eks", "CreatePodIdentityAssociation")
def create_pod_identity_association(context: RequestContext, call: Call) -> dict[str, Any]:
    """Create a Pod Identity association."""
    cluster = find(context, call, call["clusterName"])
    check_role(context, call["roleArn"])
    record = add(
        context,
        cluster,
        call["namespace"],
        call["serviceAccount"],
        call["roleArn"],
        tags=call.get("tags"),
        disableSessionTags=call.get("disableSessionTags"),
        targetRoleArn=call.get("targetRoleArn"),
        policy=call.get("policy"),
    )
    return {"association": record}


@implements("eks", "DescribePodIdentityAssociation")
def describe_pod_identity_association(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return an association."""
    return {"association": _find(context, call)}


@implements("eks", "ListPodIdentityAssociations")
def list_pod_identity_associations(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return a cluster's associations, optionally of one namespace or service account."""
    find(context, call, call["clusterName"])
    associations = [
        r
        for k, r in context.table("eks.podidentity").items()
        if k[:2] == (call.region, call["clusterName"])
    ]
    for name in ("namespace", "serviceAccount"):
        associations = [record for record in associations if call.get(name) in {None, record[name]}]
    return {"associations": associations}


@implements("eks", "UpdatePodIdentityAssociation")
def update_pod_identity_association(context: RequestContext, call: Call) -> dict[str, Any]:
    """Update an association's role."""
    record = _find(context, call)
    if call.get("roleArn"):
        check_role(context, call["roleArn"])
    for name in ("roleArn", "disableSessionTags", "targetRoleArn", "policy"):
        if name in call.params:
            record[name] = call[name]
    record["modifiedAt"] = context.clock.now()
    return {"association": record}


@implements("eks", "DeletePodIdentityAssociation")
def delete_pod_identity_association(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete an association."""
    record = _find(context, call)
    del context.table("eks.podidentity")[
        record["_region"], record["_cluster"], record["associationId"]
    ]
    return {"association": record}
