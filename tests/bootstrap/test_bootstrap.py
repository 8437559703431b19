"""`make bootstrap` in an emulated account, with both engines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

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
        repository_ids="platform",
        environments=("dev", "Prod"),
        region="Virginia",
        prefix="platform",
        oidc_provider_arn="",
    )
    repository, ids, region, environment = configuration.problems()
    assert ids.endswith("pulumi config set repository_ids 123456/456789")
    assert repository.endswith("pulumi config set repository example/platform")
    assert "region is 'Virginia'" in region
    assert "environments has 'Prod'" in environment


@pytest.mark.parametrize("region", ["us-gov-west-1", "cn-north-1"])
def test_region_of_another_partition_is_refused(region: str) -> None:
    configuration = Configuration(
        repository="example/platform",
        repository_ids="",
        environments=("dev",),
        region=region,
        prefix="platform",
        oidc_provider_arn="",
    )
    (problem,) = configuration.problems()
    assert problem.startswith(f"region is '{region}'")


def test_subject_of_a_repository_with_ids_contains_them() -> None:
    configuration = Configuration(
        repository="example/platform",
        repository_ids="123456/456789",
        environments=("dev",),
        region="us-east-1",
        prefix="platform",
        oidc_provider_arn="",
    )
    assert configuration.problems() == []
    assert configuration.subject == "repo:example@123456/platform@456789"


def session(role_arn: str) -> boto3.Session:
    """Return a session of a role, which the account's own key assumes instead of a workflow."""
    iam, name = boto3.client("iam"), role_arn.rpartition("/")[2]
    trust_policy = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    own = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    changed = json.dumps({**trust_policy, "Statement": [own]})
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=changed)
    names = {"RoleArn": role_arn, "RoleSessionName": "workflow"}
    credentials = boto3.client("sts").assume_role(**names)["Credentials"]
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust_policy))
    return boto3.Session(
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        region_name=REGION,
    )


def test_deploy_role_cannot_leave_its_boundary(
    account: run.Account, outputs: dict[str, Any]
) -> None:
    own = boto3.client("iam")
    own.create_user(UserName="administrator")
    own.create_login_profile(UserName="administrator", Password="Unknown-1")
    dev = session(outputs["deploy_roles"]["dev"])
    iam, s3, kms = (dev.client(name) for name in ("iam", "s3", "kms"))
    connections = dev.client("codeconnections")
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}}
    document = json.dumps(
        {"Version": "2012-10-17", "Statement": [{**trust, "Action": "sts:AssumeRole"}]}
    )
    role = {"RoleName": "workload", "AssumeRolePolicyDocument": document}
    rule = {"ID": "all", "Status": "Enabled", "Prefix": "", "Expiration": {"Days": 1}}
    administrator = "arn:aws:iam::aws:policy/AdministratorAccess"
    for request, parameters in (
        (iam.create_role, role),
        (iam.delete_role_permissions_boundary, {"RoleName": "platform-deploy-dev"}),
        (
            iam.update_assume_role_policy,
            {"RoleName": "platform-deploy-prod", "PolicyDocument": document},
        ),
        (
            iam.create_policy_version,
            {"PolicyArn": outputs["permissions_boundary"], "PolicyDocument": document},
        ),
        (iam.create_access_key, {"UserName": "administrator"}),
        (iam.update_login_profile, {"UserName": "administrator", "Password": "Known-1"}),
        (iam.attach_user_policy, {"UserName": "administrator", "PolicyArn": administrator}),
        (
            s3.put_bucket_lifecycle_configuration,
            {"Bucket": account.bucket, "LifecycleConfiguration": {"Rules": [rule]}},
        ),
        (s3.delete_bucket_policy, {"Bucket": account.bucket}),
        (kms.update_alias, {"AliasName": "alias/pulumi", "TargetKeyId": outputs["state_key_arn"]}),
        (connections.delete_connection, {"ConnectionArn": outputs["connection_arn"]}),
    ):
        with pytest.raises(ClientError, match="explicit deny in a permissions boundary"):
            request(**parameters)
    iam.create_role(**role, PermissionsBoundary=outputs["permissions_boundary"])
    iam.attach_role_policy(RoleName="workload", PolicyArn=administrator)
    s3.put_object(Bucket=account.bucket, Key="state", Body=b"")


def test_preview_role_reads_properties_and_the_state_only(
    account: run.Account, outputs: dict[str, Any]
) -> None:
    boto3.client("s3").put_object(Bucket=account.bucket, Key="preview", Body=b"state")
    boto3.client("logs").create_log_group(logGroupName="service")
    boto3.client("logs").create_log_stream(logGroupName="service", logStreamName="pod")
    preview = session(outputs["preview_role"])
    s3, logs = preview.client("s3"), preview.client("logs")
    assert s3.get_object(Bucket=account.bucket, Key="preview")["Body"].read() == b"state"
    assert logs.describe_log_groups(logGroupNamePrefix="service")["logGroups"]
    for request, parameters in (
        (s3.put_object, {"Bucket": account.bucket, "Key": "preview", "Body": b""}),
        (logs.get_log_events, {"logGroupName": "service", "logStreamName": "pod"}),
        (logs.filter_log_events, {"logGroupName": "service"}),
    ):
        with pytest.raises(ClientError, match="is not authorized to perform"):
            request(**parameters)
