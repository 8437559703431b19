"""Database with flat arguments."""

from dataclasses import dataclass
from typing import NotRequired, TypedDict

import pulumi

from component_provider.subnets import Subnets, elements
from components import database

PORT = 5432
SECRET_VARIABLE = "DATABASE_SECRET_ARN"  # noqa: S105 - the name of a variable
VARIABLES = ("DATABASE_HOST", "DATABASE_PORT", "DATABASE_NAME", "DATABASE_USER", SECRET_VARIABLE)
"""Keys of the environment, which a workload plans before the database exists."""


class DatabaseArgs(TypedDict):
    """Arguments of Database."""

    prefix: str
    """Prefix of physical names, such as `platform-dev`."""
    vpc_id: pulumi.Input[str]
    """ID of the VPC."""
    private_subnet_ids: pulumi.Input[list[str]]
    """Private subnets, one per zone, in two zones at least."""
    zones: int
    """Number of the subnets, which is planned before they exist."""
    client_security_group_id: pulumi.Input[str]
    """The only security group that may connect."""
    database_name: str
    """Name of the database within PostgreSQL."""
    engine_version: NotRequired[str]
    """PostgreSQL version, such as `17.6`; the newest minor version is looked up once by default."""
    instance_class: str
    """Instance class, such as `db.t4g.micro`."""
    storage_gib: int
    """Storage in GiB."""
    multi_az: NotRequired[bool]
    """Whether a standby exists in another zone."""
    backup_days: NotRequired[int]
    """Retention of automated backups in days; 0 disables them."""
    log_days: int
    """Retention of PostgreSQL's log in days."""
    protected: NotRequired[bool]
    """Refuse deletion; a forced deletion leaves a final snapshot."""


@dataclass(frozen=True, kw_only=True)
class _DatabaseSettings:
    name: str
    engine_version: str | None
    instance_class: str
    storage_gib: int
    multi_az: bool
    backup_days: int
    log_days: int
    enabled: bool = True
    snapshot: str | None = None


class Database(pulumi.ComponentResource):
    """PostgreSQL in RDS, encrypted, with a password that AWS keeps and rotates."""

    environment: pulumi.Output[dict[str, str]]
    """Environment variables of a client."""
    key_arn: pulumi.Output[str]
    """Key that encrypts the secret with the password."""
    identifier: pulumi.Output[str]
    """Identifier of the RDS instance."""

    def __init__(
        self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("platform:index:Database", name, {}, opts)
        settings = _DatabaseSettings(
            name=args["database_name"],
            engine_version=args.get("engine_version"),
            instance_class=args["instance_class"],
            storage_gib=int(args["storage_gib"]),
            multi_az=args.get("multi_az", False),
            backup_days=int(args.get("backup_days", 7)),
            log_days=int(args["log_days"]),
        )
        inner = database.Database(
            name,
            database.DatabaseArgs(
                prefix=args["prefix"],
                protected=args.get("protected", False),
                settings=settings,
                engine_version=database.look_up_engine_version(
                    name, settings, pulumi.InvokeOptions(parent=self)
                ),
                network=Subnets(
                    vpc_id=args["vpc_id"],
                    private_subnet_ids=elements(args["private_subnet_ids"], int(args["zones"])),
                ),
                client_security_group_id=args["client_security_group_id"],
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.environment = pulumi.Output.all(**{key: inner.environment[key] for key in VARIABLES})
        (self.key_arn,) = inner.key_arns
        self.identifier = pulumi.Output.from_input(inner.identifier or "")
        self.register_outputs({"identifier": self.identifier})
