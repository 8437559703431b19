"""A registry behind moto's ECR, with clients for both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.registry.client import Client, Running, credentials, emptied_ecr, emulated_ecr


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    with emulated_ecr() as endpoint:
        yield endpoint


@pytest.fixture
def ecr(aws_endpoint: str) -> Any:
    return emptied_ecr(aws_endpoint)


@pytest.fixture
def running(tmp_path: Path, ecr: Any) -> Iterator[Running]:
    registry = Running(tmp_path / "registry")
    registry.start()
    yield registry
    registry.stop()


@pytest.fixture
def client(running: Running, ecr: Any) -> Client:
    return Client(running.host, credentials(ecr))
