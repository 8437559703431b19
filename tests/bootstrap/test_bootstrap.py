"""`make bootstrap` in an emulated account, with both engines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from bootstrap import run
from bootstrap.configuration import Configuration
from bootstrap.engines import EmbeddedEngine, Engine, EngineFailedError, PulumiCli
from sandbox.runtime import pulumi_cli
from tests.emulated_account import REGION, emulated_account

SUBJECT = "token.actions.githubusercontent.com:sub"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[run.Account]:
    folder = tmp_path_factory.mktemp("bootstrap")
    with emulated_account(folder) as variables:
        yield run.Account(
            variables=variables,
            number="123456789012",
            region=REGION,
            prefix="platform",
            local=folder / "local",
            emulated=True,
        )


@pytest.fixture(scope="module")
def outputs(account: run.Account) -> dict[str, Any]:
    return run.bootstrap(account, EmbeddedEngine(run.DIRECTORY, account.variables))


def state(account: run.Account) -> dict[str, Any]:
    key = ".pulumi/stacks/bootstrap/main.json"
    body = boto3.client("s3").get_object(Bucket=account.bucket, Key=key)["Body"].read()
    latest: dict[str, Any] = json.loads(body)["checkpoint"]["latest"]
    return latest


def trust(role: str) -> dict[str, Any]:
    document: dict[str, Any] = boto3.client("iam").get_role(RoleName=role)["Role"][
        "AssumeRolePolicyDocument"
    ]
    return document["Statement"][0]["Condition"]["StringEquals"]  # type: ignore[no-any-return]


def test_state_is_moved_to_a_private_bucket(account: run.Account, outputs: dict[str, Any]) -> None:
    assert outputs["backend_url"] == account.backend
    assert outputs["secrets_provider"] == account.secrets_provider
    assert state(account)["secrets_providers"]["type"] == "cloud"
    assert not (account.local / ".pulumi").exists()
    s3, bucket = boto3.client("s3"), account.bucket
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert set(
        s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()
    ) == {True}
    rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    assert policy["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_every_resource_is_protected(account: run.Account, outputs: dict[str, Any]) -> None:
    del outputs
    unprotected = [
        item["urn"]
        for item in state(account)["resources"]
        if item["type"].startswith("aws:") and not item.get("protect")
    ]
    assert unprotected == []


def test_roles_trust_the_subjects_of_the_workflows(outputs: dict[str, Any]) -> None:
    prefix = "repo:example/platform"
    assert outputs["preview_role"].endswith(":role/platform-preview")
    assert trust("platform-preview")[SUBJECT] == [
        f"{prefix}:pull_request",
        f"{prefix}:ref:refs/heads/main",
    ]
    for name, arn in outputs["deploy_roles"].items():
        role = boto3.client("iam").get_role(RoleName=arn.rpartition("/")[2])["Role"]
        assert trust(role["RoleName"])[SUBJECT] == [f"{prefix}:environment:{name}"]
        boundary = role["PermissionsBoundary"]["PermissionsBoundaryArn"]
        assert boundary == outputs["permissions_boundary"]


def test_second_run_changes_nothing(account: run.Account, outputs: dict[str, Any]) -> None:
    """With the Pulumi CLI, if there is one: it continues what the embedded engine has created."""
    before = {
        item["urn"]: (item.get("id"), item.get("inputs")) for item in state(account)["resources"]
    }
    cli = pulumi_cli.find()
    engine: Engine = EmbeddedEngine(run.DIRECTORY, account.variables)
    if cli is not None:
        engine = PulumiCli(run.DIRECTORY, account.variables, cli.path)
    assert run.bootstrap(account, engine) == outputs
    after = {
        item["urn"]: (item.get("id"), item.get("inputs")) for item in state(account)["resources"]
    }
    assert after == before


def test_failing_command_is_named(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path, os.environ).at("ftp://nowhere", tmp_path, passphrase=None)
    with pytest.raises(EngineFailedError, match="failed with exit code 2; its message is above"):
        engine.up("main")


def test_configuration_lists_every_problem() -> None:
    configuration = Configuration(
        repository="platform",
        environments=("dev", "Prod"),
        region="Virginia",
        prefix="platform",
        oidc_provider_arn="",
    )
    repository, region, environment = configuration.problems()
    assert repository.endswith("pulumi config set repository example/platform")
    assert "region is 'Virginia'" in region
    assert "environments has 'Prod'" in environment
