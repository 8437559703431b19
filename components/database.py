"""PostgreSQL on RDS: private, encrypted, TLS only, its password known to AWS alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.encryption import encryption_key, for_logs, log_group
from components.place import place_of

PORT = 5432
USER = "platform"


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """What a database needs to know."""

    enabled: bool = True
    """False makes a component without children, whose `environment` is empty: the service then runs without."""
    prefix: str
    """Stage prefix of physical names."""
    database_name: str
    """Name of the database within PostgreSQL."""
    engine_version: str
    """PostgreSQL version, such as `17.6`."""
    instance_class: str
    storage_gib: int
    multi_az: bool
    """A standby in another zone."""
    backup_days: int
    """Days for which backups are kept; 0 makes none."""
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    client_security_group_id: pulumi.Input[str]
    """The only group from which the database can be reached."""
    log_days: int = 30
    """Days for which PostgreSQL's log is kept."""
    protected: bool = False
    """Refuse deletion, and leave a final snapshot and the backups if it is deleted all the same."""


class Database(pulumi.ComponentResource):
    """Guarantees no public address, encryption with a key of its own, TLS for every connection, and a master password
    that RDS makes, keeps in Secrets Manager and changes; Pulumi never sees it.

    Refuses to own schema and data: migrations belong to the service.
    """

    environment: Mapping[str, pulumi.Output[str]]
    """What a client must know: DATABASE_HOST, _PORT, _NAME, _USER and _SECRET_ARN; empty without a database."""
    secret_arns: list[pulumi.Output[str]]
    """Secrets that a client must be allowed to read."""
    key_arns: list[pulumi.Output[str]]
    """Keys with which those secrets are encrypted."""
    ports: list[int]
    """Ports that a client must be able to reach."""
    identifier: pulumi.Output[str] | None
    """Name of the instance in RDS, for alarms; None without a database."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("platform:index:Database", name, {}, opts)
        self.environment, self.secret_arns, self.key_arns, self.ports, self.identifier = {}, [], [], [], None
        if args.enabled:
            self._create(name, args)
        self.register_outputs({"identifier": self.identifier})

    def _create(self, name: str, args: DatabaseArgs) -> None:
        child = pulumi.ResourceOptions(parent=self)
        physical = f"{args.prefix}-{name}"
        place, group_name = place_of(self), f"/aws/rds/instance/{physical}/postgresql"
        key = encryption_key(
            name,
            place=place,
            purpose=f"Storage, backups, password and log of {physical}",
            alias=physical,
            protected=args.protected,
            parent=self,
            statements=[for_logs(place, group_name)],
        )
        group = aws.ec2.SecurityGroup(
            name, description=f"PostgreSQL of {physical}", vpc_id=args.vpc_id, tags={"Name": physical}, opts=child
        )
        # A rule of its own, so that the database comes up beside the cluster instead of after it.
        aws.vpc.SecurityGroupIngressRule(
            name,
            security_group_id=group.id,
            referenced_security_group_id=args.client_security_group_id,
            description="PostgreSQL from the nodes",
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            opts=child,
        )
        subnets = aws.rds.SubnetGroup(name, subnet_ids=list(args.subnet_ids), opts=child)
        parameters = aws.rds.ParameterGroup(
            name,
            family=f"postgres{args.engine_version.partition('.')[0]}",
            parameters=[
                {"name": "rds.force_ssl", "value": "1"},
                {"name": "log_min_duration_statement", "value": "1000"},  # milliseconds
            ],
            opts=child,
        )
        logs = log_group(
            name, group_name=group_name, days=args.log_days, key=key, parent=self, protected=args.protected
        )
        instance = aws.rds.Instance(
            name,
            identifier=physical,
            engine="postgres",
            engine_version=args.engine_version,
            instance_class=args.instance_class,
            allocated_storage=args.storage_gib,
            storage_type="gp3",
            storage_encrypted=True,
            kms_key_id=key.arn,
            db_name=args.database_name,
            username=USER,
            manage_master_user_password=True,
            master_user_secret_kms_key_id=key.key_id,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[group.id],
            parameter_group_name=parameters.name,
            publicly_accessible=False,
            multi_az=args.multi_az,
            backup_retention_period=args.backup_days,
            delete_automated_backups=not args.protected,
            copy_tags_to_snapshot=True,
            auto_minor_version_upgrade=False,  # versions are pinned here as everywhere
            enabled_cloudwatch_logs_exports=["postgresql"],
            # Where data is protected, a change that restarts the database waits for its maintenance window.
            apply_immediately=not args.protected,
            deletion_protection=args.protected,
            skip_final_snapshot=not args.protected,
            # Told apart by the key, which is new whenever the database is: a name that was used before is refused.
            final_snapshot_identifier=_final_snapshot(physical, key) if args.protected else None,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protected, depends_on=[logs]),
        )
        secret_arn = instance.master_user_secrets.apply(_only_secret_arn)
        self.environment = {
            "DATABASE_HOST": instance.address,
            "DATABASE_PORT": pulumi.Output.from_input(str(PORT)),
            "DATABASE_NAME": pulumi.Output.from_input(args.database_name),
            "DATABASE_USER": pulumi.Output.from_input(USER),
            "DATABASE_SECRET_ARN": secret_arn,
        }
        self.secret_arns, self.key_arns, self.ports = [secret_arn], [key.arn], [PORT]
        self.identifier = instance.identifier


def _final_snapshot(physical: str, key: aws.kms.Key) -> pulumi.Output[str]:
    return pulumi.Output.concat(physical, "-final-", key.key_id.apply(lambda identity: identity[:8]))


def _only_secret_arn(secrets: Sequence[aws.rds.outputs.InstanceMasterUserSecret]) -> str:
    return str(secrets[0].secret_arn)
