"""A remote component, known by token and property names only; imports no class of the package."""

import pulumi
import pulumi_aws as aws


class Network(pulumi.ComponentResource):
    """What `pulumi package add` generates for a language."""

    vpcId: pulumi.Output[str]  # noqa: N815 - the schema's name
    privateSubnetIds: pulumi.Output[list[str]]  # noqa: N815 - the schema's name

    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        properties = {
            "prefix": f"schema-{pulumi.get_stack()}",
            "cidr": "10.50.0.0/16",
            "zones": 2,
            "nat": "none",
            "flowLogDays": 7,
            "vpcId": None,
            "privateSubnetIds": None,
        }
        super().__init__("platform:index:Network", name, properties, opts, remote=True)


provider = aws.Provider("aws", region="us-east-1")
network = Network("network", pulumi.ResourceOptions(providers=[provider]))
pulumi.export("vpc_id", network.vpcId)
pulumi.export("private_subnet_ids", network.privateSubnetIds)
