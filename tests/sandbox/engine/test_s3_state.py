"""State in an S3 bucket and secrets of a KMS key, shared with the Pulumi CLI."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from sandbox.account import Account
from sandbox.engine import EngineError, UsageError
from sandbox.engine.state.backend import open_backend
from sandbox.engine.state.kms_secrets import KmsSecrets
from tests.pulumi import cli_path, needs_cli
from tests.sandbox.engine.recording_provider import Kit, serving
from tests.sandbox.engine.workspace import Workspace

BUCKET = "state"
BACKEND = f"s3://{BUCKET}?region=us-east-1"
SECRETS = "awskms://alias/pulumi?region=us-east-1"
PROGRAM = """
password = pulumi.Config().get_secret("password")
first = Thing("first", password=password)
pulumi.export("token", first.token)
pulumi.export("password", password)
"""


@pytest.fixture(scope="module", autouse=True)
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    account = Account(tmp_path_factory.mktemp("account"), time_scale=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", account.start())
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        kms = boto3.client("kms")
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName="alias/pulumi", TargetKeyId=key)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield
    account.stop()


class RemoteWorkspace(Workspace):
    """A project whose state is in the bucket."""

    @property
    def environment(self) -> dict[str, str]:
        variables = super().environment | {
            "PULUMI_BACKEND_URL": BACKEND,
            "PULUMI_HOME": str(self.backend / "home"),
        }
        del variables["PULUMI_CONFIG_PASSPHRASE"]
        return variables

    def cli(self, *arguments: str) -> str:
        command = [cli_path(), *arguments, "--cwd", str(self.folder), "--non-interactive"]
        ran = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout


@pytest.fixture
def remote(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RemoteWorkspace]:
    with serving(Kit()) as port:
        workspace = RemoteWorkspace(tmp_path, port, project=request.node.name[-20:])
        workspace.yaml("Pulumi.dev.yaml", f"secretsprovider: {SECRETS}\nconfig: {{}}\n")
        workspace.program(PROGRAM)
        yield workspace


def test_secrets_are_encrypted_in_the_bucket(remote: RemoteWorkspace) -> None:
    assert remote.changes("up", "-c", f"{remote.project}:password=swordfish") == {"create": 2}
    key = f".pulumi/stacks/{remote.project}/dev.json"
    text = boto3.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()
    provider = json.loads(text)["checkpoint"]["latest"]["secrets_providers"]
    assert provider["type"] == "cloud"
    assert provider["state"]["url"] == SECRETS
    assert "token-" not in text.replace("ciphertext", "")


@needs_cli
def test_pulumi_cli_reads_what_the_engine_wrote(remote: RemoteWorkspace) -> None:
    remote.changes("up")
    document = json.loads(remote.cli("stack", "export", "--stack", "dev", "--show-secrets"))
    resources = {item["type"]: item for item in document["deployment"]["resources"]}
    token = resources["pulumi:pulumi:Stack"]["outputs"]["token"]
    assert json.loads(token["plaintext"])
    remote.cli("preview", "--stack", "dev", "--expect-no-changes")


@needs_cli
def test_engine_reads_what_the_pulumi_cli_wrote(remote: RemoteWorkspace) -> None:
    (remote.folder / "Pulumi.dev.yaml").unlink()
    remote.cli("stack", "init", "dev", "--secrets-provider", SECRETS)
    remote.cli("config", "set", "--secret", "password", "swordfish", "--stack", "dev")
    remote.cli("up", "--stack", "dev", "--yes", "--skip-preview")
    assert remote.changes("preview", "--expect-no-changes") == {}
    assert remote.changes("up", "-c", f"{remote.project}:password=other") == {"update": 1}
    assert remote.cli("stack", "output", "password", "--show-secrets").strip() == "other"


def test_locked_stack_names_the_object(remote: RemoteWorkspace) -> None:
    backend = open_backend(BACKEND)
    key = f".pulumi/locks/organization/{remote.project}/dev/other.json"
    holder = {"pid": 1, "username": "ann", "hostname": "elsewhere", "timestamp": "today"}
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=json.dumps(holder))
    with (
        pytest.raises(EngineError, match=f"locked by ann@elsewhere.*delete s3://{BUCKET}/{key}"),
        backend.lock(remote.project, "dev"),
    ):
        pass
    boto3.client("s3").delete_object(Bucket=BUCKET, Key=key)
    with backend.lock(remote.project, "dev"):
        pass


def test_missing_bucket_is_refused() -> None:
    with pytest.raises(EngineError, match=r"s3://absent cannot be opened: .*404"):
        open_backend("s3://absent")


def test_unknown_location_is_refused() -> None:
    with pytest.raises(UsageError, match="expected is file:///DIRECTORY or s3://BUCKET"):
        open_backend("gs://state")


def test_missing_key_is_refused() -> None:
    with pytest.raises(EngineError, match="awskms://alias/absent does not open"):
        KmsSecrets("awskms://alias/absent")
