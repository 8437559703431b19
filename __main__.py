"""A Flask service from commit to Kubernetes on AWS; the stack file describes one environment."""

import pulumi

from components.aws.boundary import set_permissions_boundary
from components.aws.context import aws_provider
from components.cluster import Cluster, ClusterArgs, look_up_versions
from components.database import Database, DatabaseArgs, look_up_engine_version
from components.image import Image, ImageArgs
from components.network import Network, NetworkArgs
from components.observability import Observability, ObservabilityArgs
from components.pipeline import Pipeline, PipelineArgs
from components.service import SharedArgs, further_services, look_up_service_versions
from components.workload import Workload, WorkloadArgs
from settings import load, secrets, service_secrets

settings = load()
prefix, protected = settings.prefix, settings.protected
architecture = settings.architecture

set_permissions_boundary(settings.aws.permissions_boundary)
provider = aws_provider(
    "aws",
    region=settings.aws.region,
    account_ids=settings.aws.account_ids,
    role_arn=settings.aws.role_arn,
    tags=settings.tags,
)
on_aws = pulumi.ResourceOptions(providers=[provider])
invoke = pulumi.InvokeOptions(provider=provider)
# Before the first component: `up --skip-preview` also creates nothing if a version does not exist.
cluster_versions = look_up_versions(
    "cluster",
    settings=settings.cluster,
    architecture=architecture,
    role_arn=settings.aws.role_arn,
    opts=invoke,
)
engine_version = look_up_engine_version("database", settings.database, invoke)
service_versions = look_up_service_versions(settings.services, invoke)
network = Network(
    "network", NetworkArgs(prefix=prefix, protected=protected, settings=settings.network), on_aws
)
cluster = Cluster(
    "cluster",
    ClusterArgs(
        prefix=prefix,
        protected=protected,
        settings=settings.cluster,
        versions=cluster_versions,
        network=network,
        architecture=architecture,
        assume_role_arn=settings.aws.role_arn,
        tags=settings.tags,
    ),
    on_aws,
)
image = Image(
    "image",
    ImageArgs(
        prefix=prefix,
        protected=protected,
        settings=settings.image,
        architecture=architecture,
        build_once=settings.pipeline.infrastructure.enabled,
    ),
    on_aws,
)
database = Database(
    "database",
    DatabaseArgs(
        prefix=prefix,
        protected=protected,
        settings=settings.database,
        engine_version=engine_version,
        network=network,
        client_security_group_id=cluster.security_group_id,
    ),
    on_aws,
)
in_cluster = pulumi.ResourceOptions.merge(
    on_aws, pulumi.ResourceOptions(providers=[cluster.provider])
)
environment = {"APP_ENVIRONMENT": settings.stack, "AWS_REGION": settings.aws.region}
workload = Workload(
    "guestbook",
    WorkloadArgs(
        settings=settings.workload,
        cluster=cluster,
        network=network,
        database=database,
        image=image.reference,
        architecture=architecture,
        environment=environment,
        secrets=secrets(settings),
    ),
    in_cluster,
)
observability = Observability(
    "observability",
    ObservabilityArgs(
        prefix=prefix,
        protected=protected,
        settings=settings.observability,
        cluster_name=cluster.cluster_name,
        database_identifier=database.identifier,
        repository_name=image.repository_name,
        workload=workload,
        budget_tag=f"user:stack${settings.stack}",
    ),
    on_aws,
)
pipeline = Pipeline(
    "pipeline",
    PipelineArgs(
        prefix=prefix,
        stack=settings.stack,
        protected=protected,
        settings=settings.pipeline,
        build=settings.image,
        architecture=architecture,
        image=image,
        network=network,
        cluster=cluster,
        workload=workload,
        observability=observability,
    ),
    on_aws,
)
services = further_services(
    settings.services,
    service_versions,
    SharedArgs(
        prefix=prefix,
        stack=settings.stack,
        build_images_once=settings.pipeline.infrastructure.enabled,
        protected=protected,
        architecture=architecture,
        network=network,
        cluster=cluster,
        observability=observability,
        environment=environment,
    ),
    service_secrets(settings),
    in_cluster,
)

pulumi.export("url", workload.url)
pulumi.export("service_urls", services.urls)
pulumi.export("cluster_name", cluster.cluster_name)
pulumi.export("kubeconfig", cluster.kubeconfig)
pulumi.export("image", image.reference)
pulumi.export("repository_url", image.repository_url)
pulumi.export("pipeline_name", pipeline.pipeline_name)
pulumi.export("pipeline_console_url", pipeline.console_url)
pulumi.export("pipeline_connection", pipeline.connection)
