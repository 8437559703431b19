"""Security group rules with group and prefix list sources, verified with boto3."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.providers.engine_client import Client
from tests.sandbox.providers.lifecycle import Boto, network, replaces, settled

INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"


@pytest.fixture(scope="module")
def groups(boto: Boto) -> list[str]:
    """Three security groups of one VPC."""
    vpc, ec2 = network(boto, "10.11")[0], boto("ec2")
    return [
        str(ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"])
        for name in "abc"
    ]


def given(groups: list[str]) -> dict[str, Any]:
    return {
        "securityGroupId": groups[0],
        "referencedSecurityGroupId": groups[1],
        "ipProtocol": "tcp",
        "fromPort": 5432,
        "toPort": 5432,
        "description": "from the workload",
    }


def live(boto: Boto, id: str) -> Any:
    return boto("ec2").describe_security_group_rules(SecurityGroupRuleIds=[id])[
        "SecurityGroupRules"
    ][0]


def test_group_rule_keeps_its_description_and_updates_in_place(
    owned: Client, boto: Boto, groups: list[str]
) -> None:
    created = owned.create(INGRESS, "peers", given(groups))
    assert live(boto, created.id)["Description"] == "from the workload"
    settled(owned, created)
    news = {
        **given(groups),
        "referencedSecurityGroupId": groups[2],
        "toPort": 5433,
        "description": "from another",
    }
    assert replaces(owned, created, news) == []
    changed = owned.update(created, news)
    assert changed.id == created.id
    rule = live(boto, created.id)
    assert (rule["ReferencedGroupInfo"]["GroupId"], rule["ToPort"]) == (groups[2], 5433)
    assert rule["Description"] == "from another"
    settled(owned, changed)
    owned.delete(changed)
    assert owned.read(changed) is None


def test_another_kind_of_source_replaces_the_rule(owned: Client, groups: list[str]) -> None:
    created = owned.create(INGRESS, "kinds", given(groups))
    wider = {
        key: value for key, value in given(groups).items() if key != "referencedSecurityGroupId"
    }
    result = replaces(owned, created, {**wider, "cidrIpv4": "10.0.0.0/8"})
    assert sorted(result) == ["cidrIpv4", "referencedSecurityGroupId"]
    owned.delete(created)


def test_older_rule_type_with_description_is_deleted(
    owned: Client, boto: Boto, groups: list[str]
) -> None:
    inputs = {
        "type": "ingress",
        "securityGroupId": groups[0],
        "sourceSecurityGroupId": groups[1],
        "protocol": "tcp",
        "fromPort": 22,
        "toPort": 22,
        "description": "with words",
    }
    created = owned.create("aws:ec2/securityGroupRule:SecurityGroupRule", "older", inputs)
    settled(owned, created)
    owned.delete(created)
    filters = [{"Name": "group-id", "Values": [groups[0]]}]
    left = boto("ec2").describe_security_group_rules(Filters=filters)["SecurityGroupRules"]
    assert [rule for rule in left if not rule["IsEgress"]] == []


def test_new_subnet_assigns_no_public_addresses(boto: Boto) -> None:
    vpc = boto("ec2").create_vpc(CidrBlock="10.12.0.0/16")["Vpc"]["VpcId"]
    created = boto("ec2").create_subnet(
        VpcId=vpc, CidrBlock="10.12.0.0/24", AvailabilityZone="us-east-1f"
    )["Subnet"]
    assert (created["MapPublicIpOnLaunch"], created["DefaultForAz"]) == (False, False)
