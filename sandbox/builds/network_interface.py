"""The network interface of a build in a VPC; its processes use this machine's network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from sandbox.builds.aws_session import AwsSession
from sandbox.builds.errors import PhaseError


class NetworkInterface:
    """Creates and deletes the interface under the service role, as CodeBuild does.

    Source: CodeBuild User Guide, "Allow CodeBuild access to AWS services required to create a VPC
    network interface".
    """

    def __init__(self, session: AwsSession, vpc: Mapping[str, Any]) -> None:
        self._ec2, self._vpc = session.client("ec2"), vpc
        self._id = ""

    def create(self) -> dict[str, str]:
        """Create it; return `networkInterface` of the build. Raises PhaseError."""
        subnet = self._vpc["subnets"][0]
        groups = list(self._vpc["securityGroupIds"])
        try:
            self._ec2.describe_vpcs(VpcIds=[self._vpc["vpcId"]])
            self._ec2.describe_subnets(SubnetIds=[subnet])
            self._ec2.describe_security_groups(GroupIds=groups)
            self._ec2.describe_dhcp_options()
            response = self._ec2.create_network_interface(
                SubnetId=subnet, Groups=groups, Description="AWS CodeBuild network interface"
            )
            self._id = response["NetworkInterface"]["NetworkInterfaceId"]
            self._ec2.create_network_interface_permission(
                NetworkInterfaceId=self._id,
                AwsService="codebuild.amazonaws.com",
                Permission="INSTANCE-ATTACH",
            )
            self._ec2.describe_network_interfaces(NetworkInterfaceIds=[self._id])
        except ClientError as error:
            self.delete()
            raise PhaseError(
                "VPC_CLIENT_ERROR", f"Unexpected EC2 error: {error.response['Error']['Message']}"
            ) from None
        return {"subnetId": subnet, "networkInterfaceId": self._id}

    def delete(self) -> None:
        """Delete it; one that does not exist is no error."""
        if not self._id:
            return
        try:
            self._ec2.delete_network_interface(NetworkInterfaceId=self._id)
        except ClientError:
            return
        finally:
            self._id = ""
