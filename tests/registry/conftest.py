"""A registry behind moto's ECR, spoken to by boto3 on one side and plain HTTP on the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.ecr.models import ecr_backends
from moto.server import ThreadedMotoServer

from tests.registry.client import ACCOUNT, Client, Running, credentials, ecr_client


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def ecr(aws_endpoint: str) -> Any:
    for backend in ecr_backends[ACCOUNT].values():
        backend.reset()
    return ecr_client(aws_endpoint)


@pytest.fixture
def running(tmp_path: Path, ecr: Any) -> Iterator[Running]:
    found = Running(tmp_path / "registry")
    found.start()
    yield found
    found.stop()


@pytest.fixture
def client(running: Running, ecr: Any) -> Client:
    return Client(running.host, credentials(ecr))
