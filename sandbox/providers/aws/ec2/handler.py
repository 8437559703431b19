"""The common part of EC2's resource types: tags by resource ID, lookups, CIDR rules."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from sandbox.providers.aws.operation import Call, code_of
from sandbox.providers.aws.properties import Rule
from sandbox.providers.aws.resource import Handler
from sandbox.providers.protocol import Properties


class Ec2Handler(Handler):
    """A resource type of EC2 that is tagged by its ID."""

    tagged = True

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        retag(call, id, put, drop)


def retag(call: Call, id: str, put: Mapping[str, str], drop: Sequence[str]) -> None:
    """Create and delete tags of a resource."""
    ec2 = call.client("ec2")
    if drop:
        ec2.delete_tags(Resources=[id], Tags=[{"Key": key} for key in drop])
    if put:
        ec2.create_tags(
            Resources=[id], Tags=[{"Key": key, "Value": value} for key, value in put.items()]
        )


def tagging(kind: str, inputs: Properties) -> dict[str, Any]:
    """Return the TagSpecifications argument of a new resource."""
    tags = [{"Key": key, "Value": value} for key, value in (inputs.get("tagsAll") or {}).items()]
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags}]} if tags else {}


def tags_of(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a response."""
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags") or []}


def only(items: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the first element, or None."""
    return items[0] if items else None


def gone(call: Call, operation: str, codes: Sequence[str], **arguments: Any) -> Mapping[str, Any]:
    """Call an operation; return an empty response if the resource does not exist."""
    try:
        response: Mapping[str, Any] = getattr(call.client("ec2"), operation)(**arguments)
    except ClientError as error:
        if code_of(error) not in codes:
            raise
        return {}
    return response


def cidr(smallest: int = 32, largest: int = 0) -> Rule:
    """Return a rule for a canonical IPv4 block, prefix `largest` to `smallest` bits."""

    def check(value: str) -> str | None:
        try:
            network = ipaddress.IPv4Network(value, strict=False)
        except ValueError:
            return f"an IPv4 CIDR block such as 10.0.0.0/16, not {value!r}"
        if str(network) != value:
            return f"the network address of its block: {network}, not {value}"
        if not largest <= network.prefixlen <= smallest:
            return f"between /{largest} and /{smallest}, not /{network.prefixlen}"
        return None

    return check


def ipv6_cidr(value: str) -> str | None:
    """Return a rule for an IPv6 block."""
    try:
        ipaddress.IPv6Network(value)
    except ValueError:
        return f"an IPv6 CIDR block, not {value!r}"
    return None


def request_of(properties: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters of a request: the set properties under the API's names."""
    return {api: properties[name] for name, api in names.items() if properties.get(name)}
