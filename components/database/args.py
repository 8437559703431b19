"""Arguments of the database component."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pulumi


class DatabaseSettings(Protocol):
    """Section `database` of the stack file."""

    @property
    def enabled(self) -> bool:
        """False creates a component without children and with an empty `environment`."""

    @property
    def name(self) -> str:
        """Name of the database within PostgreSQL."""

    @property
    def engine_version(self) -> str | None:
        """PostgreSQL version, such as `17.6`; None looks the newest minor version up once."""

    @property
    def snapshot(self) -> str | None:
        """Snapshot that the instance is created from; None creates an empty database."""

    @property
    def instance_class(self) -> str:
        """Instance class, such as `db.t4g.micro`."""

    @property
    def storage_gib(self) -> int:
        """Storage in GiB."""

    @property
    def multi_az(self) -> bool:
        """Whether a standby exists in another zone."""

    @property
    def backup_days(self) -> int:
        """Retention of automated backups in days; 0 disables them."""

    @property
    def log_days(self) -> int:
        """Retention of PostgreSQL's log in days."""


class DatabaseNetwork(Protocol):
    """Outputs of the network component that a database needs."""

    @property
    def vpc_id(self) -> pulumi.Input[str]:
        """ID of the VPC."""

    @property
    def private_subnet_ids(self) -> Sequence[pulumi.Input[str]]:
        """Private subnets, one per zone."""


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """Arguments of `Database`."""

    prefix: str
    """Prefix of physical names."""
    protected: bool
    """Refuse deletion; a forced deletion leaves a final snapshot and the automated backups."""
    settings: DatabaseSettings
    engine_version: str
    """PostgreSQL version that RDS offers, from `look_up_engine_version`."""
    network: DatabaseNetwork
    client_security_group_id: pulumi.Input[str]
    """The only security group that may connect."""
