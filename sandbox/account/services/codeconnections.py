"""CodeConnections and its older name CodeStar Connections, which moto lacks.

A connection is PENDING until its handshake is completed in the AWS console; here by `POST
/_sandbox/handshake` with {"connection": ARN}.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sandbox.account.core.determinism import random_uuid
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import OWN_SERVICES, Item, admin, implements, lists
from sandbox.account.core.wire import ACCOUNT_ID

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext
    from sandbox.account.core.wire import Call

_SERVICES = ("codeconnections", "codestar-connections")
OWN_SERVICES.update(_SERVICES)


def find(context: RequestContext, arn: str) -> Record | None:
    """Return a connection by its ARN, of either service name."""
    return next(
        (r for r in context.table("codeconnections").values() if r["ConnectionArn"] == arn), None
    )


def _find(context: RequestContext, arn: str) -> Record:
    connection = find(context, arn)
    if connection is None:
        raise AwsError("ResourceNotFoundException", f"Connection not found: {arn}")
    return connection


def _tags(record: Record) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in record["_tags"].items()]


def _create_connection(context: RequestContext, call: Call) -> dict[str, Any]:
    if bool(call.get("ProviderType")) == bool(call.get("HostArn")):
        raise AwsError(
            "InvalidInputException", "Either ProviderType or HostArn must be set, and not both"
        )
    if call.get("HostArn"):
        raise AwsError(
            "ResourceNotFoundException",
            f"Host not found: {call['HostArn']} (hosts are not emulated by the sandbox)",
        )
    unique = random_uuid()
    record: Record = {
        "ConnectionName": call["ConnectionName"],
        "ConnectionArn": f"arn:aws:{call.service}:{call.region}:{ACCOUNT_ID}:connection/{unique}",
        "ProviderType": call["ProviderType"],
        "OwnerAccountId": ACCOUNT_ID,
        "ConnectionStatus": "PENDING",
        "_tags": {tag["Key"]: tag["Value"] for tag in call.get("Tags") or []},
    }
    context.table("codeconnections")[call.region, unique] = record
    return {"ConnectionArn": record["ConnectionArn"], "Tags": _tags(record)}


def _get_connection(context: RequestContext, call: Call) -> dict[str, Any]:
    return {"Connection": _find(context, call["ConnectionArn"])}


def _list_connections(context: RequestContext, call: Call) -> dict[str, Any]:
    provider_type = call.get("ProviderTypeFilter")
    connections = [
        record for key, record in context.table("codeconnections").items() if key[0] == call.region
    ]
    return {
        "Connections": [
            record for record in connections if provider_type in {None, record["ProviderType"]}
        ]
    }


def _delete_connection(context: RequestContext, call: Call) -> dict[str, Any]:
    arn = _find(context, call["ConnectionArn"])["ConnectionArn"]
    del context.table("codeconnections")[arn.split(":")[3], arn.rpartition("/")[2]]
    return {}


def _tag_resource(context: RequestContext, call: Call) -> dict[str, Any]:
    _find(context, call["ResourceArn"])["_tags"].update(
        {tag["Key"]: tag["Value"] for tag in call["Tags"]}
    )
    return {}


def _untag_resource(context: RequestContext, call: Call) -> dict[str, Any]:
    for key in call["TagKeys"]:
        _find(context, call["ResourceArn"])["_tags"].pop(key, None)
    return {}


def _list_tags(context: RequestContext, call: Call) -> dict[str, Any]:
    return {"Tags": _tags(_find(context, call["ResourceArn"]))}


for _service in _SERVICES:
    implements(_service, "CreateConnection")(_create_connection)
    implements(_service, "GetConnection")(_get_connection)
    implements(_service, "ListConnections")(_list_connections)
    implements(_service, "DeleteConnection")(_delete_connection)
    implements(_service, "TagResource")(_tag_resource)
    implements(_service, "UntagResource")(_untag_resource)
    implements(_service, "ListTagsForResource")(_list_tags)


@admin("handshake")
def handshake(context: RequestContext, request: dict[str, Any]) -> dict[str, Any]:
    """Complete the handshake of a PENDING connection."""
    record = _find(context, str(request.get("connection")))
    record["ConnectionStatus"] = "AVAILABLE"
    return {"connection": record["ConnectionArn"], "status": "AVAILABLE"}


@lists
def inventory(context: RequestContext) -> Iterable[Item]:
    """Yield every connection."""
    for key, record in context.table("codeconnections").items():
        arn, name = record["ConnectionArn"], record["ConnectionName"]
        yield Item("codeconnections", "connection", arn, arn, name, key[0], record["_tags"])
