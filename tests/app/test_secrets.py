"""The password from AWS Secrets Manager: signed as botocore signs, read from an emulated account, never shown."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from app.config import load
from app.passwords import Passwords, PasswordUnavailableError
from app.secrets_manager import Credentials, SecretUnavailableError, credentials, read_secret, sign
from tests.app.postgresql import Postgres

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}


@pytest.fixture(scope="module")
def account() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def store_secret(account: str, value: str) -> str:
    manager = boto3.client(
        "secretsmanager", endpoint_url=account, region_name="eu-west-1",
        aws_access_key_id="a", aws_secret_access_key="b",
    )  # fmt: skip
    arn: str = manager.create_secret(Name=f"rds!db-{datetime.now(UTC).timestamp()}", SecretString=value)["ARN"]
    return arn


@given(body=st.binary(max_size=200), token=st.none() | st.text("abcXYZ/+=", min_size=1), region=st.sampled_from(["us-east-1", "eu-central-2"]))  # fmt: skip
def test_signatures_are_botocores(body: bytes, token: str | None, region: str) -> None:
    endpoint = f"https://secretsmanager.{region}.amazonaws.com"
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.GetSecretValue"}
    request = AWSRequest("POST", endpoint + "/", data=body, headers=dict(headers))
    SigV4Auth(BotocoreCredentials("AKIDEXAMPLE", "not-a-secret", token), "secretsmanager", region).add_auth(request)
    now = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    ours = sign(Credentials("AKIDEXAMPLE", "not-a-secret", token), region, endpoint, headers, body, now)
    assert ours["Authorization"] == request.headers["Authorization"]


def test_a_secret_is_read_from_the_account(account: str) -> None:
    arn = store_secret(account, json.dumps({"username": "app", "password": "from-the-account"}))
    assert read_secret(arn, {**KEYS, "AWS_ENDPOINT_URL": account})["password"] == "from-the-account"


def test_a_missing_secret_is_named_with_the_accounts_own_error(account: str) -> None:
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:nothing-abcdef"
    with pytest.raises(SecretUnavailableError, match="ResourceNotFoundException"):
        read_secret(arn, {**KEYS, "AWS_ENDPOINT_URL": account})


@pytest.mark.parametrize("value", ["plain text", "[1]", '{"username": "u"}', '{"password": 5}'])
def test_a_secret_of_another_shape_is_refused_without_being_shown(
    account: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, setting in {**KEYS, "AWS_ENDPOINT_URL": account}.items():
        monkeypatch.setenv(name, setting)
    arn = store_secret(account, value)
    with pytest.raises(PasswordUnavailableError) as caught:
        passwords(arn).current()
    assert value not in str(caught.value)


class PodIdentity(BaseHTTPRequestHandler):
    """The credentials endpoint of EKS Pod Identity, which wants the pod's token."""

    expected: ClassVar[str] = "pod-token"

    def do_GET(self) -> None:
        right = self.headers.get("Authorization") == self.expected
        self.send_response(200 if right else 403)
        self.end_headers()
        keys = {"AccessKeyId": "ASIA", "SecretAccessKey": "s", "Token": "t", "Expiration": "2100-01-01T00:00:00Z"}
        self.wfile.write(json.dumps(keys if right else {"message": "no"}).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def pod_identity() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), PodIdentity)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1/credentials"
    server.shutdown()
    server.server_close()


def test_credentials_come_from_pod_identity_with_the_pods_renewed_token(pod_identity: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    environ = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": pod_identity, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(file)}
    file.write_text("expired")
    with pytest.raises(SecretUnavailableError, match="answered 403"):
        credentials(environ)
    file.write_text("pod-token\n")
    assert credentials(environ) == Credentials("ASIA", "s", "t")


def test_credentials_are_never_asked_for_over_plain_http_elsewhere() -> None:
    with pytest.raises(SecretUnavailableError, match=r"names evil\.example without TLS"):
        credentials({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.example/v1"})


def test_without_credentials_the_message_says_where_they_were_looked_for() -> None:
    with pytest.raises(SecretUnavailableError, match="AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        credentials({})


def passwords(arn: str) -> Passwords:
    config = load({"DATABASE_HOST": "h", "DATABASE_NAME": "d", "DATABASE_SECRET_ARN": arn})
    assert config.database is not None
    return Passwords(config.database)


def test_a_rotated_secret_is_followed_without_a_restart(
    account: str, postgres: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.database import Store

    for name, setting in {**KEYS, "AWS_ENDPOINT_URL": account}.items():
        monkeypatch.setenv(name, setting)
    arn = store_secret(account, json.dumps({"username": "postgres", "password": "the old password"}))
    config = load(
        {
            "DATABASE_HOST": "127.0.0.1",
            "DATABASE_PORT": str(postgres.port),
            "DATABASE_NAME": postgres.name_in(database),
            "DATABASE_SECRET_ARN": arn,
            "DATABASE_SSLMODE": "disable",
        }
    )
    assert config.database is not None
    store = Store(config.database, pool_size=1)
    # What is cached is the old password, as if the rotation had just happened.
    assert store._passwords.current() == ("postgres", "the old password")
    manager = boto3.client("secretsmanager", endpoint_url=account, region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")  # fmt: skip
    manager.put_secret_value(
        SecretId=arn, SecretString=json.dumps({"username": "postgres", "password": postgres.password})
    )
    store.check()
    store.engine.dispose()
