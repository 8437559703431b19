"""Subnets of another component, whose number is known before their IDs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pulumi


@dataclass(frozen=True, kw_only=True)
class Subnets:
    """What components need of a network."""

    vpc_id: pulumi.Input[str]
    private_subnet_ids: Sequence[pulumi.Input[str]]
    public_subnet_ids: Sequence[pulumi.Input[str]] = ()
    cidr: str = ""
    egress: Sequence[pulumi.Resource] = ()
    """Empty: a program depends on the whole network by `dependsOn`."""
    nat_cidrs: Sequence[pulumi.Input[str]] = field(default=())


def elements(ids: pulumi.Input[list[str]], count: int) -> list[pulumi.Input[str]]:
    """Return each of `count` IDs of an output."""
    output = pulumi.Output.from_input(ids)
    return [output[index] for index in range(count)]
