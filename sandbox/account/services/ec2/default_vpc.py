"""CreateDefaultVpc: what the default VPC of AWS has and moto's lacks.

Source: docs.aws.amazon.com/vpc/latest/userguide/default-vpc-components.html. An account of the
sandbox has none until it is asked for: an AWS account may have deleted its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.account.core.operations import amends

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call


@amends("ec2", "CreateDefaultVpc")
def connect_to_internet(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Add the internet gateway and the default route."""
    ec2, vpc_id = context.backend("ec2", call.region), result["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()
    ec2.attach_internet_gateway(gateway.id, vpc_id)
    table = next(table for table in ec2.route_tables.values() if table.vpc_id == vpc_id)
    ec2.create_route(table.id, "0.0.0.0/0", gateway_id=gateway.id)
