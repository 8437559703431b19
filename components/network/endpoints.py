"""VPC endpoints: private access to AWS services."""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from components.aws.context import aws_context


def gateway_endpoint(
    name: str,
    service: str,
    vpc_id: pulumi.Input[str],
    route_table_ids: Sequence[pulumi.Input[str]],
    parent: pulumi.Resource,
) -> aws.ec2.VpcEndpoint:
    """Create a gateway endpoint: free, while NAT is billed per gigabyte (ECR layers are in S3)."""
    region = aws_context(parent).region
    return aws.ec2.VpcEndpoint(
        f"{name}-{service}",
        vpc_id=vpc_id,
        service_name=pulumi.Output.concat("com.amazonaws.", region, f".{service}"),
        vpc_endpoint_type="Gateway",
        route_table_ids=list(route_table_ids),
        opts=pulumi.ResourceOptions(parent=parent),
    )


def interface_endpoints(
    name: str,
    services: Sequence[str],
    vpc: aws.ec2.Vpc,
    subnet_ids: Sequence[pulumi.Input[str]],
    parent: pulumi.Resource,
) -> list[aws.ec2.VpcEndpoint]:
    """Create interface endpoints, reachable from the VPC on 443.

    Billed per hour, zone and gigabyte.
    """
    if not services:
        return []
    child = pulumi.ResourceOptions(parent=parent)
    group = aws.ec2.SecurityGroup(
        f"{name}-endpoints",
        description="HTTPS from the VPC to interface endpoints of AWS services",
        vpc_id=vpc.id,
        opts=child,
    )
    aws.vpc.SecurityGroupIngressRule(
        f"{name}-endpoints",
        security_group_id=group.id,
        description="HTTPS from the VPC",
        cidr_ipv4=vpc.cidr_block,
        ip_protocol="tcp",
        from_port=443,
        to_port=443,
        opts=child,
    )
    region = aws_context(parent).region
    return [
        aws.ec2.VpcEndpoint(
            f"{name}-{service}",
            vpc_id=vpc.id,
            service_name=pulumi.Output.concat("com.amazonaws.", region, f".{service}"),
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=list(subnet_ids),
            security_group_ids=[group.id],
            opts=child,
        )
        for service in services
    ]
