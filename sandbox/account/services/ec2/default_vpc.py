"""The default VPC: requests that need it, and what AWS's has and moto's lacks.

Source: docs.aws.amazon.com/vpc/latest/userguide/default-vpc-components.html. An account of the
sandbox has none until it is asked for: an AWS account may have deleted its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import amends, checks

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call


@checks("ec2", "CreateSecurityGroup")
def require_vpc(context: RequestContext, call: Call) -> None:
    """Refuse a security group without a VPC where the account has no default VPC.

    moto would put it into a VPC that does not exist. Source of the error:
    docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    vpcs = context.backend("ec2", call.region).vpcs.values()
    if not call.get("VpcId") and not any(vpc.is_default for vpc in vpcs):
        raise AwsError(
            "VPCIdNotSpecified",
            "No default VPC for this user (Sandbox: aws ec2 create-default-vpc)",
        )


@amends("ec2", "CreateDefaultVpc")
def connect_to_internet(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Add the internet gateway and the default route, and make it the VPC of new groups."""
    ec2, vpc_id = context.backend("ec2", call.region), result["Vpc"]["VpcId"]
    ec2.default_vpc = ec2.vpcs[vpc_id]
    gateway = ec2.create_internet_gateway()
    ec2.attach_internet_gateway(gateway.id, vpc_id)
    table = next(table for table in ec2.route_tables.values() if table.vpc_id == vpc_id)
    ec2.create_route(table.id, "0.0.0.0/0", gateway_id=gateway.id)
