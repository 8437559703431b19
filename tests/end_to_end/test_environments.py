"""The lifecycle of both environments, verified with boto3 and the Kubernetes API.

The tests of a stack run in order and depend on each other.
"""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from typing import Any

import pytest

from sandbox.console.stacks import Stacks
from sandbox.runtime.home import Home
from tests.end_to_end.conftest import PROJECT, Sandbox
from tests.program import cfn_lint
from tests.program.exported_state import template_of

STACKS = ("dev", "prod")
ZONES = {"dev": 2, "prod": 3}
NAT_GATEWAYS = {"dev": 1, "prod": 3}
REPLICAS = {"dev": 1, "prod": 3}
# EKS and RDS create them again when they write a late record.
LATE_LOG_GROUPS = (
    "/aws/eks/platform-dev-cluster/cluster",
    "/aws/rds/instance/platform-dev-database/postgresql",
)
AUTO_MODE = ("-c", "cluster.compute=auto")
NOTHING = {"create": 0, "update": 0, "replace": 0, "delete": 0}

each_stack = pytest.mark.parametrize("stack", STACKS)


def changed(document: dict[str, Any]) -> dict[str, int]:
    return {
        operation: count for operation, count in document["changes"].items() if operation != "same"
    }


def ask(endpoint: str, method: str, fault: dict[str, Any]) -> None:
    """Set or clear faults."""
    request = urllib.request.Request(
        f"{endpoint}/_sandbox/faults", data=json.dumps(fault).encode(), method=method
    )
    with urllib.request.urlopen(request) as response:
        assert response.status in {200, 201}


def write_late_records(sandbox: Sandbox, *, enabled: bool) -> None:
    """Let EKS and RDS create their log groups again after a deletion."""
    request = urllib.request.Request(
        f"{sandbox.variables('prod')['AWS_ENDPOINT_URL']}/_sandbox/late-log-records",
        data=json.dumps({"enabled": enabled}).encode(),
    )
    with urllib.request.urlopen(request) as response:
        assert response.status == 200


def of_stack(items: list[dict[str, Any]], stack: str) -> list[dict[str, Any]]:
    """Whether a resource has the stack's tag."""
    return [
        item
        for item in items
        if {"Key": "stack", "Value": stack} in item.get("Tags", item.get("TagSet", []))
    ]


def test_preview_refuses_versions_that_do_not_exist(sandbox: Sandbox) -> None:
    for pin, message in (
        ("cluster.nodes.release_version=1.35.0-20260901", "AMI release 1.35.0-20260901"),
        ("cluster.addons.coredns=v1.99.0-eksbuild.1", "coredns v1.99.0-eksbuild.1"),
        ("cluster.addons.coredns=v1.11.4-eksbuild.2", "does not offer coredns v1.11.4"),
        ("database.engine_version=17.99", "does not offer PostgreSQL 17.99"),
    ):
        document = sandbox.json("preview", "dev", "-c", pin, code=1)
        assert any(message in entry["message"] for entry in document["diagnostics"]), document


@each_stack
def test_up_creates_everything_at_once(sandbox: Sandbox, stack: str) -> None:
    up = sandbox.json("up", stack)
    assert (up["result"], up["stack"]) == ("succeeded", stack)
    assert up["changes"]["create"] > 100
    assert changed(up) == NOTHING | {"create": up["changes"]["create"]}


@each_stack
def test_console_has_the_timeline_of_up(sandbox: Sandbox, stack: str) -> None:
    timeline = Stacks(Home(sandbox.home), PROJECT).timeline(stack)
    assert timeline is not None
    assert (timeline.kind, timeline.result) == ("up", "succeeded")
    assert len(timeline.bars) > 100
    critical = [bar for bar in timeline.bars if bar.critical]
    assert critical[0].type == "pulumi:providers:aws"
    assert len(critical) > 5
    assert critical[-1].start + critical[-1].seconds <= timeline.seconds


@each_stack
def test_preview_after_up_has_no_changes(sandbox: Sandbox, stack: str) -> None:
    assert changed(sandbox.json("preview", stack, "--expect-no-changes")) == NOTHING


def test_preview_reports_stored_versions_that_aws_has_retired(sandbox: Sandbox) -> None:
    ssm, prefix = sandbox.client("ssm"), "/platform-dev/cluster/1.35/"
    retired = {"eks-pod-identity-agent": "v1.3.2-eksbuild.2", "node-release": "1.35.2-20260301"}
    stored = {key: ssm.get_parameter(Name=prefix + key)["Parameter"]["Value"] for key in retired}
    try:
        for key, version in retired.items():
            ssm.put_parameter(Name=prefix + key, Value=version, Overwrite=True)
        diagnostics = sandbox.json("preview", "dev", "--refresh")["diagnostics"]
    finally:
        for key, version in stored.items():
            ssm.put_parameter(Name=prefix + key, Value=version, Overwrite=True)
    for key, version in retired.items():
        (message,) = (item["message"] for item in diagnostics if version in item["message"])
        assert "EKS no longer offers it for Kubernetes 1.35" in message
        assert message.endswith(stored[key])


@each_stack
def test_network_matches_the_stack_file(sandbox: Sandbox, stack: str) -> None:
    ec2 = sandbox.client("ec2", stack)
    subnets = of_stack(ec2.describe_subnets()["Subnets"], stack)
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == ZONES[stack]
    gateways = [
        item
        for item in of_stack(ec2.describe_nat_gateways()["NatGateways"], stack)
        if item["State"] == "available"
    ]
    assert len(gateways) == NAT_GATEWAYS[stack]
    assert len(of_stack(ec2.describe_flow_logs()["FlowLogs"], stack)) == 1


@each_stack
def test_cluster_is_active_with_access_entries_and_encrypted_secrets(
    sandbox: Sandbox, stack: str
) -> None:
    eks = sandbox.client("eks", stack)
    cluster = eks.describe_cluster(name=sandbox.json("output", stack, "cluster_name")["value"])[
        "cluster"
    ]
    assert cluster["status"] == "ACTIVE"
    assert cluster["accessConfig"]["authenticationMode"] == "API"
    assert cluster["encryptionConfig"][0]["resources"] == ["secrets"]
    assert cluster["upgradePolicy"]["supportType"] == "STANDARD"
    assert cluster["resourcesVpcConfig"]["endpointPublicAccess"] is (stack == "dev")
    assert cluster["deletionProtection"] is (stack == "prod")
    groups = eks.list_nodegroups(clusterName=cluster["name"])["nodegroups"]
    described = [
        eks.describe_nodegroup(clusterName=cluster["name"], nodegroupName=name)["nodegroup"]
        for name in groups
    ]
    assert {group["capacityType"] for group in described} == {
        {"dev": "SPOT", "prod": "ON_DEMAND"}[stack]
    }
    assert [len(group["subnets"]) for group in described] == [1] * ZONES[stack]
    assert {"vpc-cni", "kube-proxy", "coredns", "eks-pod-identity-agent"} <= set(
        eks.list_addons(clusterName=cluster["name"])["addons"]
    )


@each_stack
def test_service_is_rolled_out_in_a_restricted_namespace(sandbox: Sandbox, stack: str) -> None:
    from kubernetes import client

    api = sandbox.kubernetes(stack)
    deployments: Any = client.AppsV1Api(api).list_namespaced_deployment("guestbook").items
    assert [(item.status.ready_replicas, item.spec.replicas) for item in deployments] == [
        (REPLICAS[stack],) * 2
    ]
    namespace: Any = client.CoreV1Api(api).read_namespace("guestbook")
    assert namespace.metadata.labels["pod-security.kubernetes.io/enforce"] == "restricted"
    (container,) = deployments[0].spec.template.spec.containers
    assert container.image == sandbox.json("output", stack, "image")["value"]


@each_stack
def test_changed_setting_updates_only_related_resources(sandbox: Sandbox, stack: str) -> None:
    change = ("-c", "pipeline.log_days=14")
    preview = sandbox.json("preview", stack, *change)
    assert changed(preview)["update"] > 0
    assert changed(preview) == NOTHING | {"update": changed(preview)["update"]}
    touched = {step["urn"].split("::")[2].rsplit("$", 1)[-1] for step in preview["steps"]}
    assert touched <= {"aws:cloudwatch/logGroup:LogGroup", "pulumi:pulumi:Stack"}
    assert {item["path"] for step in preview["steps"] for item in step["changes"]} == {
        "retentionInDays"
    }
    assert (
        sandbox.json("preview", stack, *change, "--expect-no-changes", code=7)["result"] == "failed"
    )
    assert changed(sandbox.json("up", stack, *change)) == changed(preview)
    groups = sandbox.client("logs", stack).describe_log_groups()["logGroups"]
    assert {
        group["retentionInDays"]
        for group in groups
        if "codebuild" in group["logGroupName"] and stack in group["logGroupName"]
    } == {14}
    assert changed(sandbox.json("up", stack)) == changed(preview)


def test_third_zone_is_added_and_removed_without_replacement(sandbox: Sandbox) -> None:
    foretold = changed(sandbox.json("preview", "dev", "-c", "network.zones=3"))
    wider = changed(sandbox.json("up", "dev", "-c", "network.zones=3"))
    assert wider["create"] > 0
    assert foretold == wider
    assert (wider["replace"], wider["delete"]) == (0, 0)
    back = changed(sandbox.json("up", "dev"))
    assert (back["create"], back["replace"], back["delete"]) == (0, 0, wider["create"])


@each_stack
def test_refresh_detects_drift(sandbox: Sandbox, stack: str) -> None:
    logs = sandbox.client("logs", stack)
    name = next(
        g["logGroupName"]
        for g in logs.describe_log_groups()["logGroups"]
        if stack in g["logGroupName"] and "codebuild" in g["logGroupName"]
    )
    logs.put_retention_policy(logGroupName=name, retentionInDays=545)
    assert changed(sandbox.json("refresh", stack))["update"] == 1
    assert changed(sandbox.json("up", stack)) == NOTHING | {"update": 1}
    assert changed(sandbox.json("refresh", stack, "--expect-no-changes")) == NOTHING


@each_stack
def test_exported_state_has_no_unexplained_finding_of_cfn_lint(
    sandbox: Sandbox, stack: str
) -> None:
    exported = json.loads(sandbox.run("export", stack).stdout)
    template = template_of(exported["deployment"]["resources"])
    assert len(template["Resources"]) > 100
    unexplained = [
        finding
        for finding in cfn_lint.lint(template)
        if not any(cfn_lint.accepts(entry, finding) for entry in cfn_lint.ACCEPTED)
    ]
    assert unexplained == []


@each_stack
def test_no_secret_is_in_state_or_output(sandbox: Sandbox, stack: str) -> None:
    kubeconfig = json.dumps(sandbox.json("output", stack, "kubeconfig", "--show-secrets")["value"])
    assert "certificate-authority-data" in kubeconfig
    assert sandbox.json("output", stack, "kubeconfig")["value"] == "[secret]"
    exported = sandbox.run("export", stack).stdout
    # The CA certificate is public; the program makes the kubeconfig as a whole secret.
    sealed = next(
        resource["outputs"]["kubeconfig"]
        for resource in json.loads(exported)["deployment"]["resources"]
        if resource["type"] == "pulumi:pulumi:Stack"
    )
    assert set(sealed) == {"4dabf18193072939515e22adb298388d", "ciphertext"}
    manager = sandbox.client("secretsmanager", stack)
    for secret in manager.list_secrets()["SecretList"]:
        password = json.loads(manager.get_secret_value(SecretId=secret["ARN"])["SecretString"]).get(
            "password", ""
        )
        assert password and password not in exported


def test_account_survives_the_background_process(sandbox: Sandbox) -> None:
    before = sandbox.resources()
    assert sandbox.json("stop")["stopped"] is True
    assert sandbox.resources() == before
    assert changed(sandbox.json("preview", "dev", "--expect-no-changes")) == NOTHING
    assert changed(sandbox.json("refresh", "prod", "--expect-no-changes")) == NOTHING


def test_next_run_continues_after_a_crash(sandbox: Sandbox) -> None:
    before = sandbox.resources()
    os.kill(sandbox.json("status")["process"]["pid"], signal.SIGKILL)
    assert sandbox.resources() == before
    endpoint = sandbox.variables("dev")["AWS_ENDPOINT_URL"]
    fault = {
        "service": "logs",
        "operation": "PutRetentionPolicy",
        "code": "ServiceUnavailableException",
        "count": 99,
    }
    ask(endpoint, "POST", fault)
    failed = sandbox.json("up", "dev", "-c", "pipeline.log_days=14", code=1)
    assert any("ServiceUnavailableException" in item["message"] for item in failed["diagnostics"])
    assert "Traceback" not in json.dumps(failed)
    ask(endpoint, "DELETE", {})
    # Only what failed on its way to the new setting is updated.
    mended = changed(sandbox.json("up", "dev"))
    assert mended == NOTHING | {"update": mended["update"]}
    assert sandbox.resources() == before
    assert changed(sandbox.json("preview", "dev", "--expect-no-changes")) == NOTHING


def test_invalid_setting_is_refused_before_any_change(sandbox: Sandbox) -> None:
    before = sandbox.json("export", "dev")["deployment"]["resources"]
    refused = sandbox.json(
        "up", "dev", "-c", "network.zones=9", "-c", "network.cidr=10.0.0.0/28", code=2
    )
    (diagnostic,) = (item for item in refused["diagnostics"] if item["severity"] == "error")
    assert "2 problems; nothing was changed" in diagnostic["message"]
    assert {"network.zones", "network.cidr"} <= set(
        re.findall(r"-c ([a-z.]+):", diagnostic["message"])
    )
    assert sandbox.json("export", "dev")["deployment"]["resources"] == before


def test_protected_environment_is_not_destroyed(sandbox: Sandbox) -> None:
    before = sandbox.resources()
    refused = sandbox.run("destroy", "prod", "--yes")
    assert refused.returncode == 1
    messages = [line for line in (refused.stderr + refused.stdout).splitlines() if line.strip()]
    [message] = [line for line in messages if "protected" in line]
    assert "sandbox up prod -c lifecycle=ephemeral" in message
    assert len(messages) == 1, messages
    assert sandbox.resources() == before


def test_destroyed_dev_leaves_only_late_log_groups_and_prod_unchanged(sandbox: Sandbox) -> None:
    """Late records create both groups again after their deletion; AWS does so at times."""
    write_late_records(sandbox, enabled=True)
    destroyed = sandbox.json("destroy", "dev", "--yes")
    write_late_records(sandbox, enabled=False)
    assert destroyed["changes"]["delete"] > 100
    left = [item for item in sandbox.resources() if "dev" in json.dumps(item)]
    assert sorted(item["name"] for item in left) == [*LATE_LOG_GROUPS]
    logs = sandbox.client("logs")
    for group in LATE_LOG_GROUPS:
        (late,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        assert not {"retentionInDays", "kmsKeyId"} & late.keys()
    assert changed(sandbox.json("preview", "prod", "--expect-no-changes")) == NOTHING


def test_up_adopts_log_groups_that_outlive_their_writers(sandbox: Sandbox) -> None:
    sandbox.json("up", "dev", *AUTO_MODE)
    sandbox.json("up", "dev", *AUTO_MODE)
    logs = sandbox.client("logs")
    for group in LATE_LOG_GROUPS:
        (adopted,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        assert adopted["retentionInDays"] == 7
        assert adopted["kmsKeyId"]


def test_auto_mode_serves_without_later_changes_and_is_destroyed(sandbox: Sandbox) -> None:
    from kubernetes import client

    nodes: Any = client.CoreV1Api(sandbox.kubernetes("dev")).list_node()
    (node,) = nodes.items
    assert node.metadata.labels["eks.amazonaws.com/compute-type"] == "auto"
    eks = sandbox.client("eks")
    assert eks.list_nodegroups(clusterName="platform-dev-cluster")["nodegroups"] == []
    with urllib.request.urlopen(sandbox.run("url", "dev").stdout.strip()) as response:
        assert response.status == 200
    sandbox.json("preview", "dev", "--expect-no-changes", *AUTO_MODE)
    sandbox.json("destroy", "dev", "--yes", *AUTO_MODE)


def test_account_is_empty_after_both_destroys(sandbox: Sandbox) -> None:
    sandbox.json("up", "prod", "-c", "lifecycle=ephemeral")
    sandbox.json("destroy", "prod", "--yes")
    assert sandbox.resources() == []
