"""Common steps of the AWS tests: prerequisites, and properties of every type."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.sandbox.providers.engine_client import Client, Made

Boto = Callable[[str], Any]


def role(boto: Boto, name: str, service: str) -> str:
    """Create a role for a service; return its ARN."""
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    return str(
        boto("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    )


def network(boto: Boto, cidr: str = "10.0") -> tuple[str, list[str]]:
    """Create a VPC with subnets in two zones; return their IDs."""
    ec2 = boto("ec2")
    vpc = ec2.create_vpc(CidrBlock=f"{cidr}.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"{cidr}.{number}.0/24", AvailabilityZone=f"us-east-1{zone}"
        )
        for number, zone in enumerate("ab")
    ]
    return str(vpc), [str(created["Subnet"]["SubnetId"]) for created in subnets]


def replaces(aws: Client, made: Made, news: dict[str, Any]) -> list[str]:
    """Return the properties that require a replacement."""
    return list(aws.diff(made, news)[0].replaces)


def changes(aws: Client, made: Made, news: dict[str, Any]) -> list[str]:
    """Return the paths of every change."""
    return sorted(aws.diff(made, news)[0].detailedDiff)


def settled(aws: Client, made: Made) -> None:
    """Check that a refresh returns the resource unchanged."""
    result = aws.read(made)
    assert result is not None
    assert result.inputs == made.inputs
    unsteady = {key for key in result.state if result.state[key] != made.state.get(key)}
    assert unsteady <= {"modifiedAt", "latestRestorableTime"}


def imports(aws: Client, made: Made, id: str | None = None, ignore: tuple[str, ...] = ()) -> None:
    """Check that an import returns inputs equal to the program's."""
    result = aws.import_(made.type, made.name, id or made.id)
    assert result is not None
    assert result.id == made.id
    own = {
        key: value
        for key, value in made.inputs.items()
        if not key.startswith("__") and key != "tagsAll"
    }
    assert aws.diff(result, own, ignore)[0].replaces == []
