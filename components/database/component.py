"""PostgreSQL on RDS: private, encrypted, TLS only, with a password that AWS manages."""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from components.aws.context import aws_context
from components.aws.kms import encryption_key
from components.aws.log_groups import encrypt_log_group, is_leftover, log_group
from components.database.args import DatabaseArgs
from components.database.versions import ENGINE

__all__ = ["Database"]

PORT = 5432
USER = "platform"


class Database(pulumi.ComponentResource):
    """PostgreSQL without public address, with a key of its own and TLS for every connection.

    RDS generates and rotates the master password in Secrets Manager; Pulumi never reads it.
    Does not own schema and data: migrations belong to the service.
    `look_up_engine_version` refuses a version that RDS does not offer, before anything is created.
    """

    environment: Mapping[str, pulumi.Output[str]]
    """Variables of a client: DATABASE_HOST, _PORT, _NAME, _USER and _SECRET_ARN; empty if disabled.
    """
    secret_arns: list[pulumi.Output[str]]
    """Secrets that a client must be allowed to read."""
    key_arns: list[pulumi.Output[str]]
    """Keys that encrypt those secrets."""
    ports: list[int]
    """Ports that a client must reach."""
    identifier: pulumi.Output[str] | None
    """Identifier of the RDS instance; None if disabled."""

    def __init__(
        self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("platform:index:Database", name, {}, opts)
        self.environment, self.secret_arns, self.key_arns = {}, [], []
        self.ports, self.identifier = [], None
        if args.settings.enabled:
            self._create(name, args)
        self.register_outputs({"identifier": self.identifier})

    def _create(self, name: str, args: DatabaseArgs) -> None:
        settings, engine_version = args.settings, args.engine_version
        child = pulumi.ResourceOptions(parent=self)
        physical = f"{args.prefix}-{name}"
        context, group_name = aws_context(self), f"/aws/rds/instance/{physical}/postgresql"
        key = encryption_key(
            name,
            context=context,
            purpose=f"Storage, backups, password and log of {physical}",
            alias=physical,
            protected=args.protected,
            parent=self,
            statements=[encrypt_log_group(context, group_name)],
        )
        logs = log_group(
            name,
            group_name=group_name,
            days=settings.log_days,
            key=key,
            parent=self,
            protected=args.protected,
            leftover=is_leftover(group_name, lambda: self._exists(physical), self),
        )
        subnets = aws.rds.SubnetGroup(
            name, subnet_ids=list(args.network.private_subnet_ids), opts=child
        )
        instance = aws.rds.Instance(
            name,
            identifier=physical,
            engine=ENGINE,
            engine_version=engine_version,
            snapshot_identifier=settings.snapshot,
            instance_class=settings.instance_class,
            allocated_storage=settings.storage_gib,
            storage_type="gp3",
            storage_encrypted=True,
            kms_key_id=key.arn,
            db_name=settings.name,
            username=USER,
            manage_master_user_password=True,
            master_user_secret_kms_key_id=key.key_id,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[self._security_group(name, physical, args)],
            parameter_group_name=_parameter_group(name, engine_version, child),
            publicly_accessible=False,
            multi_az=settings.multi_az,
            backup_retention_period=settings.backup_days,
            delete_automated_backups=not args.protected,
            copy_tags_to_snapshot=True,
            auto_minor_version_upgrade=False,  # versions are pinned
            enabled_cloudwatch_logs_exports=["postgresql"],
            # A change that restarts a protected database waits for the maintenance window.
            apply_immediately=not args.protected,
            deletion_protection=args.protected,
            skip_final_snapshot=not args.protected,
            # Snapshot names are unique; the key is new whenever the database is.
            final_snapshot_identifier=_final_snapshot(physical, key) if args.protected else None,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.protected,
                depends_on=[logs],
                # The version that was looked up at creation stays; a pinned one is applied.
                ignore_changes=[] if settings.engine_version else ["engineVersion"],
            ),
        )
        if settings.engine_version is None:
            _report_retired_version(name, instance, newest=engine_version, parent=self)
        secret_arn = instance.master_user_secrets.apply(_only_secret_arn)
        self.environment = {
            "DATABASE_HOST": instance.address,
            "DATABASE_PORT": pulumi.Output.from_input(str(PORT)),
            "DATABASE_NAME": pulumi.Output.from_input(settings.name),
            "DATABASE_USER": pulumi.Output.from_input(USER),
            "DATABASE_SECRET_ARN": secret_arn,
        }
        self.secret_arns, self.key_arns, self.ports = [secret_arn], [key.arn], [PORT]
        self.identifier = instance.identifier

    def _exists(self, identifier: str) -> bool:
        instances = aws.rds.get_instances(
            filters=[{"name": "db-instance-id", "values": [identifier]}],
            opts=pulumi.InvokeOptions(parent=self),
        )
        return identifier in instances.instance_identifiers

    def _security_group(self, name: str, physical: str, args: DatabaseArgs) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        group = aws.ec2.SecurityGroup(
            name,
            description=f"PostgreSQL of {physical}",
            vpc_id=args.network.vpc_id,
            tags={"Name": physical},
            opts=child,
        )
        # A separate rule: the database is created in parallel with the cluster.
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
        return group.id


def _report_retired_version(
    name: str, instance: aws.rds.Instance, *, newest: str, parent: pulumi.Resource
) -> None:
    """Warn if RDS has retired the version that the instance runs since its creation."""
    # The first offered version of the list: the data source fails if it offers none of them.
    offered = aws.rds.get_engine_version_output(
        engine=ENGINE,
        preferred_versions=pulumi.Output.all(instance.engine_version_actual, newest),
        opts=pulumi.InvokeOutputOptions(parent=parent),
    )

    def report(versions: Sequence[str]) -> None:
        running, available = versions
        if running != available:
            pulumi.log.warn(
                f"{name}: RDS no longer offers PostgreSQL {running}, which this stack has stored. "
                "Upgrade it: pulumi config set --path 'platform:database.engine_version' "
                f"{available}",
                parent,
            )

    pulumi.Output.all(instance.engine_version_actual, offered.version_actual).apply(report)


def _parameter_group(
    name: str, engine_version: str, opts: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    group = aws.rds.ParameterGroup(
        name,
        family=f"postgres{engine_version.partition('.')[0]}",
        parameters=[
            {"name": "rds.force_ssl", "value": "1"},
            {"name": "log_min_duration_statement", "value": "1000"},  # milliseconds
        ],
        opts=opts,
    )
    return group.name


def _final_snapshot(physical: str, key: aws.kms.Key) -> pulumi.Output[str]:
    return pulumi.Output.concat(physical, "-final-", key.key_id.apply(lambda key_id: key_id[:8]))


def _only_secret_arn(secrets: Sequence[aws.rds.outputs.InstanceMasterUserSecret]) -> str:
    return str(secrets[0].secret_arn)
