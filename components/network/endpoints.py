"""VPC endpoints: private access to AWS services, for principals of this account.

Without a policy of its own, an endpoint also serves the credentials of other accounts. Source:
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_data-perimeters.html and
https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html.
"""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from components.aws.context import AwsContext, aws_context
from components.aws.iam import Statement, document


def gateway_endpoint(
    name: str,
    service: str,
    vpc_id: pulumi.Input[str],
    route_table_ids: Sequence[pulumi.Input[str]],
    parent: pulumi.Resource,
) -> aws.ec2.VpcEndpoint:
    """Create a gateway endpoint: free, while NAT is billed per gigabyte (ECR layers are in S3)."""
    context = aws_context(parent)
    return aws.ec2.VpcEndpoint(
        f"{name}-{service}",
        vpc_id=vpc_id,
        service_name=pulumi.Output.concat("com.amazonaws.", context.region, f".{service}"),
        vpc_endpoint_type="Gateway",
        policy=document(_own_principals(context), _buckets_of_aws(context)),
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
    context = aws_context(parent)
    return [
        aws.ec2.VpcEndpoint(
            f"{name}-{service}",
            vpc_id=vpc.id,
            service_name=pulumi.Output.concat("com.amazonaws.", context.region, f".{service}"),
            vpc_endpoint_type="Interface",
            policy=document(
                _own_principals(context), *([_federation(context)] if service == "sts" else [])
            ),
            private_dns_enabled=True,
            subnet_ids=list(subnet_ids),
            security_group_ids=[group.id],
            opts=child,
        )
        for service in services
    ]


def _own_principals(context: AwsContext) -> Statement:
    return {
        "Sid": "AllowPrincipalsOfThisAccount",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "*",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:PrincipalAccount": context.account_id}},
    }


def _buckets_of_aws(context: AwsContext) -> Statement:
    """Layers of ECR's images and packages of Amazon Linux, which AWS signs or serves to anyone."""
    bucket = pulumi.Output.concat("arn:", context.partition, ":s3:::")
    return {
        "Sid": "ReadImageLayersAndPackages",
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject"],
        "Resource": [
            pulumi.Output.concat(bucket, "prod-", context.region, "-starport-layer-bucket/*"),
            pulumi.Output.concat(bucket, "al2023-repos-", context.region, "-de612dc2/*"),
        ],
    }


def _federation(context: AwsContext) -> Statement:
    """Let workloads without AWS credentials assume roles of this account."""
    roles = pulumi.Output.concat("arn:", context.partition, ":iam::", context.account_id, ":role/*")
    return {
        "Sid": "AssumeRolesWithWebIdentity",
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["sts:AssumeRoleWithWebIdentity"],
        "Resource": [roles],
    }
