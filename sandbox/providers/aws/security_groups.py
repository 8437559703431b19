"""EC2: security groups, the default group, and rules in the two forms that the AWS provider has.

Which properties replace, and the defaults: pulumi_aws's documentation of each type and the AWS provider's schema
(resources security_group, default_security_group, security_group_rule, vpc_security_group_ingress_rule and …egress_rule).
A `SecurityGroupRule` is imported as `<group>_<type>_<protocol>_<from>_<to>_<source>[_<source>…]`, the others by sgr- id.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from sandbox.providers.aws.ec2 import Ec2Handler, cidr, gone, ipv6_cidr, only, tagging, tags_of
from sandbox.providers.aws.properties import Property, block, boolean, integer, length, list_of, set_of, text
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Failure, Properties

_ALL = "-1"
_ABSENT = ("InvalidPermission.NotFound", "InvalidGroup.NotFound", "InvalidSecurityGroupRuleId.NotFound")


def _protocol(one: str, other: str) -> bool:
    numbers = {"all": "-1", "icmp": "1", "tcp": "6", "udp": "17", "icmpv6": "58"}
    return numbers.get(one.lower(), one.lower()) == numbers.get(other.lower(), other.lower())


_RULE = block(
    {
        "cidrBlocks": list_of(text(rule=cidr())),
        "description": text(rule=length(0, 255)),
        "fromPort": integer(required=True),
        "ipv6CidrBlocks": list_of(text(rule=ipv6_cidr)),
        "prefixListIds": list_of(text()),
        "protocol": text(required=True, same=_protocol),
        "securityGroups": set_of(text()),
        "self": boolean(default=False),
        "toPort": integer(required=True),
    }
)


def _permission(rule: Mapping[str, Any], group: str) -> dict[str, Any]:
    """A rule of the program as EC2's IpPermission."""
    described = {"Description": rule["description"]} if rule.get("description") else {}
    peers = [*(rule.get("securityGroups") or []), *([group] if rule.get("self") else [])]
    if rule.get("sourceSecurityGroupId"):
        peers.append(rule["sourceSecurityGroupId"])
    parts: dict[str, Any] = {
        "IpRanges": [{"CidrIp": value, **described} for value in rule.get("cidrBlocks") or []],
        "Ipv6Ranges": [{"CidrIpv6": value, **described} for value in rule.get("ipv6CidrBlocks") or []],
        "PrefixListIds": [{"PrefixListId": value, **described} for value in rule.get("prefixListIds") or []],
        "UserIdGroupPairs": [{"GroupId": value, **described} for value in peers],
    }
    protocol = _ALL if rule["protocol"].lower() == "all" else rule["protocol"]
    ports = {} if protocol == _ALL else {"FromPort": rule["fromPort"], "ToPort": rule["toPort"]}
    return {"IpProtocol": protocol, **ports, **{name: values for name, values in parts.items() if values}}


def _rules(permissions: Iterable[Mapping[str, Any]], group: str) -> list[dict[str, Any]]:
    """EC2's IpPermissions as rules of the program: one per protocol, ports and description."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for permission in permissions:
        sources = [
            *(("cidrBlocks", item["CidrIp"], item) for item in permission.get("IpRanges") or []),
            *(("ipv6CidrBlocks", item["CidrIpv6"], item) for item in permission.get("Ipv6Ranges") or []),
            *(("prefixListIds", item["PrefixListId"], item) for item in permission.get("PrefixListIds") or []),
            *(("securityGroups", item["GroupId"], item) for item in permission.get("UserIdGroupPairs") or []),
        ]
        whole = permission["IpProtocol"] == _ALL
        start, end = (0, 0) if whole else (permission.get("FromPort", 0), permission.get("ToPort", 0))
        for name, value, item in sources:
            description = item.get("Description") or ""
            key = (permission["IpProtocol"], start, end, description)
            empty = {"protocol": key[0], "fromPort": start, "toPort": end, "description": description, "self": False}
            rule = found.setdefault(key, empty)
            if name == "securityGroups" and value == group:
                rule["self"] = True
            else:
                rule.setdefault(name, []).append(value)
    return list(found.values())


def _find(call: Call, id: str) -> Mapping[str, Any] | None:
    answer = gone(call, "describe_security_groups", ("InvalidGroup.NotFound",), GroupIds=[id])
    return only(answer.get("SecurityGroups", []))


def _authorize(call: Call, kind: str, group: str, permissions: list[dict[str, Any]]) -> Any:
    if not permissions:
        return None
    operation = getattr(call.client("ec2"), f"authorize_security_group_{kind}")
    return operation(GroupId=group, IpPermissions=permissions)


def _revoke(call: Call, kind: str, group: str, permissions: list[dict[str, Any]]) -> None:
    if permissions:
        gone(call, f"revoke_security_group_{kind}", _ABSENT, GroupId=group, IpPermissions=permissions)


def _revoke_every(call: Call, group: Mapping[str, Any]) -> None:
    _revoke(call, "ingress", group["GroupId"], list(group.get("IpPermissions") or []))
    _revoke(call, "egress", group["GroupId"], list(group.get("IpPermissionsEgress") or []))


class _Group(Ec2Handler):
    """What both kinds of group share."""

    missing = ("InvalidGroup.NotFound", "InvalidGroupId.NotFound")

    def read(self, call: Call, id: str, known: Properties) -> Properties | None:
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

    def update(self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]) -> None:
        for kind in ("ingress", "egress"):
            if kind in changed:
                before = [_permission(rule, id) for rule in old.get(kind) or []]
                after = [_permission(rule, id) for rule in new.get(kind) or []]
                _revoke(call, kind, id, [item for item in before if item not in after])
                _authorize(call, kind, id, [item for item in after if item not in before])


class SecurityGroup(_Group):
    """A security group."""

    token = "aws:ec2/securityGroup:SecurityGroup"
    noun = "Security Group"
    inputs = {
        "description": text(default="Managed by Pulumi", replaces=True, rule=length(0, 255)),
        "egress": set_of(_RULE, computed=True),
        "ingress": set_of(_RULE, computed=True),
        "name": text(replaces=True, rule=length(0, 255)),
        "revokeRulesOnDelete": boolean(default=False, write_only=True),
        "vpcId": text(computed=True, replaces=True),
    }
    outputs = ("arn", "ownerId")
    autoname = AutoName("name", 255)

    def validate(self, call: Call, inputs: Properties) -> list[tuple[str, str]]:
        name = inputs.get("name")
        return [("name", "must not begin with sg-")] if isinstance(name, str) and name.startswith("sg-") else []

    def create(self, call: Call, inputs: Properties) -> str:
        vpc = {"VpcId": inputs["vpcId"]} if inputs.get("vpcId") else {}
        made = call.client("ec2").create_security_group(
            GroupName=inputs["name"], Description=inputs["description"], **vpc, **tagging("security-group", inputs)
        )
        id = call.made(made["GroupId"])
        # EC2 lets everything out of a new group; the AWS provider takes that away so that the program says what goes out.
        _revoke(call, "egress", id, list((_find(call, id) or {}).get("IpPermissionsEgress") or []))
        for kind in ("ingress", "egress"):
            _authorize(call, kind, id, [_permission(rule, id) for rule in inputs.get(kind) or []])
        return id

    def delete(self, call: Call, id: str, state: Properties) -> None:
        if state.get("revokeRulesOnDelete"):
            group = _find(call, id)
            if group:
                _revoke_every(call, group)
        held = ("DependencyViolation", "InvalidGroup.InUse")
        call.retrying(lambda: call.client("ec2").delete_security_group(GroupId=id), held)


class DefaultSecurityGroup(_Group):
    """A VPC's default group, taken over: every rule that the program doesn't name is removed. Deleting it lets go of it."""

    token = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
    noun = "Default Security Group"
    inputs = {
        "egress": set_of(_RULE, computed=True),
        "ingress": set_of(_RULE, computed=True),
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
            default = only(ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"])
            filters.append({"Name": "vpc-id", "Values": [default["VpcId"] if default else ""]})
        group = only(ec2.describe_security_groups(Filters=filters)["SecurityGroups"])
        if group is None:
            raise Failure(f"the VPC {inputs.get('vpcId') or '(default)'} has no default security group")
        id = call.made(str(group["GroupId"]))
        _revoke_every(call, group)
        for kind in ("ingress", "egress"):
            _authorize(call, kind, id, [_permission(rule, id) for rule in inputs.get(kind) or []])
        self.retag(call, id, {}, inputs["tagsAll"], sorted(set(tags_of(group)) - set(inputs["tagsAll"])))
        return id

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """It lives as long as its VPC."""


class SecurityGroupRule(Handler):
    """One or more rules of a group that differ only in their source."""

    token = "aws:ec2/securityGroupRule:SecurityGroupRule"
    noun = "Security Group Rule"
    inputs = {
        "cidrBlocks": list_of(text(rule=cidr()), replaces=True),
        "description": text(rule=length(0, 255)),
        "fromPort": integer(required=True, replaces=True),
        "ipv6CidrBlocks": list_of(text(rule=ipv6_cidr), replaces=True),
        "prefixListIds": list_of(text(), replaces=True),
        "protocol": text(required=True, replaces=True, same=_protocol),
        "securityGroupId": text(required=True, replaces=True),
        "self": boolean(default=False, replaces=True),
        "sourceSecurityGroupId": text(replaces=True),
        "toPort": integer(required=True, replaces=True),
        "type": text(required=True, replaces=True, one_of=("ingress", "egress")),
    }
    outputs = ("securityGroupRuleId",)
    one_needed = (("cidrBlocks", "ipv6CidrBlocks", "prefixListIds", "self", "sourceSecurityGroupId"),)
    missing = ("InvalidGroup.NotFound", "InvalidPermission.NotFound")

    def create(self, call: Call, inputs: Properties) -> str:
        group = inputs["securityGroupId"]
        _authorize(call, inputs["type"], group, [_permission(inputs, group)])
        return call.made(self._id(inputs))

    def _id(self, values: Properties) -> str:
        permission = json.dumps(_permission({**values, "description": ""}, values["securityGroupId"]), sort_keys=True)
        return f"sgrule-{zlib.crc32((values['securityGroupId'] + values['type'] + permission).encode())}"

    def _imported(self, id: str) -> Properties:
        parts = id.split("_")
        if len(parts) < 6:
            raise Failure(
                "a security group rule is imported as <group>_<type>_<protocol>_<from port>_<to port>_<source>,"
                f" for example sg-0123_ingress_tcp_80_80_10.0.0.0/16; {id!r} isn't that"
            )
        found: Properties = {
            "securityGroupId": parts[0], "type": parts[1], "protocol": parts[2],
            "fromPort": int(parts[3]), "toPort": int(parts[4]), "self": False,
        }  # fmt: skip
        for source in parts[5:]:
            if source == "self":
                found["self"] = True
            elif source.startswith("sg-"):
                found["sourceSecurityGroupId"] = source
            else:
                kind = (
                    "prefixListIds" if source.startswith("pl-") else "ipv6CidrBlocks" if ":" in source else "cidrBlocks"
                )
                found.setdefault(kind, []).append(source)
        return found

    def read(self, call: Call, id: str, known: Properties) -> Properties | None:
        rule = known if known.get("securityGroupId") else self._imported(id)
        entries = self._entries(call, rule)
        wanted = _permission(rule, rule["securityGroupId"])
        sources = {
            "cidrBlocks": [e["CidrIpv4"] for e in entries if e.get("CidrIpv4")],
            "ipv6CidrBlocks": [e["CidrIpv6"] for e in entries if e.get("CidrIpv6")],
            "prefixListIds": [e["PrefixListId"] for e in entries if e.get("PrefixListId")],
        }
        kept = {name: [v for v in rule.get(name) or [] if v in values] for name, values in sources.items()}
        groups = {e["ReferencedGroupInfo"]["GroupId"] for e in entries if e.get("ReferencedGroupInfo")}
        peers = [pair["GroupId"] for pair in wanted.get("UserIdGroupPairs", []) if pair["GroupId"] in groups]
        if not any(kept.values()) and not peers:
            return None
        return {
            "id": self._id({**rule, **kept}),
            **{name: rule[name] for name in ("fromPort", "toPort", "protocol", "securityGroupId", "type")},
            **kept,
            "description": entries[0].get("Description") or "",
            "self": bool(rule.get("self")) and rule["securityGroupId"] in groups,
            "sourceSecurityGroupId": rule.get("sourceSecurityGroupId") if peers else None,
            "securityGroupRuleId": entries[0].get("SecurityGroupRuleId") if len(entries) == 1 else "",
        }

    def _entries(self, call: Call, rule: Properties) -> list[Mapping[str, Any]]:
        filters = [{"Name": "group-id", "Values": [rule["securityGroupId"]]}]
        wanted = _permission(rule, rule["securityGroupId"])
        groups = {pair["GroupId"] for pair in wanted.get("UserIdGroupPairs", [])}
        values = {
            *(rule.get("cidrBlocks") or []),
            *(rule.get("ipv6CidrBlocks") or []),
            *(rule.get("prefixListIds") or []),
        }
        return [
            entry
            for entry in call.client("ec2").describe_security_group_rules(Filters=filters)["SecurityGroupRules"]
            if entry.get("IsEgress", False) == (rule["type"] == "egress")
            and _protocol(str(entry["IpProtocol"]), rule["protocol"])
            and (
                wanted["IpProtocol"] == _ALL
                or (entry.get("FromPort"), entry.get("ToPort")) == (rule["fromPort"], rule["toPort"])
            )
            and (
                {entry.get("CidrIpv4"), entry.get("CidrIpv6"), entry.get("PrefixListId")} & values
                or (entry.get("ReferencedGroupInfo") or {}).get("GroupId") in groups
            )
        ]

    def update(self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]) -> None:
        group = new["securityGroupId"]
        operation = f"update_security_group_rule_descriptions_{new['type']}"
        getattr(call.client("ec2"), operation)(GroupId=group, IpPermissions=[_permission(new, group)])

    def delete(self, call: Call, id: str, state: Properties) -> None:
        group = state["securityGroupId"]
        _revoke(call, state["type"], group, [_permission({**state, "description": ""}, group)])


class _VpcRule(Ec2Handler):
    """One rule with one source and an id of its own."""

    kind: ClassVar[str]
    inputs: ClassVar[Mapping[str, Property]] = {
        "cidrIpv4": text(rule=cidr()),
        "cidrIpv6": text(rule=ipv6_cidr),
        "description": text(rule=length(0, 255)),
        "fromPort": integer(),
        "ipProtocol": text(required=True, same=_protocol),
        "prefixListId": text(),
        "referencedSecurityGroupId": text(),
        "securityGroupId": text(required=True, replaces=True),
        "toPort": integer(),
    }
    outputs = ("arn", "securityGroupRuleId")
    conflicts = (("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId"),)
    one_needed = conflicts
    missing = _ABSENT

    def validate(self, call: Call, inputs: Properties) -> list[tuple[str, str]]:
        if inputs.get("ipProtocol") in (_ALL, "all"):
            return [(n, "isn't for rules of all protocols") for n in ("fromPort", "toPort") if n in inputs]
        return []

    def _rule(self, inputs: Properties) -> dict[str, Any]:
        lists = {"cidrBlocks": "cidrIpv4", "ipv6CidrBlocks": "cidrIpv6", "prefixListIds": "prefixListId"}
        return {
            "protocol": inputs["ipProtocol"],
            "fromPort": inputs.get("fromPort", -1),
            "toPort": inputs.get("toPort", -1),
            "description": inputs.get("description"),
            "sourceSecurityGroupId": inputs.get("referencedSecurityGroupId"),
            **{many: [inputs[one]] for many, one in lists.items() if inputs.get(one)},
        }

    def create(self, call: Call, inputs: Properties) -> str:
        group = inputs["securityGroupId"]
        operation = getattr(call.client("ec2"), f"authorize_security_group_{self.kind}")
        permission = _permission(self._rule(inputs), group)
        made = operation(GroupId=group, IpPermissions=[permission], **tagging("security-group-rule", inputs))
        return call.made(str(made["SecurityGroupRules"][0]["SecurityGroupRuleId"]))

    def _find(self, call: Call, id: str) -> Mapping[str, Any] | None:
        answer = gone(call, "describe_security_group_rules", _ABSENT, SecurityGroupRuleIds=[id])
        return only([rule for rule in answer.get("SecurityGroupRules", []) if rule["SecurityGroupRuleId"] == id])

    def read(self, call: Call, id: str, known: Properties) -> Properties | None:
        rule = self._find(call, id)
        if rule is None:
            return None
        ports = (
            {} if str(rule["IpProtocol"]) == _ALL else {"fromPort": rule.get("FromPort"), "toPort": rule.get("ToPort")}
        )
        return {
            "arn": call.arn("ec2", f"security-group-rule/{id}"),
            "cidrIpv4": rule.get("CidrIpv4"),
            "cidrIpv6": rule.get("CidrIpv6"),
            "description": rule.get("Description"),
            "ipProtocol": str(rule["IpProtocol"]),
            "prefixListId": rule.get("PrefixListId"),
            "referencedSecurityGroupId": (rule.get("ReferencedGroupInfo") or {}).get("GroupId"),
            "securityGroupId": rule["GroupId"],
            "securityGroupRuleId": id,
            "fromPort": None,
            "toPort": None,
            **ports,
            "tagsAll": tags_of(rule),
        }

    def update(self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]) -> None:
        names = {
            "cidrIpv4": "CidrIpv4", "cidrIpv6": "CidrIpv6", "description": "Description", "fromPort": "FromPort",
            "ipProtocol": "IpProtocol", "prefixListId": "PrefixListId",
            "referencedSecurityGroupId": "ReferencedGroupId", "toPort": "ToPort",
        }  # fmt: skip
        request = {api: new[name] for name, api in names.items() if new.get(name) is not None}
        if request["IpProtocol"] == _ALL:
            request |= {"FromPort": -1, "ToPort": -1}
        call.client("ec2").modify_security_group_rules(
            GroupId=new["securityGroupId"],
            SecurityGroupRules=[{"SecurityGroupRuleId": id, "SecurityGroupRule": request}],
        )

    def delete(self, call: Call, id: str, state: Properties) -> None:
        operation = f"revoke_security_group_{self.kind}"
        gone(call, operation, _ABSENT, GroupId=state["securityGroupId"], SecurityGroupRuleIds=[id])


class IngressRule(_VpcRule):
    """A rule for what comes in."""

    token = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
    noun = "VPC Security Group Ingress Rule"
    kind = "ingress"


class EgressRule(_VpcRule):
    """A rule for what goes out."""

    token = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
    noun = "VPC Security Group Egress Rule"
    kind = "egress"


TYPES = (SecurityGroup(), DefaultSecurityGroup(), SecurityGroupRule(), IngressRule(), EgressRule())
