"""Describes an existing VPC for `new --from-vpc`."""

from __future__ import annotations

from typing import Any

from sandbox.runtime.background import CREDENTIALS, ensure_running
from sandbox.runtime.home import Home


class NoVpcError(Exception):
    """The VPC cannot be described; the message says why."""


def describe_vpc(vpc_id: str, region: str | None, *, on_aws: bool) -> dict[str, Any]:
    """Return the VPC and what belongs to it, from the sandbox or with the caller's credentials."""
    import boto3  # noqa: PLC0415 - slow; only for this option
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    arguments: dict[str, Any] = {"region_name": region}
    if not on_aws:
        arguments |= {
            "region_name": region or "us-east-1",
            "endpoint_url": ensure_running(Home.of_project()).account,
            "aws_access_key_id": CREDENTIALS["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        }
    try:
        ec2 = boto3.client("ec2", **arguments)
        (vpc,) = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"]
        of_vpc = [{"Name": "vpc-id", "Values": [vpc_id]}]
        logs = ec2.describe_flow_logs(Filters=[{"Name": "resource-id", "Values": [vpc_id]}])
        gateways = ec2.describe_nat_gateways(Filters=of_vpc)["NatGateways"]
        return {
            "region": ec2.meta.region_name,
            "vpc": vpc,
            "subnets": ec2.describe_subnets(Filters=of_vpc)["Subnets"],
            "nat_gateways": [
                item for item in gateways if item["State"] in ("pending", "available")
            ],
            "endpoints": ec2.describe_vpc_endpoints(Filters=of_vpc)["VpcEndpoints"],
            "peerings": [
                peering
                for side in ("requester-vpc-info.vpc-id", "accepter-vpc-info.vpc-id")
                for peering in ec2.describe_vpc_peering_connections(
                    Filters=[{"Name": side, "Values": [vpc_id]}]
                )["VpcPeeringConnections"]
            ],
            "route_tables": ec2.describe_route_tables(Filters=of_vpc)["RouteTables"],
            "network_acls": ec2.describe_network_acls(Filters=of_vpc)["NetworkAcls"],
            "security_groups": ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"],
            "flow_log_days": _retention(boto3.client("logs", **arguments), logs["FlowLogs"]),
        }
    except (BotoCoreError, ClientError) as error:
        where = "your account" if on_aws else "the sandbox (--aws reads your account)"
        raise NoVpcError(f"{vpc_id} cannot be read in {where}: {error}") from error


def _retention(logs: Any, flow_logs: list[dict[str, Any]]) -> int | None:
    """Return the retention of the first flow log in CloudWatch, in days."""
    for name in (item["LogGroupName"] for item in flow_logs if item.get("LogGroupName")):
        for group in logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]:
            if group["logGroupName"] == name:
                days: int | None = group.get("retentionInDays")
                return days
    return None
