"""EC2: security group rules as resources, in the AWS provider's two forms.

Replacements and defaults: pulumi_aws's documentation of each type and the AWS provider's schema. A
`SecurityGroupRule` is imported as `<group>_<type>_<protocol>_<from>_<to>_<source>[_<source>…]`, the
others by their sgr- ID.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any, ClassVar

from sandbox.providers.aws.ec2.handler import (
    Ec2Handler,
    cidr,
    gone,
    ipv6_cidr,
    only,
    tagging,
    tags_of,
)
from sandbox.providers.aws.ec2.security_groups import (
    ABSENT,
    ALL,
    authorize,
    permission,
    revoke,
    same_protocol,
)
from sandbox.providers.aws.properties import Property, boolean, integer, length, list_of, text
from sandbox.providers.aws.resource import Call, Handler
from sandbox.providers.protocol import Change, Difference, Failure, Properties


class SecurityGroupRule(Handler):
    """One or more rules that differ only in their source."""

    token = "aws:ec2/securityGroupRule:SecurityGroupRule"
    noun = "Security Group Rule"
    inputs = {
        "cidrBlocks": list_of(text(rule=cidr()), replaces=True),
        "description": text(rule=length(0, 255)),
        "fromPort": integer(required=True, replaces=True),
        "ipv6CidrBlocks": list_of(text(rule=ipv6_cidr), replaces=True),
        "prefixListIds": list_of(text(), replaces=True),
        "protocol": text(required=True, replaces=True, same=same_protocol),
        "securityGroupId": text(required=True, replaces=True),
        "self": boolean(default=False, replaces=True),
        "sourceSecurityGroupId": text(replaces=True),
        "toPort": integer(required=True, replaces=True),
        "type": text(required=True, replaces=True, one_of=("ingress", "egress")),
    }
    outputs = ("securityGroupRuleId",)
    one_needed = (
        ("cidrBlocks", "ipv6CidrBlocks", "prefixListIds", "self", "sourceSecurityGroupId"),
    )
    missing = ("InvalidGroup.NotFound", "InvalidPermission.NotFound")

    def create(self, call: Call, inputs: Properties) -> str:
        group = inputs["securityGroupId"]
        authorize(call, inputs["type"], group, [permission(inputs, group)])
        return call.record_created(self._id(inputs))

    def _id(self, values: Properties) -> str:
        document = json.dumps(
            permission({**values, "description": ""}, values["securityGroupId"]), sort_keys=True
        )
        return (
            f"sgrule-{zlib.crc32((values['securityGroupId'] + values['type'] + document).encode())}"
        )

    def _imported(self, id: str) -> Properties:
        parts = id.split("_")
        if len(parts) < 6:
            raise Failure(
                "a security group rule is imported as <group>_<type>_<protocol>_<from port>_<to "
                f"port>_<source>, for example sg-0123_ingress_tcp_80_80_10.0.0.0/16; {id!r} does "
                "not have that format"
            )
        parsed: Properties = {
            "securityGroupId": parts[0],
            "type": parts[1],
            "protocol": parts[2],
            "fromPort": int(parts[3]),
            "toPort": int(parts[4]),
            "self": False,
        }
        for source in parts[5:]:
            if source == "self":
                parsed["self"] = True
            elif source.startswith("sg-"):
                parsed["sourceSecurityGroupId"] = source
            else:
                kind = (
                    "prefixListIds"
                    if source.startswith("pl-")
                    else "ipv6CidrBlocks"
                    if ":" in source
                    else "cidrBlocks"
                )
                parsed.setdefault(kind, []).append(source)
        return parsed

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        rule = state if state.get("securityGroupId") else self._imported(id)
        entries = self._entries(call, rule)
        expected = permission(rule, rule["securityGroupId"])
        sources = {
            "cidrBlocks": [e["CidrIpv4"] for e in entries if e.get("CidrIpv4")],
            "ipv6CidrBlocks": [e["CidrIpv6"] for e in entries if e.get("CidrIpv6")],
            "prefixListIds": [e["PrefixListId"] for e in entries if e.get("PrefixListId")],
        }
        present = {
            name: [v for v in rule.get(name) or [] if v in values]
            for name, values in sources.items()
        }
        groups = {
            e["ReferencedGroupInfo"]["GroupId"] for e in entries if e.get("ReferencedGroupInfo")
        }
        peers = [
            pair["GroupId"]
            for pair in expected.get("UserIdGroupPairs", [])
            if pair["GroupId"] in groups
        ]
        if not any(present.values()) and not peers:
            return None
        return {
            "id": self._id({**rule, **present}),
            **{
                name: rule[name]
                for name in ("fromPort", "toPort", "protocol", "securityGroupId", "type")
            },
            **present,
            "description": entries[0].get("Description") or "",
            "self": bool(rule.get("self")) and rule["securityGroupId"] in groups,
            "sourceSecurityGroupId": rule.get("sourceSecurityGroupId") if peers else None,
            "securityGroupRuleId": entries[0].get("SecurityGroupRuleId")
            if len(entries) == 1
            else "",
        }

    def _entries(self, call: Call, rule: Properties) -> list[Mapping[str, Any]]:
        filters = [{"Name": "group-id", "Values": [rule["securityGroupId"]]}]
        expected = permission(rule, rule["securityGroupId"])
        groups = {pair["GroupId"] for pair in expected.get("UserIdGroupPairs", [])}
        values = {
            *(rule.get("cidrBlocks") or []),
            *(rule.get("ipv6CidrBlocks") or []),
            *(rule.get("prefixListIds") or []),
        }
        return [
            entry
            for entry in call.client("ec2").describe_security_group_rules(Filters=filters)[
                "SecurityGroupRules"
            ]
            if entry.get("IsEgress", False) == (rule["type"] == "egress")
            and same_protocol(str(entry["IpProtocol"]), rule["protocol"])
            and (
                expected["IpProtocol"] == ALL
                or (entry.get("FromPort"), entry.get("ToPort"))
                == (rule["fromPort"], rule["toPort"])
            )
            and (
                {entry.get("CidrIpv4"), entry.get("CidrIpv6"), entry.get("PrefixListId")} & values
                or (entry.get("ReferencedGroupInfo") or {}).get("GroupId") in groups
            )
        ]

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        group = new["securityGroupId"]
        operation = f"update_security_group_rule_descriptions_{new['type']}"
        getattr(call.client("ec2"), operation)(
            GroupId=group, IpPermissions=[permission(new, group)]
        )

    def delete(self, call: Call, id: str, state: Properties) -> None:
        group = state["securityGroupId"]
        revoke(call, state["type"], group, [permission({**state, "description": ""}, group)])


class _VpcRule(Ec2Handler):
    """One rule with one source and its own ID."""

    kind: ClassVar[str]
    inputs: ClassVar[Mapping[str, Property]] = {
        "cidrIpv4": text(rule=cidr()),
        "cidrIpv6": text(rule=ipv6_cidr),
        "description": text(rule=length(0, 255)),
        "fromPort": integer(),
        "ipProtocol": text(required=True, same=same_protocol),
        "prefixListId": text(),
        "referencedSecurityGroupId": text(),
        "securityGroupId": text(required=True, replaces=True),
        "toPort": integer(),
    }
    outputs = ("arn", "securityGroupRuleId")
    conflicts = (("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId"),)
    one_needed = conflicts
    missing = ABSENT

    def validate(self, call: Call, inputs: Properties) -> list[tuple[str, str]]:
        if inputs.get("ipProtocol") in (ALL, "all"):
            return [
                (n, "is not valid for rules of all protocols")
                for n in ("fromPort", "toPort")
                if n in inputs
            ]
        return []

    def difference(self, old: Properties, state: Properties, new: Properties) -> Difference:
        """Compare inputs; another kind of source replaces the rule."""
        result = super().difference(old, state, new)
        kinds = {name for name in self.one_needed[0] if old.get(name) is not None}
        if kinds == {name for name in self.one_needed[0] if new.get(name) is not None}:
            return result
        moved = {
            name: Change[f"{kind.name}_REPLACE"]
            if name in self.one_needed[0] and not kind.replaces
            else kind
            for name, kind in result.changes.items()
        }
        return Difference(moved, delete_before_replace=result.delete_before_replace)

    def _rule(self, inputs: Properties) -> dict[str, Any]:
        lists = {
            "cidrBlocks": "cidrIpv4",
            "ipv6CidrBlocks": "cidrIpv6",
            "prefixListIds": "prefixListId",
        }
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
        rule = permission(self._rule(inputs), group)
        response = operation(
            GroupId=group, IpPermissions=[rule], **tagging("security-group-rule", inputs)
        )
        return call.record_created(str(response["SecurityGroupRules"][0]["SecurityGroupRuleId"]))

    def _find(self, call: Call, id: str) -> Mapping[str, Any] | None:
        response = gone(call, "describe_security_group_rules", ABSENT, SecurityGroupRuleIds=[id])
        return only(
            [
                rule
                for rule in response.get("SecurityGroupRules", [])
                if rule["SecurityGroupRuleId"] == id
            ]
        )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        rule = self._find(call, id)
        if rule is None:
            return None
        ports = (
            {}
            if str(rule["IpProtocol"]) == ALL
            else {"fromPort": rule.get("FromPort"), "toPort": rule.get("ToPort")}
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

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        names = {
            "cidrIpv4": "CidrIpv4",
            "cidrIpv6": "CidrIpv6",
            "description": "Description",
            "fromPort": "FromPort",
            "ipProtocol": "IpProtocol",
            "prefixListId": "PrefixListId",
            "referencedSecurityGroupId": "ReferencedGroupId",
            "toPort": "ToPort",
        }
        request = {api: new[name] for name, api in names.items() if new.get(name) is not None}
        if request["IpProtocol"] == ALL:
            request |= {"FromPort": -1, "ToPort": -1}
        call.client("ec2").modify_security_group_rules(
            GroupId=new["securityGroupId"],
            SecurityGroupRules=[{"SecurityGroupRuleId": id, "SecurityGroupRule": request}],
        )

    def delete(self, call: Call, id: str, state: Properties) -> None:
        operation = f"revoke_security_group_{self.kind}"
        gone(call, operation, ABSENT, GroupId=state["securityGroupId"], SecurityGroupRuleIds=[id])


class IngressRule(_VpcRule):
    """An ingress rule."""

    token = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
    noun = "VPC Security Group Ingress Rule"
    kind = "ingress"


class EgressRule(_VpcRule):
    """An egress rule."""

    token = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
    noun = "VPC Security Group Egress Rule"
    kind = "egress"


TYPES = (SecurityGroupRule(), IngressRule(), EgressRule())
