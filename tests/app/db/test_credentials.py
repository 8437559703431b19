"""Credentials from Secrets Manager: sources, rotation, errors without secrets."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import boto3
import pytest
from moto.server import ThreadedMotoServer

from app.db.credentials import Credentials, CredentialsError
from app.db.engine import Engine
from tests.app.conftest import load_database
from tests.app.postgresql import Postgres

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}
_CREDENTIALS = ("AWS_ACCESS", "AWS_CONTAINER", "AWS_PROFILE", "AWS_ROLE", "AWS_SE", "AWS_WEB")
MISSING = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:nothing-abcdef"


@pytest.fixture(scope="module")
def account() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(account: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A Secrets Manager client; the service's environment has the same account."""
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": account}.items():
        monkeypatch.setenv(name, value)
    return boto3.client("secretsmanager", region_name="eu-west-1")


def create_secret(aws: Any, value: str) -> str:
    name = f"rds!db-{datetime.now(UTC).timestamp()}"
    arn: str = aws.create_secret(Name=name, SecretString=value)["ARN"]
    return arn


def credentials(arn: str) -> Credentials:
    variables = {"DATABASE_HOST": "h", "DATABASE_NAME": "d", "DATABASE_SECRET_ARN": arn}
    return Credentials(load_database(**variables))


def test_secret_is_read_from_the_account(aws: Any) -> None:
    arn = create_secret(aws, json.dumps({"username": "app", "password": "from-the-account"}))
    assert credentials(arn).current() == ("app", "from-the-account")


def test_missing_secret_is_reported_with_awss_code(aws: Any) -> None:
    with pytest.raises(CredentialsError, match="ResourceNotFoundException"):
        credentials(MISSING).current()


@pytest.mark.parametrize("value", ["plain text", "[1]", '{"username": "u"}', '{"password": 5}'])
def test_secret_of_another_form_is_refused_without_its_value(aws: Any, value: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        credentials(create_secret(aws, value)).current()
    assert value not in str(caught.value)


class PodIdentityAgent(BaseHTTPRequestHandler):
    """The credentials endpoint of EKS Pod Identity, which requires the pod's token."""

    tokens: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.tokens.append(self.headers.get("Authorization"))
        self.send_response(200)
        self.end_headers()
        keys = {"AccessKeyId": "ASIA", "SecretAccessKey": "s", "Token": "t"}
        expiration = {"Expiration": "2100-01-01T00:00:00Z"}
        self.wfile.write(json.dumps(keys | expiration).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Do not log."""


def test_credentials_come_from_pod_identity(
    account: str, aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = create_secret(aws, json.dumps({"username": "app", "password": "p"}))
    agent = ThreadingHTTPServer(("127.0.0.1", 0), PodIdentityAgent)
    Thread(target=agent.serve_forever, daemon=True).start()
    for name in KEYS:
        monkeypatch.delenv(name)
    token = tmp_path / "token"
    token.write_text("pod-token")
    url = f"http://127.0.0.1:{agent.server_address[1]}/v1/credentials"
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
    try:
        assert credentials(arn).current() == ("app", "p")
    finally:
        agent.shutdown()
        agent.server_close()
    assert PodIdentityAgent.tokens == ["pod-token"]


def test_missing_aws_credentials_are_reported(
    account: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", account)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for name in [name for name in os.environ if name.startswith(_CREDENTIALS)]:
        monkeypatch.delenv(name)  # CodeBuild has credentials, and runs these tests
    with pytest.raises(CredentialsError, match="NoCredentialsError"):
        credentials(MISSING).current()


def test_rotated_secret_is_used_without_a_restart(
    aws: Any, postgres: Postgres, database: str
) -> None:
    old = {"username": "postgres", "password": "the old password"}
    arn = create_secret(aws, json.dumps(old))
    settings = load_database(
        DATABASE_HOST="127.0.0.1",
        DATABASE_PORT=str(postgres.port),
        DATABASE_NAME=postgres.name_in(database),
        DATABASE_SECRET_ARN=arn,
        DATABASE_SSLMODE="disable",
    )
    engine = Engine(settings, pool_size=1)
    assert engine._credentials.current() == ("postgres", "the old password")  # cached
    new = {"username": "postgres", "password": postgres.password}
    aws.put_secret_value(SecretId=arn, SecretString=json.dumps(new))
    engine.check()
    engine.engine.dispose()
