"""A Flask service from commit to Kubernetes on AWS: one environment, as its stack file describes it."""

from pathlib import Path

import pulumi

from components.cluster import AddonVersions, Cluster, ClusterArgs, Nodes
from components.database import Database, DatabaseArgs
from components.image import Image, ImageArgs
from components.network import Network, NetworkArgs
from components.observability import Observability, ObservabilityArgs
from components.pipeline import Pipeline, PipelineArgs, Source
from components.provider import aws_provider
from components.workload import Exposure, Workload, WorkloadArgs
from settings import load, secrets

settings = load()


# Where everything goes: one provider, which knows account and region and tags whatever it makes.
on_aws = pulumi.ResourceOptions(
    providers=[
        aws_provider(
            "aws",
            region=settings.aws.region,
            account_ids=settings.aws.account_ids,
            role_arn=settings.aws.role_arn,
            tags=settings.tags,
        )
    ]
)

network = Network(
    "network",
    NetworkArgs(
        prefix=settings.prefix,
        cidr=settings.network.cidr,
        zones=settings.network.zones,
        nat=settings.network.nat,
        interface_endpoints=settings.network.interface_endpoints,
        flow_log_days=settings.network.flow_log_days,
        protected=settings.protected,
    ),
    on_aws,
)

cluster = Cluster(
    "cluster",
    ClusterArgs(
        prefix=settings.prefix,
        version=settings.cluster.version,
        vpc_id=network.vpc_id,
        vpc_cidr=settings.network.cidr,
        private_subnet_ids=network.private_subnet_ids,
        public_subnet_ids=network.public_subnet_ids,
        egress=network.egress,
        public_endpoint=settings.cluster.endpoint.public,
        allowed_cidrs=settings.cluster.endpoint.allowed_cidrs,
        proxy_url=settings.cluster.endpoint.proxy_url,
        service_cidr=settings.cluster.service_cidr,
        nodes=Nodes(architecture=settings.architecture, **settings.cluster.nodes.model_dump()),
        auto_mode=settings.cluster.auto_mode,
        addons=AddonVersions(**settings.cluster.addons.model_dump()),
        deployers=settings.cluster.deployers,
        break_glass=settings.cluster.break_glass,
        assume_role_arn=settings.aws.role_arn,
        log_days=settings.cluster.log_days,
        protected=settings.protected,
        tags=settings.tags,
    ),
    on_aws,
)

image = Image(
    "image",
    ImageArgs(
        prefix=settings.prefix,
        context=Path(settings.image.context),
        dockerfile=settings.image.dockerfile,
        architecture=settings.architecture,
        build_arguments=settings.image.build_arguments,
        keep_images=settings.image.keep,
        protected=settings.protected,
    ),
    on_aws,
)

database = Database(
    "database",
    DatabaseArgs(
        enabled=settings.database.enabled,
        prefix=settings.prefix,
        database_name=settings.database.name,
        engine_version=settings.database.engine_version,
        instance_class=settings.database.instance_class,
        storage_gib=settings.database.storage_gib,
        multi_az=settings.database.multi_az,
        backup_days=settings.database.backup_days,
        vpc_id=network.vpc_id,
        subnet_ids=network.private_subnet_ids,
        client_security_group_id=cluster.security_group_id,
        log_days=settings.database.log_days,
        protected=settings.protected,
    ),
    on_aws,
)

workload = Workload(
    "guestbook",
    WorkloadArgs(
        namespace=settings.workload.namespace,
        image=image.reference,
        architecture=settings.architecture,
        port=settings.workload.port,
        minimum=settings.workload.minimum,
        maximum=settings.workload.maximum,
        cpu_target_percent=settings.workload.cpu_target_percent,
        cpu_millicores=settings.workload.cpu_millicores,
        memory_mib=settings.workload.memory_mib,
        exposure=Exposure(
            load_balancer_class=cluster.load_balancer_class,
            ingress_controller=cluster.ingress_controller,
            own_cidrs=network.outside_cidrs,
            **settings.workload.exposure.model_dump(),
        ),
        environment={
            "APP_ENVIRONMENT": settings.stack,
            "AWS_REGION": settings.aws.region,
            **settings.workload.environment,
            **database.environment,
        },
        secrets=secrets(settings),
        migration=settings.workload.migration,
        readable_secret_arns=database.secret_arns,
        decrypt_key_arns=database.key_arns,
        network_ports=database.ports,
        vpc_cidr=settings.network.cidr,
        service_cidr=settings.cluster.service_cidr,
        cluster_name=cluster.cluster_name,
        cluster_arn=cluster.cluster_arn,
        control_plane=cluster.control_plane,
        compute=cluster.compute,
    ),
    pulumi.ResourceOptions.merge(on_aws, pulumi.ResourceOptions(providers=[cluster.provider])),
)

observability = Observability(
    "observability",
    ObservabilityArgs(
        prefix=settings.prefix,
        cluster_name=cluster.cluster_name,
        database_identifier=database.identifier,
        contacts=settings.observability.contacts,
        monthly_budget_usd=settings.observability.monthly_budget_usd,
        budget_tag=f"user:stack${settings.stack}",
        protected=settings.protected,
    ),
    on_aws,
)

pipeline = Pipeline(
    "pipeline",
    PipelineArgs(
        prefix=settings.prefix,
        source=Source(**settings.pipeline.source.model_dump()),
        context=settings.image.context,
        base_image=settings.image.base_image,
        architecture=settings.architecture,
        repository_url=image.repository_url,
        repository_name=image.repository_name,
        repository_arn=image.repository_arn,
        cache_url=image.cache_url,
        cache_arn=image.cache_arn,
        promote_from=settings.pipeline.promote_from,
        cluster_name=cluster.cluster_name,
        cluster_arn=cluster.cluster_arn,
        cluster_security_group_id=cluster.security_group_id,
        vpc_id=network.vpc_id,
        subnet_ids=network.private_subnet_ids,
        namespace=workload.namespace,
        deployment=workload.deployment_name,
        url=workload.outside_url,
        topic_arn=observability.topic_arn,
        topic_key_arn=observability.topic_key_arn,
        approval=settings.pipeline.approval,
        execution_mode=settings.pipeline.execution_mode,
        rollback=settings.pipeline.rollback,
        alarm_names=observability.release_alarm_names,
        bake_minutes=settings.pipeline.bake_minutes,
        log_days=settings.pipeline.log_days,
        protected=settings.protected,
    ),
    on_aws,
)

pulumi.export("url", workload.url)
pulumi.export("cluster_name", cluster.cluster_name)
pulumi.export("kubeconfig", cluster.kubeconfig)
pulumi.export("image", image.reference)
pulumi.export("repository_url", image.repository_url)
pulumi.export("pipeline_name", pipeline.pipeline_name)
pulumi.export("pipeline_console_url", pipeline.console_url)
pulumi.export("pipeline_connection", pipeline.connection)
