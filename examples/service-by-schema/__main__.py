"""A service from commit to cluster, of components known by token and property names only."""

from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws

ZONES = 2
VPC_CIDR, SERVICE_CIDR = "10.60.0.0/16", "172.20.0.0/16"
CONTEXT = str(Path(__file__).parents[1] / "echo")
BUILDKIT = f"public.ecr.aws/example/buildkit@sha256:{'a' * 64}"
SBOM_GENERATOR = f"public.ecr.aws/example/sbom@sha256:{'b' * 64}"


class Remote(pulumi.ComponentResource):
    """What `pulumi package add` generates for a language; `outputs` are the schema's names."""

    def __init__(
        self,
        kind: str,
        name: str,
        properties: dict[str, Any],
        outputs: list[str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        values = {**dict.fromkeys(outputs), **properties}
        super().__init__(f"platform:index:{kind}", name, values, opts, remote=True)

    def output(self, name: str) -> pulumi.Output[Any]:
        """Return an output by its name."""
        value: pulumi.Output[Any] = getattr(self, name)
        return value


provider = aws.Provider("aws", region="us-east-1")
on_aws = pulumi.ResourceOptions(providers=[provider])
prefix = f"schema-{pulumi.get_stack()}"

network = Remote(
    "Network",
    "network",
    {"prefix": prefix, "cidr": VPC_CIDR, "zones": ZONES, "nat": "single", "flowLogDays": 7},
    ["vpcId", "privateSubnetIds", "publicSubnetIds"],
    on_aws,
)
cluster = Remote(
    "Cluster",
    "cluster",
    {
        "prefix": prefix,
        "vpcId": network.output("vpcId"),
        "vpcCidr": VPC_CIDR,
        "privateSubnetIds": network.output("privateSubnetIds"),
        "publicSubnetIds": network.output("publicSubnetIds"),
        "zones": ZONES,
        "version": "1.35",
        "serviceCidr": SERVICE_CIDR,
        "logDays": 7,
    },
    ["clusterName", "clusterArn", "kubeconfig", "securityGroupId"],
    pulumi.ResourceOptions.merge(on_aws, pulumi.ResourceOptions(depends_on=[network])),
)
database = Remote(
    "Database",
    "database",
    {
        "prefix": prefix,
        "vpcId": network.output("vpcId"),
        "privateSubnetIds": network.output("privateSubnetIds"),
        "zones": ZONES,
        "clientSecurityGroupId": cluster.output("securityGroupId"),
        "databaseName": "service",
        "instanceClass": "db.t4g.micro",
        "storageGib": 20,
        "logDays": 7,
    },
    ["environment", "keyArn", "identifier"],
    on_aws,
)
image = Remote(
    "Image",
    "image",
    {"prefix": prefix, "context": CONTEXT, "keep": 10},
    ["reference", "repositories"],
    on_aws,
)
workload = Remote(
    "Workload",
    "service",
    {
        "kubeconfig": cluster.output("kubeconfig"),
        "clusterName": cluster.output("clusterName"),
        "clusterArn": cluster.output("clusterArn"),
        "serviceCidr": SERVICE_CIDR,
        "vpcCidr": VPC_CIDR,
        "autoMode": True,
        "image": image.output("reference"),
        "namespace": "service",
        "minimum": 1,
        "maximum": 2,
        "cpuMillicores": 100,
        "memoryMib": 128,
        "databaseEnvironment": database.output("environment"),
        "databaseKeyArn": database.output("keyArn"),
    },
    ["url"],
    pulumi.ResourceOptions.merge(on_aws, pulumi.ResourceOptions(depends_on=[cluster])),
)
observability = Remote(
    "Observability",
    "observability",
    {
        "prefix": prefix,
        "clusterName": cluster.output("clusterName"),
        "databaseIdentifier": database.output("identifier"),
        "repositoryName": image.output("repositories")["repository_name"],
        "monthlyBudgetUsd": 100,
        "budgetTag": f"user:Stack${prefix}",
    },
    ["topicArn", "topicKeyArn", "releaseAlarmNames"],
    pulumi.ResourceOptions.merge(on_aws, pulumi.ResourceOptions(depends_on=[workload])),
)
pipeline = Remote(
    "Pipeline",
    "pipeline",
    {
        "prefix": prefix,
        "repository": "example/service",
        "branch": "main",
        "context": "app",
        "buildkitImage": BUILDKIT,
        "sbomGenerator": SBOM_GENERATOR,
        "scan": "critical",
        "logDays": 7,
        "repositories": image.output("repositories"),
        "vpcId": network.output("vpcId"),
        "privateSubnetIds": network.output("privateSubnetIds"),
        "zones": ZONES,
        "clusterName": cluster.output("clusterName"),
        "clusterArn": cluster.output("clusterArn"),
        "clusterSecurityGroupId": cluster.output("securityGroupId"),
        "namespace": "service",
        "deployment": "service",
        "topicArn": observability.output("topicArn"),
        "topicKeyArn": observability.output("topicKeyArn"),
        "releaseAlarmNames": observability.output("releaseAlarmNames"),
        "releaseAlarms": 4,
    },
    ["pipelineName", "consoleUrl"],
    pulumi.ResourceOptions.merge(on_aws, pulumi.ResourceOptions(depends_on=[workload])),
)
pulumi.export("pipeline", pipeline.output("pipelineName"))
pulumi.export("url", workload.output("url"))
pulumi.export("database", database.output("identifier"))
