"""A release by CodePipeline's EKS action (docs/how-to/deploy-with-the-eks-action.md)."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.conftest import PROJECT, Sandbox

PIPELINE = "platform-dev-pipeline"
TEST = "tests/app/test_config.py"

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (shutil.which("kubectl") and shutil.which("jq")),
        reason="the builds need kubectl and jq: apt-get install -y kubernetes-client jq",
    ),
]


@pytest.fixture(scope="module")
def released(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A clone whose service has one file of tests, with dev deployed by the EKS action."""
    clone = Sandbox(sandbox.home, tmp_path_factory.mktemp("clone") / "project")
    for name in Sandbox(sandbox.home).git("ls-files", "--", ".", ":!docs").splitlines():
        is_test = name.startswith("tests/app/") and "/test_" in name
        if is_test and name != TEST:
            continue
        (clone.project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, clone.project / name)
    (clone.project / ".venv").symlink_to(sys.prefix)
    clone.git("init", "--quiet", "--initial-branch", "main")
    clone.git("add", "--all")
    clone.git("commit", "--quiet", "--message", "Test the configuration only")
    clone.json("up", "dev", "-c", "pipeline.deploy=eks", "-c", "pipeline.rollback=true")
    yield clone


def release(sandbox: Sandbox) -> dict[str, Any]:
    sandbox.git("commit", "--quiet", "--allow-empty", "--message", "Release again")
    return sandbox.json("release", "dev")


def test_action_deploys_the_admitted_digest(released: Sandbox) -> None:
    document = release(released)
    assert document["serves"]
    statuses = {item["action"]: item["status"] for item in document["actions"]}
    assert list(statuses)[-3:] == ["Admit", "Deploy", "Verify"]
    assert set(statuses.values()) == {"Succeeded"}

    from kubernetes import client

    deployment: Any = client.AppsV1Api(released.kubernetes("dev")).read_namespaced_deployment(
        "guestbook", "guestbook"
    )
    pod = deployment.spec.template.spec
    images = {container.image for container in (*pod.containers, *pod.init_containers)}
    assert {image.rpartition("@")[2] for image in images} == {document["digest"]}
    managers = {
        item.manager
        for item in deployment.metadata.managed_fields
        if '"f:image"' in json.dumps(item.fields_v1)
    }
    assert managers == {"kubectl-client-side-apply"}
    options = ("-c", "pipeline.deploy=eks", "-c", "pipeline.rollback=true")
    released.json("preview", "dev", "--expect-no-changes", *options)  # fails if anything changes


def role_name(sandbox: Sandbox, logical_name: str) -> str:
    """Return the name that Pulumi generated for a role."""
    roles = sandbox.client("iam").get_paginator("list_roles").paginate()
    names = [role["RoleName"] for page in roles for role in page["Roles"]]
    (name,) = [name for name in names if re.fullmatch(f"{logical_name}-[0-9a-f]{{7}}", name)]
    return str(name)


def failure(sandbox: Sandbox) -> tuple[str, str]:
    """Deploy the last release again; return the action that fails, and its message."""
    pipelines = sandbox.client("codepipeline")
    executions = pipelines.list_pipeline_executions(
        pipelineName=PIPELINE, filter={"succeededInStage": {"stageName": "Deploy"}}
    )["pipelineExecutionSummaries"]
    id = pipelines.rollback_stage(
        pipelineName=PIPELINE,
        stageName="Deploy",
        targetPipelineExecutionId=next(
            item["pipelineExecutionId"]
            for item in executions
            if item["executionType"] == "STANDARD"
        ),
    )["pipelineExecutionId"]
    while True:
        actions = pipelines.list_action_executions(
            pipelineName=PIPELINE, filter={"pipelineExecutionId": id}
        )["actionExecutionDetails"]
        for action in actions:
            if action["status"] == "Failed":
                error = action["output"]["executionResult"]["errorDetails"]
                return action["actionName"], error["message"]
        assert (
            pipelines.get_pipeline_execution(pipelineName=PIPELINE, pipelineExecutionId=id)[
                "pipelineExecution"
            ]["status"]
            != "Succeeded"
        ), "nothing was denied"
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("role", "sid", "action", "denied"),
    [
        ("pipeline-deploy", "Artifacts", "Deploy", "Forbidden"),
        ("pipeline-deploy", "DescribeCluster", "Deploy", "eks:DescribeCluster"),
        ("pipeline-deploy", "CreateNetworkInterfaces", "Deploy", "ec2:Describe"),
        ("pipeline-deploy", "GrantNetworkInterfaces", "Deploy", "ec2:CreateNetworkInterfacePerm"),
        ("pipeline-deploy", "WriteDeployLog", "Deploy", "logs:CreateLogStream"),
        ("pipeline-verify", "DescribeCluster", "Verify", ""),
    ],
)
def test_deployment_without_a_statement_is_denied(
    released: Sandbox, role: str, sid: str, action: str, denied: str
) -> None:
    iam, name = released.client("iam"), role_name(released, role)
    [policy] = iam.list_role_policies(RoleName=name)["PolicyNames"]
    document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    statements = [item for item in document["Statement"] if item["Sid"] != sid]
    assert len(statements) == len(document["Statement"]) - 1
    put = {"RoleName": name, "PolicyName": policy}
    iam.put_role_policy(**put, PolicyDocument=json.dumps({**document, "Statement": statements}))
    try:
        failed, message = failure(released)
    finally:
        iam.put_role_policy(**put, PolicyDocument=json.dumps(document))
    assert (failed, denied in message) == (action, True), message


def test_role_without_an_access_entry_is_denied_by_kubernetes(released: Sandbox) -> None:
    eks, name = released.client("eks"), role_name(released, "pipeline-deploy")
    arn = f"arn:aws:iam::123456789012:role/{name}"
    eks.delete_access_entry(clusterName="platform-dev-cluster", principalArn=arn)
    failed, message = failure(released)
    assert failed == "Deploy"
    assert "kubectl apply -f deployment.json --namespace guestbook" in message
