"""A network from the package `platform`, in a program that has settings of its own."""

from dataclasses import dataclass, field

import pulumi

from components.aws.context import aws_provider
from components.network import Network, NetworkArgs
from components.network.args import Nat


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Any object with these attributes will do."""

    cidr: str
    zones: int
    nat: Nat
    flow_log_days: int = 7
    interface_endpoints: list[str] = field(default_factory=list)


config = pulumi.Config()
provider = aws_provider("aws", region="us-east-1", tags={}, account_ids=(), role_arn=None)
network = Network(
    "network",
    NetworkArgs(
        prefix=f"example-{pulumi.get_stack()}",
        protected=False,
        settings=NetworkSettings(
            cidr="10.40.0.0/16", zones=config.require_int("zones"), nat="none"
        ),
    ),
    pulumi.ResourceOptions(providers=[provider]),
)
pulumi.export("vpc_id", network.vpc_id)
