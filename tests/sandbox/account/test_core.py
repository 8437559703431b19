"""Core: validation, faults, inventory, journal, provisioning, error formats."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from sandbox.account import Account

from .conftest import World, refused


def test_new_account_is_empty_and_listens_on_loopback_only(world: World) -> None:
    assert world.admin("GET", "inventory") == {"items": [], "pending": []}
    assert world.url.startswith("http://127.0.0.1:")
    assert world.admin("GET", "health")["status"] == "ok"
    assert world.client("ec2").describe_vpcs()["Vpcs"] == []


def test_requests_are_validated_against_the_service_model(world: World) -> None:
    raw = Config(parameter_validation=False, retries={"max_attempts": 0})

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=world.url,
            region_name="us-east-1",
            aws_access_key_id="t",
            aws_secret_access_key="t",
            config=raw,
        )

    eks, ec2, iam, logs = (client(name) for name in ("eks", "ec2", "iam", "logs"))
    with refused("InvalidParameterException", "resourcesVpcConfig"):
        eks.create_cluster(name="c", roleArn="r")
    with refused("InvalidParameterException", "pattern"):
        eks.create_cluster(name="!", roleArn="r", resourcesVpcConfig={})
    with refused("InvalidParameterException", "enum value set"):
        invalid = {"authenticationMode": "NONE"}
        eks.create_cluster(name="c", roleArn="r", resourcesVpcConfig={}, accessConfig=invalid)
    with refused("MissingParameter", "SubnetId"):
        ec2.delete_subnet()
    with refused("ValidationError", "less than or equal to 64"):
        iam.create_role(RoleName="r" * 65, AssumeRolePolicyDocument="{}")
    with refused("InvalidParameterException", "greater than or equal to 1"):
        logs.create_log_group(logGroupName="")


def test_unknown_member_of_a_request_is_reported(world: World) -> None:
    body = json.dumps({"logGroupName": "g", "retentoinInDays": 3}).encode()
    scope = (
        "AWS4-HMAC-SHA256 Credential=t/20260101/us-east-1/logs/aws4_request, SignedHeaders=host, "
        "Signature=0"
    )
    headers = {
        "Authorization": scope,
        "X-Amz-Target": "Logs_20140328.CreateLogGroup",
        "Content-Type": "application/x-amz-json-1.1",
    }
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(world.url, data=body, headers=headers))
    response = json.load(caught.value)
    assert response["__type"].endswith("InvalidParameterException")
    assert "retentoinInDays" in str(response)


def test_invalid_password_is_not_echoed(world: World) -> None:
    with pytest.raises(ClientError) as caught:
        world.client("rds").create_db_instance(
            DBInstanceIdentifier="d",
            Engine="postgres",
            DBInstanceClass="db.t4g.micro",
            MasterUsername="app",
            MasterUserPassword="hunter2",
        )
    assert "hunter2" not in str(caught.value)


def test_fault_fails_an_operation_the_requested_number_of_times(world: World) -> None:
    fault = {
        "service": "sns",
        "operation": "CreateTopic",
        "code": "Throttling",
        "count": 2,
        "match": {"Name": "a"},
    }
    world.admin("POST", "faults", fault)
    sns = world.client("sns")
    sns.create_topic(Name="b")
    for _ in range(2):
        with refused("Throttling"):
            sns.create_topic(Name="a")
    sns.create_topic(Name="a")
    assert world.admin("GET", "faults")["faults"][0]["hits"] == 2
    world.admin("DELETE", "faults")
    with pytest.raises(urllib.error.HTTPError) as caught:
        world.admin("POST", "faults", {"service": "nothing", "operation": "X"})
    assert "no service 'nothing'" in json.load(caught.value)["error"]


def test_inventory_lists_every_type_and_deletions(world: World) -> None:
    ec2, iam, kms, events = (world.client(name) for name in ("ec2", "iam", "kms", "events"))
    vpc, subnets = world.network()
    ec2.create_tags(Resources=[vpc], Tags=[{"Key": "Name", "Value": "ours"}])
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    template = ec2.create_launch_template(
        LaunchTemplateName="t", LaunchTemplateData={"InstanceType": "t3.small"}
    )
    template_id = template["LaunchTemplate"]["LaunchTemplateId"]
    world.role("r", "ec2")
    provider = iam.create_open_id_connect_provider(
        Url="https://example.org", ThumbprintList=["a" * 40]
    )
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/a", TargetKeyId=key)
    events.put_rule(Name="every", ScheduleExpression="rate(1 hour)")
    topic = world.client("sns").create_topic(Name="t")["TopicArn"]
    subscription = world.client("sns").subscribe(
        TopicArn=topic, Protocol="email", Endpoint="a@example.org"
    )
    world.client("logs").create_log_group(logGroupName="l")
    world.client("s3").create_bucket(Bucket="our-bucket")
    world.client("ecr").create_repository(repositoryName="app")
    world.client("ssm").put_parameter(Name="p", Value="v", Type="String")
    world.client("secretsmanager").create_secret(Name="s", SecretString="x")
    world.client("cloudwatch").put_dashboard(DashboardName="d", DashboardBody='{"widgets": []}')
    flow = ec2.create_flow_logs(
        ResourceIds=[vpc],
        ResourceType="VPC",
        TrafficType="ALL",
        LogDestinationType="s3",
        LogDestination="arn:aws:s3:::our-bucket",
    )["FlowLogIds"]
    kinds = sorted(
        f"{item['service']}/{item['type']}" for item in world.admin("GET", "inventory")["items"]
    )
    assert kinds == [
        "cloudwatch/dashboard",
        "ec2/flow-log",
        "ec2/launch-template",
        "ec2/security-group",
        "ec2/subnet",
        "ec2/subnet",
        "ec2/vpc",
        "ecr/repository",
        "events/rule",
        "iam/openid-connect-provider",
        "iam/role",
        "kms/alias",
        "kms/key",
        "logs/log-group",
        "s3/bucket",
        "secretsmanager/secret",
        "sns/subscription",
        "sns/topic",
        "ssm/parameter",
    ]
    named = [item for item in world.admin("GET", "inventory")["items"] if item["id"] == vpc]
    assert named[0]["tags"] == {"Name": "ours"}

    ec2.delete_flow_logs(FlowLogIds=flow)
    ec2.delete_launch_template(LaunchTemplateId=template_id)
    ec2.delete_security_group(GroupId=group)
    for subnet in subnets:
        ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)
    iam.delete_role(RoleName="r")
    iam.delete_open_id_connect_provider(
        OpenIDConnectProviderArn=provider["OpenIDConnectProviderArn"]
    )
    kms.delete_alias(AliasName="alias/a")
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    events.delete_rule(Name="every")
    world.client("sns").unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    world.client("sns").delete_topic(TopicArn=topic)
    world.client("logs").delete_log_group(logGroupName="l")
    world.client("s3").delete_bucket(Bucket="our-bucket")
    world.client("ecr").delete_repository(repositoryName="app")
    world.client("ssm").delete_parameter(Name="p")
    world.client("secretsmanager").delete_secret(SecretId="s", ForceDeleteWithoutRecovery=True)
    world.client("cloudwatch").delete_dashboards(DashboardNames=["d"])
    listing = world.admin("GET", "inventory")
    assert listing["items"] == []
    assert [item["type"] for item in listing["pending"]] == ["key"]


def test_restarted_account_has_the_same_identifiers(start: Callable[..., World]) -> None:
    world = start()
    cluster = world.cluster()
    kms, s3 = world.client("kms"), world.client("s3")
    key = kms.create_key()["KeyMetadata"]
    secret = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"still readable")["CiphertextBlob"]
    s3.create_bucket(Bucket="kept")
    body = os.urandom(100_000)
    s3.put_object(Bucket="kept", Key="large", Body=body)
    with refused("ResourceInUseException"):
        world.client("eks").create_cluster(
            name="main",
            roleArn=cluster["roleArn"],
            resourcesVpcConfig={"subnetIds": cluster["resourcesVpcConfig"]["subnetIds"]},
        )
    before = world.admin("GET", "inventory")

    calls: list[str] = []

    class Host:
        def create(self, cluster: Any) -> Any:
            calls.append("create")
            raise AssertionError

        def delete(self, arn: str) -> None:
            calls.append("delete")

        def set_nodes(self, arn: str, group: str, nodes: Any) -> None:
            calls.append("set_nodes")

        def reconcile(self, clusters: Any) -> None:
            calls.append(f"reconcile {[cluster.name for cluster in clusters]}")

    world = start(clusters=Host())
    assert calls == ["reconcile ['main']"]
    assert world.admin("GET", "inventory") == before
    assert world.client("eks").describe_cluster(name="main")["cluster"] == cluster
    assert (
        world.client("kms").describe_key(KeyId=key["KeyId"])["KeyMetadata"]["CreationDate"]
        == key["CreationDate"]
    )
    assert world.client("kms").decrypt(CiphertextBlob=secret)["Plaintext"] == b"still readable"
    assert world.client("s3").get_object(Bucket="kept", Key="large")["Body"].read() == body


def test_managed_policies_of_a_new_account_are_unattached(
    start: Callable[..., World], tmp_path: Path
) -> None:
    arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    first = start()
    first.role("reader", "ec2")
    first.client("iam").attach_role_policy(RoleName="reader", PolicyArn=arn)
    attached = first.client("iam").get_policy(PolicyArn=arn)["Policy"]
    assert attached["AttachmentCount"] == 1
    restarted = start().client("iam").get_policy(PolicyArn=arn)["Policy"]
    assert restarted == attached
    shutil.rmtree(tmp_path / "account")
    new = start().client("iam").get_policy(PolicyArn=arn)["Policy"]
    assert new == {**attached, "AttachmentCount": 0}


def test_empty_account_starts_with_an_empty_journal(
    start: Callable[..., World], tmp_path: Path
) -> None:
    world = start()
    world.client("sns").create_topic(Name="t")
    world.client("sns").delete_topic(TopicArn="arn:aws:sns:us-east-1:123456789012:t")
    key = world.client("kms").create_key()["KeyMetadata"]["KeyId"]
    world.client("kms").schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert (tmp_path / "account" / "journal.jsonl").stat().st_size > 0
    assert start().admin("GET", "inventory") == {"items": [], "pending": []}
    assert not (tmp_path / "account" / "journal.jsonl").exists()


def test_sigkill_during_parallel_writes_loses_no_answered_request(
    start: Callable[..., World], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "sandbox.account", "--directory", str(tmp_path / "account")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    answered: list[str] = []

    def write(number: int) -> None:
        keys: Any = {
            "aws_access_key_id": "t",
            "aws_secret_access_key": "t",
            "region_name": "us-east-1",
        }
        once = Config(retries={"max_attempts": 0})
        ec2 = boto3.session.Session().client("ec2", endpoint_url=url, config=once, **keys)
        try:
            while True:
                answered.append(ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")["Vpc"]["VpcId"])
        except (BotoCoreError, ClientError, ResponseParserError):
            return

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    deadline = time.monotonic() + 240
    while len(answered) < 40 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    for writer in writers:
        writer.join()
    assert len(answered) >= 40
    result = {vpc["VpcId"] for vpc in start().client("ec2").describe_vpcs()["Vpcs"]}
    assert set(answered) <= result
    assert len(result - set(answered)) <= len(writers)


def test_truncated_journal_is_read_up_to_the_last_complete_line(
    start: Callable[..., World], tmp_path: Path
) -> None:
    start().client("sns").create_topic(Name="kept")
    journal = tmp_path / "account" / "journal.jsonl"
    whole = journal.stat().st_size
    with journal.open("ab") as file:
        file.write(b'{"moment": 1.0, "se')
    assert start().alive() == {"sns/topic/arn:aws:sns:us-east-1:123456789012:kept"}
    assert journal.stat().st_size == whole


def test_provisioning_continues_after_a_restart(start: Callable[..., World]) -> None:
    world = start(time_scale=100.0)
    vpc, subnets = world.network()
    ec2 = world.client("ec2")
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=subnets[0], AllocationId=address)["NatGateway"]
    assert nat["State"] == "pending"
    arn = world.role("c", "eks")
    eks = world.client("eks")
    eks.create_cluster(name="slow", roleArn=arn, resourcesVpcConfig={"subnetIds": subnets})
    assert eks.describe_cluster(name="slow")["cluster"]["status"] == "CREATING"
    assert "endpoint" not in eks.describe_cluster(name="slow")["cluster"]
    with refused("ResourceInUseException", "CREATING"):
        eks.delete_cluster(name="slow")
    world = start(time_scale=100.0)
    assert world.client("eks").describe_cluster(name="slow")["cluster"]["status"] == "CREATING"
    shown = world.client("ec2").describe_nat_gateways(NatGatewayIds=[nat["NatGatewayId"]])[
        "NatGateways"
    ][0]
    assert shown["State"] == "pending"


def test_short_provisioning_completes_without_requests(start: Callable[..., World]) -> None:
    world = start(time_scale=0.002)
    world.role("c", "eks")
    _, subnets = world.network()
    eks = world.client("eks")
    arn = "arn:aws:iam::123456789012:role/c"
    assert (
        eks.create_cluster(name="c", roleArn=arn, resourcesVpcConfig={"subnetIds": subnets})[
            "cluster"
        ]["status"]
        == "CREATING"
    )
    eks.get_waiter("cluster_active").wait(name="c", WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    assert eks.delete_cluster(name="c")["cluster"]["status"] == "DELETING"
    eks.get_waiter("cluster_deleted").wait(name="c", WaiterConfig={"Delay": 1, "MaxAttempts": 120})


def test_concurrent_creations_of_one_name_have_one_winner(world: World) -> None:
    _, subnets = world.network()
    arn = world.role("c", "eks")
    outcomes: list[str] = []

    def create() -> None:
        keys: Any = {
            "aws_access_key_id": "t",
            "aws_secret_access_key": "t",
            "region_name": "us-east-1",
        }
        eks = boto3.session.Session().client("eks", endpoint_url=world.url, **keys)
        try:
            eks.create_cluster(name="one", roleArn=arn, resourcesVpcConfig={"subnetIds": subnets})
            outcomes.append("made")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["ResourceInUseException"] * 7 + ["made"]


def test_second_account_in_a_process_is_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="another account runs"):
        Account(tmp_path / "second").start()


def test_taken_port_is_an_error_and_another_port_works(tmp_path: Path) -> None:
    account = Account(tmp_path / "account", time_scale=0)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            account.start(port)
        assert account.start() != f"http://127.0.0.1:{port}"
    account.stop()


@pytest.mark.skipif(shutil.which("aws") is None, reason="there is no aws CLI on PATH")
def test_aws_cli_uses_the_account(world: World) -> None:
    world.client("sns").create_topic(Name="t")
    keys = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command = ["aws", "--endpoint-url", world.url, "sns", "list-topics", "--output", "json"]
    done = subprocess.run(
        command, env={**os.environ, **keys}, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["Topics"] == [
        {"TopicArn": "arn:aws:sns:us-east-1:123456789012:t"}
    ]
