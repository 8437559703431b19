"""An account per test, its boto3 clients, and common objects."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.account import Account

TRUST = "arn:aws:iam::123456789012:role/"


class World:
    """A running account."""

    def __init__(self, account: Account, url: str) -> None:
        self.account = account
        self.url = url
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """Return a boto3 client without retries."""
        if (service, region) not in self._clients:
            self._clients[service, region] = boto3.client(
                service,
                region_name=region,
                endpoint_url=self.url,
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=Config(retries={"max_attempts": 0}),
            )
        return self._clients[service, region]

    def admin(self, method: str, path: str, content: Any = None) -> Any:
        """Call /_sandbox/."""
        body = json.dumps(content).encode() if content is not None else None
        request = urllib.request.Request(f"{self.url}/_sandbox/{path}", data=body, method=method)
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def alive(self) -> set[str]:
        """Return "service/type/id" of every live object."""
        return {
            f"{i['service']}/{i['type']}/{i['id']}" for i in self.admin("GET", "inventory")["items"]
        }

    def role(self, name: str, service: str) -> str:
        """Create a role for a service; return its ARN."""
        principal = {"Service": f"{service}.amazonaws.com"}
        statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        return str(
            self.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)[
                "Role"
            ]["Arn"]
        )

    def network(self) -> tuple[str, list[str]]:
        """Create a VPC with subnets in two zones."""
        ec2 = self.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        zones = enumerate(("us-east-1a", "us-east-1b"))
        created = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{i}.0/24", AvailabilityZone=z)
            for i, z in zones
        ]
        return str(vpc), [subnet["Subnet"]["SubnetId"] for subnet in created]

    def cluster(self, name: str = "main", **changes: Any) -> dict[str, Any]:
        """Create an EKS cluster with network and roles."""
        _, subnets = self.network()
        arn = self.role(f"{name}-cluster", "eks")
        self.role(f"{name}-node", "ec2")
        expected: dict[str, Any] = {
            "name": name,
            "roleArn": arn,
            "resourcesVpcConfig": {"subnetIds": subnets},
            "accessConfig": {
                "authenticationMode": "API",
                "bootstrapClusterCreatorAdminPermissions": False,
            },
        }
        self.client("eks").create_cluster(**{**expected, **changes})
        result: dict[str, Any] = self.client("eks").describe_cluster(name=name)["cluster"]
        return result


@contextmanager
def refused(code: str, saying: str = "") -> Iterator[None]:
    """Expect AWS's error code, and text in its message."""
    with pytest.raises(ClientError) as caught:
        yield
    assert caught.value.response["Error"]["Code"] == code, str(caught.value)
    assert saying in caught.value.response["Error"]["Message"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Start or restart an account in the test's directory."""
    running: list[Account] = []

    def begin(**options: Any) -> World:
        while running:
            running.pop().stop()
        account = Account(tmp_path / "account", **{"time_scale": 0.0, **options})
        running.append(account)
        return World(account, account.start())

    yield begin
    while running:
        running.pop().stop()


@pytest.fixture
def world(start: Callable[..., World]) -> World:
    """An account without provisioning times."""
    return start()
