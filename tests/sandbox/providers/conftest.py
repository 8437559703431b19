"""An emulated account, and the AWS provider served over gRPC before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from sandbox.account import Account
from tests.sandbox.providers.engine_client import Client, Served


@pytest.fixture(scope="package")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The account's address; boto3 finds it by its own variables, as the providers do."""
    directory: Path = tmp_path_factory.mktemp("account")
    account = Account(directory, time_scale=0.0)
    url = account.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield url
    account.stop()


@pytest.fixture(scope="package")
def served_aws(account: str) -> Iterator[Served]:
    from sandbox.providers.aws import provider

    with Served({"aws": provider()}) as served:
        yield served


@pytest.fixture
def aws(served_aws: Served) -> Client:
    """The AWS provider as a fresh connection has configured it: us-east-1, no default tags."""
    return served_aws.attach("aws", {"region": "us-east-1"})


@pytest.fixture
def witness(account: str) -> Any:
    """boto3 clients that see the account without the provider."""
    return lambda service, region="us-east-1": boto3.client(service, region_name=region)


@pytest.fixture(scope="package")
def owned(served_aws: Served) -> Client:
    """The AWS provider with a default tag, on one connection for a whole module's resources."""
    return served_aws.attach("aws", {"region": "us-east-1", "defaultTags": '{"tags": {"Owner": "us"}}'})


@pytest.fixture(scope="package")
def boto(account: str) -> Any:
    """`witness` for fixtures that outlive a test."""
    return lambda service: boto3.client(service, region_name="us-east-1")
