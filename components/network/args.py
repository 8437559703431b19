"""Arguments of the network component."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Nat = Literal["none", "single", "per-zone"]


class NetworkSettings(Protocol):
    """Section `network` of the stack file."""

    @property
    def cidr(self) -> str:
        """IPv4 network of the VPC, /16 to /20."""

    @property
    def zones(self) -> int:
        """Number of availability zones, 1 to 3. EKS requires two."""

    @property
    def nat(self) -> Nat:
        """NAT gateways of the private subnets: none, one shared, or one per zone."""

    @property
    def interface_endpoints(self) -> Sequence[str]:
        """Last parts of endpoint names, such as `ecr.api`, `sts`, `logs`."""

    @property
    def flow_log_days(self) -> int:
        """Retention of the flow logs in days."""


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Arguments of `Network`."""

    prefix: str
    """Prefix of physical names, such as `platform-dev`."""
    protected: bool
    """Refuse deletion, and retain the flow logs."""
    settings: NetworkSettings
