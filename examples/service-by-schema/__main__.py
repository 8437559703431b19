"""A service on a cluster and a database, of components known by token and property names only."""

from typing import Any

import pulumi
import pulumi_aws as aws

ZONES = 2
VPC_CIDR, SERVICE_CIDR = "10.60.0.0/16", "172.20.0.0/16"
IMAGE = f"public.ecr.aws/docker/library/python@sha256:{'a' * 64}"


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
        "image": IMAGE,
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
pulumi.export("url", workload.output("url"))
pulumi.export("database", database.output("identifier"))
