"""Observability with flat arguments."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import pulumi

from components import observability


class ObservabilityArgs(TypedDict):
    """Arguments of Observability; let it depend on the workload, whose pods wait for nodes."""

    prefix: str
    """Prefix of physical names."""
    cluster_name: pulumi.Input[str]
    """Name of the cluster in EKS."""
    database_identifier: NotRequired[pulumi.Input[str]]
    """Output `identifier` of a Database."""
    repository_name: pulumi.Input[str]
    """ECR repository whose scans are watched: `repository_name` of an Image's `repositories`."""
    contacts: NotRequired[list[str]]
    """E-mail addresses; each must confirm its subscription once."""
    monthly_budget_usd: int
    """Budget in US dollars; notifies at 80 % actual and 100 % forecast cost."""
    budget_tag: str
    """`Key$Value` of the cost allocation tag that identifies the environment."""
    protected: NotRequired[bool]
    """Keep the topic's key as long as KMS allows."""


@dataclass(frozen=True, kw_only=True)
class _ObservabilitySettings:
    contacts: Sequence[str]
    monthly_budget_usd: int


class Observability(pulumi.ComponentResource):
    """Alarms on control plane and database, the topic they publish to, a dashboard, a budget."""

    topic_arn: pulumi.Output[str]
    """Topic of alarms, approvals and failures."""
    topic_key_arn: pulumi.Output[str]
    """Key of the topic; a role that publishes must be allowed to use it."""
    release_alarm_names: pulumi.Output[list[str]]
    """Alarms that gate a release: two, and two more with a database."""

    def __init__(
        self, name: str, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("platform:index:Observability", name, {}, opts)
        inner = observability.Observability(
            name,
            observability.ObservabilityArgs(
                prefix=args["prefix"],
                protected=args.get("protected", False),
                settings=_ObservabilitySettings(
                    contacts=args.get("contacts") or [],
                    monthly_budget_usd=int(args["monthly_budget_usd"]),
                ),
                cluster_name=args["cluster_name"],
                database_identifier=args.get("database_identifier"),
                repository_name=args["repository_name"],
                workload=None,
                budget_tag=args["budget_tag"],
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.topic_arn, self.topic_key_arn = inner.topic_arn, inner.topic_key_arn
        self.release_alarm_names = pulumi.Output.all(*inner.release_alarm_names)
        self.register_outputs({"topic_arn": self.topic_arn})
