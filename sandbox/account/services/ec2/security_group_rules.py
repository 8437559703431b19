"""EC2 security group rules where moto differs: descriptions and updates.

Facts: docs.aws.amazon.com/AWSEC2/latest/APIReference, ModifySecurityGroupRules and
SecurityGroupRule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import amends, implements

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

_SOURCES = ("CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupId")
# Descriptions of prefix list rules, which moto drops, by region and rule ID.
_TABLE = "ec2.prefix_list_rule"


@amends("ec2", "AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress")
def keep_descriptions(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Record the description of a prefix list rule."""
    descriptions = {
        entry["PrefixListId"]: entry["Description"]
        for permission in call.get("IpPermissions") or []
        for entry in permission.get("PrefixListIds") or []
        if entry.get("Description")
    }
    for shown in result.get("SecurityGroupRules") or []:
        if shown.get("PrefixListId") in descriptions:
            record = {"description": descriptions[shown["PrefixListId"]]}
            context.table(_TABLE)[call.region, shown["SecurityGroupRuleId"]] = record
    describe(context, call, result)


@amends("ec2", "DescribeSecurityGroupRules")
def describe(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Return the descriptions of group and prefix list rules."""
    rules = _rules(context, call.region)
    for shown in result.get("SecurityGroupRules") or []:
        id = shown["SecurityGroupRuleId"]
        stored = context.table(_TABLE).get((call.region, id)) or {}
        rule = rules.get(id)
        description = stored.get("description") or (
            rule.source_group.get("Description") if rule else None
        )
        if description and not shown.get("Description"):
            shown["Description"] = description


@implements("ec2", "ModifySecurityGroupRules")
def modify(context: RequestContext, call: Call) -> dict[str, Any]:
    """Update rules in place; moto updates IPv4 rules only. A rule keeps its kind of source."""
    group = moto_backends.security_group(context, call.region, call["GroupId"])
    if group is None:
        raise AwsError(
            "InvalidGroup.NotFound", f"The security group '{call['GroupId']}' does not exist"
        )
    own = {rule.id: rule for rule in (*group.ingress_rules, *group.egress_rules)}
    changes = [(own.get(item["SecurityGroupRuleId"]), item) for item in call["SecurityGroupRules"]]
    for rule, item in changes:
        _check(rule, item["SecurityGroupRuleId"], item["SecurityGroupRule"])
    for rule, item in changes:
        _change(context, call.region, rule, item["SecurityGroupRule"])
    return {"Return": True}


def _check(rule: Any, id: str, changes: dict[str, Any]) -> None:
    if rule is None:
        raise AwsError(
            "InvalidSecurityGroupRuleId.NotFound",
            f"The security group rule ID '{id}' does not exist",
        )
    fields = [name for name in _SOURCES if changes.get(name)]
    if len(fields) != 1:
        text = (
            "The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or "
            "referencedGroupId"
        )
        raise AwsError("MissingParameter", text)
    if fields[0] != _source(rule):
        text = (
            f"Invalid rule type for security group rule '{id}'. You may not specify {fields[0]} "
            f"for an existing {_source(rule)} rule."
        )
        raise AwsError("InvalidParameterValue", text)
    if not changes.get("IpProtocol"):
        text = (
            "Invalid value 'null' for protocol. VPC security group rules must specify protocols "
            "explicitly."
        )
        raise AwsError("InvalidParameterValue", text)
    if changes["IpProtocol"] != "-1" and (
        changes.get("FromPort") is None or changes.get("ToPort") is None
    ):
        text = "Invalid value for portRange. Must specify both from and to ports with TCP/UDP."
        raise AwsError("InvalidParameterValue", text)


def _change(context: RequestContext, region: str, rule: Any, changes: dict[str, Any]) -> None:
    every = changes["IpProtocol"] == "-1"
    rule.ip_protocol = changes["IpProtocol"]
    rule.from_port, rule.to_port = (
        (None, None) if every else (changes["FromPort"], changes["ToPort"])
    )
    description = {"Description": changes["Description"]} if changes.get("Description") else {}
    if changes.get("PrefixListId"):
        rule.prefix_list_id = changes["PrefixListId"]
        context.table(_TABLE)[region, rule.id] = {"description": changes.get("Description")}
    elif changes.get("ReferencedGroupId"):
        remaining = {key: value for key, value in rule.source_group.items() if key != "Description"}
        rule.source_group = {**remaining, "GroupId": changes["ReferencedGroupId"], **description}
    else:
        name, api = ("CidrIp", "CidrIpv4") if changes.get("CidrIpv4") else ("CidrIpv6", "CidrIpv6")
        rule.ip_range = {name: changes[api], **description}


def _source(rule: Any) -> str:
    if rule.prefix_list_id:
        return "PrefixListId"
    if rule.source_group:
        return "ReferencedGroupId"
    return "CidrIpv6" if rule.cidr_ipv6 else "CidrIpv4"


def _rules(context: RequestContext, region: str) -> dict[str, Any]:
    groups = context.backend("ec2", region).groups.values()
    return {
        rule.id: rule
        for vpc in groups
        for group in vpc.values()
        for rule in (*group.ingress_rules, *group.egress_rules)
    }


@implements("ec2", "RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress")
def revoke(context: RequestContext, call: Call) -> dict[str, Any]:
    """Revoke rules, also with another description; moto requires the same."""
    group = moto_backends.security_group(context, call.region, call.get("GroupId") or "")
    if group is None or not call.get("IpPermissions"):
        return context.moto.result(call)
    kind = "egress_rules" if call.operation == "RevokeSecurityGroupEgress" else "ingress_rules"
    rules = getattr(group, kind)
    keys = [key for permission in call["IpPermissions"] for key in _keys(permission)]
    present = {_key(rule) for rule in rules}
    if missing := [key for key in keys if key not in present]:
        text = f"The specified rule does not exist in this security group: {missing[0]}"
        raise AwsError("InvalidPermission.NotFound", text)
    setattr(group, kind, [rule for rule in rules if _key(rule) not in keys])
    return {"Return": True}


_NUMBERS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6", "all": "-1"}


def _protocol(name: Any) -> str:
    return _NUMBERS.get(str(name).lower(), str(name).lower())


def _keys(permission: dict[str, Any]) -> list[tuple[Any, ...]]:
    protocol = _protocol(permission.get("IpProtocol"))
    ports = (
        (None, None) if protocol == "-1" else (permission.get("FromPort"), permission.get("ToPort"))
    )
    sources = [
        *(item.get("CidrIp") for item in permission.get("IpRanges") or []),
        *(item.get("CidrIpv6") for item in permission.get("Ipv6Ranges") or []),
        *(item.get("PrefixListId") for item in permission.get("PrefixListIds") or []),
        *(item.get("GroupId") for item in permission.get("UserIdGroupPairs") or []),
    ]
    return [(protocol, *ports, source) for source in sources]


def _key(rule: Any) -> tuple[Any, ...]:
    source = (
        rule.cidr_ipv4 or rule.cidr_ipv6 or rule.prefix_list_id or rule.source_group.get("GroupId")
    )
    return (_protocol(rule.ip_protocol), rule.from_port, rule.to_port, source)
