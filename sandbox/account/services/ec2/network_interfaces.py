"""Permissions of AWS services on network interfaces, which moto lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.account.core.determinism import random_hex
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import implements

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call


@implements("ec2", "CreateNetworkInterfacePermission")
def create_permission(context: RequestContext, call: Call) -> dict[str, Any]:
    """Grant a permission on an existing interface."""
    id = call["NetworkInterfaceId"]
    if id not in context.backend("ec2", call.region).enis:
        raise AwsError(
            "InvalidNetworkInterfaceID.NotFound", f"The network interface '{id}' does not exist"
        )
    return {
        "InterfacePermission": {
            "NetworkInterfacePermissionId": f"eni-perm-{random_hex(17)}",
            "NetworkInterfaceId": id,
            **{name: call[name] for name in ("AwsAccountId", "AwsService") if call.get(name)},
            "Permission": call["Permission"],
            "PermissionState": {"State": "granted"},
        }
    }
