"""Arguments of the observability component."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pulumi


class ObservabilitySettings(Protocol):
    """Section `observability` of the stack file."""

    @property
    def contacts(self) -> Sequence[str]:
        """E-mail addresses; each must confirm its subscription once."""

    @property
    def monthly_budget_usd(self) -> int:
        """Budget in US dollars; notifies at 80 % actual and 100 % forecast cost."""


@dataclass(frozen=True, kw_only=True)
class ObservabilityArgs:
    """Arguments of `Observability`."""

    prefix: str
    """Prefix of physical names."""
    protected: bool
    """Keep the topic's key as long as KMS allows."""
    settings: ObservabilitySettings
    cluster_name: pulumi.Input[str]
    database_identifier: pulumi.Input[str] | None
    """RDS instance; None without a database."""
    repository_name: pulumi.Input[str]
    """ECR repository whose scans are watched."""
    workload: pulumi.Resource | None
    """The alarm on unschedulable pods depends on it: before, pods wait for the first nodes.

    None where the whole component depends on it.
    """
    budget_tag: str
    """`Key$Value` of the cost allocation tag that identifies the environment."""
