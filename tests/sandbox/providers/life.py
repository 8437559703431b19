"""Steps that the tests of several AWS services share: what other services bring, and what must hold for every type."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.sandbox.providers.engine_client import Client, Made

Boto = Callable[[str], Any]


def role(boto: Boto, name: str, service: str) -> str:
    """Make a role that a service may assume; return its ARN."""
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": ["sts:AssumeRole", "sts:TagSession"]}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    return str(boto("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"])


def network(boto: Boto, cidr: str = "10.0") -> tuple[str, list[str]]:
    """Make a VPC with a subnet in each of two zones; return their ids."""
    ec2 = boto("ec2")
    vpc = ec2.create_vpc(CidrBlock=f"{cidr}.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"{cidr}.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")
        for number, zone in enumerate("ab")
    ]
    return str(vpc), [str(made["Subnet"]["SubnetId"]) for made in subnets]


def replaces(aws: Client, made: Made, news: dict[str, Any]) -> list[str]:
    """The properties for which the change needs a new resource."""
    return list(aws.diff(made, news)[0].replaces)


def changes(aws: Client, made: Made, news: dict[str, Any]) -> list[str]:
    """The paths of every change."""
    return sorted(aws.diff(made, news)[0].detailedDiff)


def settled(aws: Client, made: Made) -> None:
    """Assert that a refresh finds the resource just as it was made."""
    found = aws.read(made)
    assert found is not None
    assert found.inputs == made.inputs
    unsteady = {key for key in found.state if found.state[key] != made.state.get(key)}
    assert unsteady <= {"modifiedAt", "latestRestorableTime"}


def imports(aws: Client, made: Made, id: str | None = None, ignore: tuple[str, ...] = ()) -> None:
    """Assert that an import finds the resource, with inputs that then differ in nothing from the program's."""
    found = aws.import_(made.type, made.name, id or made.id)
    assert found is not None
    assert found.id == made.id
    own = {key: value for key, value in made.inputs.items() if not key.startswith("__") and key != "tagsAll"}
    assert aws.diff(found, own, ignore)[0].replaces == []
