"""EC2: security groups and the default group, with inline rules.

Replacements and defaults: pulumi_aws's documentation of each type and the AWS provider's schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.providers.aws.ec2.handler import (
    Ec2Handler,
    cidr,
    gone,
    ipv6_cidr,
    only,
    tagging,
    tags_of,
)
from sandbox.providers.aws.properties import block, boolean, integer, length, list_of, set_of, text
from sandbox.providers.aws.resource import AutoName, Call
from sandbox.providers.protocol import Failure, Properties

ALL = "-1"
ABSENT = (
    "InvalidPermission.NotFound",
    "InvalidGroup.NotFound",
    "InvalidSecurityGroupRuleId.NotFound",
)


def same_protocol(one: str, other: str) -> bool:
    """Whether two protocols are the same, by name or number."""
    numbers = {"all": "-1", "icmp": "1", "tcp": "6", "udp": "17", "icmpv6": "58"}
    return numbers.get(one.lower(), one.lower()) == numbers.get(other.lower(), other.lower())


_RULE = block(
    {
        "cidrBlocks": list_of(text(rule=cidr())),
        "description": text(rule=length(0, 255)),
        "fromPort": integer(required=True),
        "ipv6CidrBlocks": list_of(text(rule=ipv6_cidr)),
        "prefixListIds": list_of(text()),
        "protocol": text(required=True, same=same_protocol),
        "securityGroups": set_of(text()),
        "self": boolean(default=False),
        "toPort": integer(required=True),
    }
)


def permission(rule: Mapping[str, Any], group: str) -> dict[str, Any]:
    """Return a rule as EC2's IpPermission."""
    described = {"Description": rule["description"]} if rule.get("description") else {}
    peers = [*(rule.get("securityGroups") or []), *([group] if rule.get("self") else [])]
    if rule.get("sourceSecurityGroupId"):
        peers.append(rule["sourceSecurityGroupId"])
    parts: dict[str, Any] = {
        "IpRanges": [{"CidrIp": value, **described} for value in rule.get("cidrBlocks") or []],
        "Ipv6Ranges": [
            {"CidrIpv6": value, **described} for value in rule.get("ipv6CidrBlocks") or []
        ],
        "PrefixListIds": [
            {"PrefixListId": value, **described} for value in rule.get("prefixListIds") or []
        ],
        "UserIdGroupPairs": [{"GroupId": value, **described} for value in peers],
    }
    protocol = ALL if rule["protocol"].lower() == "all" else rule["protocol"]
    ports = (
        {}
        if protocol == ALL
        else {"FromPort": rule.get("fromPort", 0), "ToPort": rule.get("toPort", 0)}
    )
    return {
        "IpProtocol": protocol,
        **ports,
        **{name: values for name, values in parts.items() if values},
    }


def _rules(permissions: Iterable[Mapping[str, Any]], group: str) -> list[dict[str, Any]]:
    """Return EC2's IpPermissions as rules: one per protocol, ports and description."""
    rules: dict[tuple[Any, ...], dict[str, Any]] = {}
    for entry in permissions:
        sources = [
            *(("cidrBlocks", item["CidrIp"], item) for item in entry.get("IpRanges") or []),
            *(("ipv6CidrBlocks", item["CidrIpv6"], item) for item in entry.get("Ipv6Ranges") or []),
            *(
                ("prefixListIds", item["PrefixListId"], item)
                for item in entry.get("PrefixListIds") or []
            ),
            *(
                ("securityGroups", item["GroupId"], item)
                for item in entry.get("UserIdGroupPairs") or []
            ),
        ]
        whole = entry["IpProtocol"] == ALL
        start, end = (0, 0) if whole else (entry.get("FromPort", 0), entry.get("ToPort", 0))
        for name, value, item in sources:
            description = item.get("Description") or ""
            key = (entry["IpProtocol"], start, end, description)
            empty = {
                "protocol": key[0],
                "fromPort": start,
                "toPort": end,
                "description": description,
                "self": False,
            }
            rule = rules.setdefault(key, empty)
            if name == "securityGroups" and value == group:
                rule["self"] = True
            else:
                rule.setdefault(name, []).append(value)
    return list(rules.values())


def _same_rules(one: Iterable[Mapping[str, Any]], other: Iterable[Mapping[str, Any]]) -> bool:
    # EC2 merges rules that differ only in their source; restore the program's grouping.
    return _sources(one) == _sources(other)


def _sources(rules: Iterable[Mapping[str, Any]]) -> set[str]:
    sources = set()
    for rule in rules:
        entry = permission(rule, "itself")
        parts = {name: entry.pop(name) for name in [*entry] if isinstance(entry[name], list)}
        sources |= {
            json.dumps([entry, name, item], sort_keys=True)
            for name, items in parts.items()
            for item in items
        }
    return sources


def _find(call: Call, id: str) -> Mapping[str, Any] | None:
    response = gone(call, "describe_security_groups", ("InvalidGroup.NotFound",), GroupIds=[id])
    return only(response.get("SecurityGroups", []))


def authorize(call: Call, kind: str, group: str, permissions: list[dict[str, Any]]) -> Any:
    """Authorize permissions of a kind (ingress or egress)."""
    if not permissions:
        return None
    operation = getattr(call.client("ec2"), f"authorize_security_group_{kind}")
    return operation(GroupId=group, IpPermissions=permissions)


def revoke(call: Call, kind: str, group: str, permissions: list[dict[str, Any]]) -> None:
    """Revoke permissions; missing ones are no error."""
    if permissions:
        gone(
            call, f"revoke_security_group_{kind}", ABSENT, GroupId=group, IpPermissions=permissions
        )


def _revoke_every(call: Call, group: Mapping[str, Any]) -> None:
    revoke(call, "ingress", group["GroupId"], list(group.get("IpPermissions") or []))
    revoke(call, "egress", group["GroupId"], list(group.get("IpPermissionsEgress") or []))


class _Group(Ec2Handler):
    """The common part of both kinds of group."""

    missing = ("InvalidGroup.NotFound", "InvalidGroupId.NotFound")

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        group = _find(call, id)
        if group is None:
            return None
        return {
            "arn": call.arn("ec2", f"security-group/{id}"),
            "description": group["Description"],
            "egress": _rules(group.get("IpPermissionsEgress") or [], id),
            "ingress": _rules(group.get("IpPermissions") or [], id),
            "name": group["GroupName"],
            "ownerId": group.get("OwnerId") or call.account,
            "tagsAll": tags_of(group),
            "vpcId": group.get("VpcId"),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        for kind in ("ingress", "egress"):
            if kind in changed:
                before = [permission(rule, id) for rule in old.get(kind) or []]
                after = [permission(rule, id) for rule in new.get(kind) or []]
                revoke(call, kind, id, [item for item in before if item not in after])
                authorize(call, kind, id, [item for item in after if item not in before])


class SecurityGroup(_Group):
    """A security group."""

    token = "aws:ec2/securityGroup:SecurityGroup"
    noun = "Security Group"
    inputs = {
        "description": text(default="Managed by Pulumi", replaces=True, rule=length(0, 255)),
        "egress": set_of(_RULE, computed=True, same=_same_rules),
        "ingress": set_of(_RULE, computed=True, same=_same_rules),
        "name": text(replaces=True, rule=length(0, 255)),
        "revokeRulesOnDelete": boolean(default=False, write_only=True),
        "vpcId": text(computed=True, replaces=True),
    }
    outputs = ("arn", "ownerId")
    autoname = AutoName("name", 255)

    def validate(self, call: Call, inputs: Properties) -> list[tuple[str, str]]:
        name = inputs.get("name")
        return (
            [("name", "must not begin with sg-")]
            if isinstance(name, str) and name.startswith("sg-")
            else []
        )

    def create(self, call: Call, inputs: Properties) -> str:
        vpc = {"VpcId": inputs["vpcId"]} if inputs.get("vpcId") else {}
        response = call.client("ec2").create_security_group(
            GroupName=inputs["name"],
            Description=inputs["description"],
            **vpc,
            **tagging("security-group", inputs),
        )
        id = call.record_created(response["GroupId"])
        # Remove the default egress rule, as the AWS provider does.
        revoke(call, "egress", id, list((_find(call, id) or {}).get("IpPermissionsEgress") or []))
        for kind in ("ingress", "egress"):
            authorize(call, kind, id, [permission(rule, id) for rule in inputs.get(kind) or []])
        return id

    def delete(self, call: Call, id: str, state: Properties) -> None:
        if state.get("revokeRulesOnDelete"):
            group = _find(call, id)
            if group:
                _revoke_every(call, group)
        retryable = ("DependencyViolation", "InvalidGroup.InUse")
        call.retrying(lambda: call.client("ec2").delete_security_group(GroupId=id), retryable)


class DefaultSecurityGroup(_Group):
    """A VPC's default group: rules that the program does not list are removed; deletion does
    nothing.
    """

    token = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
    noun = "Default Security Group"
    inputs = {
        "egress": set_of(_RULE, computed=True, same=_same_rules),
        "ingress": set_of(_RULE, computed=True, same=_same_rules),
        "revokeRulesOnDelete": boolean(default=False, write_only=True),
        "vpcId": text(computed=True, replaces=True),
    }
    outputs = ("arn", "description", "name", "ownerId")

    def create(self, call: Call, inputs: Properties) -> str:
        ec2 = call.client("ec2")
        filters = [{"Name": "group-name", "Values": ["default"]}]
        if inputs.get("vpcId"):
            filters.append({"Name": "vpc-id", "Values": [inputs["vpcId"]]})
        else:
            default = only(
                ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
            )
            filters.append({"Name": "vpc-id", "Values": [default["VpcId"] if default else ""]})
        group = only(ec2.describe_security_groups(Filters=filters)["SecurityGroups"])
        if group is None:
            raise Failure(
                f"the VPC {inputs.get('vpcId') or '(default)'} has no default security group"
            )
        id = call.record_created(str(group["GroupId"]))
        _revoke_every(call, group)
        for kind in ("ingress", "egress"):
            authorize(call, kind, id, [permission(rule, id) for rule in inputs.get(kind) or []])
        self.retag(
            call, id, {}, inputs["tagsAll"], sorted(set(tags_of(group)) - set(inputs["tagsAll"]))
        )
        return id

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Do nothing: the group is deleted with its VPC."""


TYPES = (SecurityGroup(), DefaultSecurityGroup())
