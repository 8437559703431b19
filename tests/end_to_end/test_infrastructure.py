"""Infrastructure changes through the pipeline (docs/how-to/update-through-the-pipeline.md).

The tests run in order, on one sandbox: each continues with the execution of the one before.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from components.aws.data_types import DATA_TYPES
from components.pipeline.buildspecs import inline_buildspec
from sandbox.engine.state.backend import Backend
from tests.end_to_end.conftest import PROJECT, Sandbox
from tests.pulumi import needs_cli

PIPELINE = "platform-dev-pipeline"
# The packages of the service's only test, from the lock file.
PACKAGES = {"uv", "pytest", "pytest-timeout", "iniconfig", "packaging", "pluggy", "pygments"}
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"
CHANGES = (
    ("    tags:\n", f"    permissions_boundary: {BOUNDARY}\n    tags:\n"),
    ("    monthly_budget_usd", "    contacts: [team@example.com]\n    monthly_budget_usd"),
    (
        "    approval: false\n",
        """\
    infrastructure:
      enabled: true
      state_bucket: platform-state-123456789012-us-east-1
      state_key_arn: arn:aws:kms:us-east-1:123456789012:key/1
    approval: false
""",
    ),
    # For speed: neither a database nor the stage Sign.
    ("    enabled: true\n", "    enabled: false\n"),
    ("    migration: [python3, -m, app.db.migrate]\n", ""),
    (
        "    approval: false\n",
        "    admission: {signature: false, scan: none}\n    approval: false\n",
    ),
)
ENDED = {"Succeeded", "Failed", "Stopped", "Superseded", "Cancelled"}

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (shutil.which("kubectl") and shutil.which("jq")),
        reason="the builds need kubectl and jq: apt-get install -y kubernetes-client jq",
    ),
]


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def locked(text: str) -> str:
    """Return the entries of a lock file for PACKAGES."""
    entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)
    return "".join(entry for entry in entries if entry.partition("==")[0] in PACKAGES)


@pytest.fixture(scope="module")
def pipeline(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A clone with the setting and one test of the service, brought up and connected."""
    clone = Sandbox(sandbox.home, tmp_path_factory.mktemp("clone") / "project")
    files = Sandbox(sandbox.home).git("ls-files", "--", ".", ":!docs", ":!tests")
    for name in files.splitlines():
        (clone.project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, clone.project / name)
    (clone.project / ".venv").symlink_to(sys.prefix)
    test = clone.project / "tests" / "app" / "test_templates.py"
    test.parent.mkdir(parents=True)
    test.write_text("def test_page_exists():\n    assert open('app/templates/page.html').read()\n")
    lock = clone.project / "requirements-dev.txt"
    lock.write_text(locked(lock.read_text()))
    for old, new in CHANGES:
        replace(clone.project / "Pulumi.dev.yaml", old, new)
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    clone.client("iam").create_policy(
        PolicyName="boundary",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    clone.git("init", "--quiet", "--initial-branch", "main")
    commit(clone, "Update the stack in the pipeline")
    clone.json("up", "dev")
    clone.json("connection", "accept", "dev")
    yield clone


def commit(sandbox: Sandbox, message: str) -> str:
    sandbox.git("add", "--all")
    sandbox.git("commit", "--quiet", "--message", message)
    return sandbox.git("rev-parse", "HEAD")


def push(sandbox: Sandbox) -> str:
    """Push main to the sandbox; return the execution that it has started."""
    pipelines = sandbox.client("codepipeline")

    def executions() -> list[str]:
        response = pipelines.list_pipeline_executions(pipelineName=PIPELINE)
        return [item["pipelineExecutionId"] for item in response["pipelineExecutionSummaries"]]

    before = executions()
    sandbox.git("push", "--quiet", "sandbox", "main")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if new := [id for id in executions() if id not in before]:
            return new[0]
        time.sleep(0.1)
    pytest.fail("the push has started no execution")


def actions(sandbox: Sandbox, execution: str) -> dict[str, dict[str, Any]]:
    """Return the newest run of each action."""
    details = sandbox.client("codepipeline").list_action_executions(
        pipelineName=PIPELINE, filter={"pipelineExecutionId": execution}
    )["actionExecutionDetails"]
    return {item["actionName"]: item for item in reversed(details)}


def wait(sandbox: Sandbox, execution: str, *, until: str = "") -> str:
    """Wait for the end of an execution, its approval, or the start of an action.

    Return the status, "Approval" or the action.
    """
    pipelines = sandbox.client("codepipeline")
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        status: str = pipelines.get_pipeline_execution(
            pipelineName=PIPELINE, pipelineExecutionId=execution
        )["pipelineExecution"]["status"]
        if status in ENDED:
            return status
        started = actions(sandbox, execution)
        if started.get("ApproveChanges", {}).get("status") == "InProgress":
            return "Approval"
        if until in started:
            return until
        time.sleep(0.2)
    pytest.fail(f"execution {execution} has not ended: {actions(sandbox, execution)}")


def retry(sandbox: Sandbox, execution: str, stage: str) -> str:
    sandbox.client("codepipeline").retry_stage_execution(
        pipelineName=PIPELINE,
        stageName=stage,
        pipelineExecutionId=execution,
        retryMode="FAILED_ACTIONS",
    )
    return wait(sandbox, execution)


def log(sandbox: Sandbox, execution: str, action: str) -> str:
    id = actions(sandbox, execution)[action]["output"]["executionResult"]["externalExecutionId"]
    return sandbox.run("codebuild", "logs", id).stdout


def replicas(sandbox: Sandbox) -> int:
    from kubernetes import client

    autoscaler: Any = client.AutoscalingV2Api(
        sandbox.kubernetes("dev")
    ).read_namespaced_horizontal_pod_autoscaler("guestbook", "guestbook")
    return int(autoscaler.spec.max_replicas)


def role_name(sandbox: Sandbox, logical_name: str) -> str:
    """Return the name that Pulumi generated for a role."""
    roles = sandbox.client("iam").get_paginator("list_roles").paginate()
    names = [role["RoleName"] for page in roles for role in page["Roles"]]
    (name,) = [name for name in names if re.fullmatch(f"{logical_name}-[0-9a-f]{{7}}", name)]
    return str(name)


@contextmanager
def without(sandbox: Sandbox, role: str, sid: str) -> Iterator[None]:
    """Remove a statement of a role."""
    iam, name = sandbox.client("iam"), role_name(sandbox, role)
    [policy] = iam.list_role_policies(RoleName=name)["PolicyNames"]
    document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    statements = [item for item in document["Statement"] if item["Sid"] != sid]
    assert len(statements) == len(document["Statement"]) - 1
    put = {"RoleName": name, "PolicyName": policy}
    iam.put_role_policy(**put, PolicyDocument=json.dumps({**document, "Statement": statements}))
    yield
    iam.put_role_policy(**put, PolicyDocument=json.dumps(document))


def denial(sandbox: Sandbox, execution: str) -> str:
    """Return the message of the failed preview."""
    failed = actions(sandbox, execution)["Preview"]
    assert failed["status"] == "Failed"
    return str(failed["output"]["executionResult"]["errorDetails"]["message"])


@pytest.fixture(scope="module")
def changed(pipeline: Sandbox) -> str:
    """The execution of a commit with more replicas, whose preview could not store its artifact."""
    replace(pipeline.project / "Pulumi.dev.yaml", "    maximum: 3\n", "    maximum: 5\n")
    commit(pipeline, "Allow more replicas")
    with without(pipeline, "pipeline-infrastructure-preview", "Artifacts"):
        execution = push(pipeline)
        assert wait(pipeline, execution) == "Failed"
    assert "s3:PutObject" in denial(pipeline, execution)
    return execution


@pytest.mark.parametrize(
    ("role", "sid", "denied"),
    [
        ("pipeline-infrastructure-preview", "CreateNetworkInterfaces", "ec2:"),
        ("pipeline", "RunBuildProjects", "codebuild:StartBuild"),
    ],
)
def test_preview_without_a_statement_is_denied(
    pipeline: Sandbox, changed: str, role: str, sid: str, denied: str
) -> None:
    with without(pipeline, role, sid):
        assert retry(pipeline, changed, "Preview") == "Failed"
    assert denied in denial(pipeline, changed)


def test_preview_without_its_managed_policy_cannot_read_the_account(
    pipeline: Sandbox, changed: str
) -> None:
    iam, name = pipeline.client("iam"), role_name(pipeline, "pipeline-infrastructure-preview")
    policy = {"RoleName": name, "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}
    iam.detach_role_policy(**policy)
    assert retry(pipeline, changed, "Preview") == "Failed"
    iam.attach_role_policy(**policy)
    assert "is not authorized to perform" in log(pipeline, changed, "Preview")


def test_approval_shows_commit_author_and_changes(pipeline: Sandbox, changed: str) -> None:
    assert retry(pipeline, changed, "Preview") == "Approval", log(pipeline, changed, "Preview")
    configuration = actions(pipeline, changed)["ApproveChanges"]["input"]["resolvedConfiguration"]
    head = pipeline.git("rev-parse", "HEAD")
    assert configuration["CustomData"] == f"Update dev to commit {head} by Ann? 2 to update."
    assert configuration["ExternalEntityLink"].startswith("https://us-east-1.console.aws.")
    lines = log(pipeline, changed, "Preview").splitlines()
    assert "Engine: embedded in the sandbox" in lines
    assert "    spec.maxReplicas: 3 => 5" in lines
    assert replicas(pipeline) == 3


def test_rejected_changes_are_not_made(pipeline: Sandbox, changed: str) -> None:
    pipeline.json("pipeline", "reject", "dev", "--message", "Too many")
    assert wait(pipeline, changed) == "Failed"
    assert actions(pipeline, changed).keys().isdisjoint({"Update", "Deploy"})
    assert replicas(pipeline) == 3


def test_update_without_its_policy_is_denied(pipeline: Sandbox, changed: str) -> None:
    """The stage is retried after each failure, as its message says."""
    iam, name = pipeline.client("iam"), role_name(pipeline, "pipeline-infrastructure-update")
    policy = {"RoleName": name, "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}
    iam.detach_role_policy(**policy)
    assert retry(pipeline, changed, "Update") == "Approval"
    pipeline.json("pipeline", "approve", "dev")
    assert wait(pipeline, changed) == "Failed"
    iam.attach_role_policy(**policy)
    assert actions(pipeline, changed)["Update"]["status"] == "Failed"
    assert "is not authorized to perform" in log(pipeline, changed, "Update")
    assert replicas(pipeline) == 3


def test_update_beside_another_update_says_to_wait(pipeline: Sandbox, changed: str) -> None:
    backend = Backend(pipeline.home / "state")
    with backend.lock("platform", "dev"):
        assert retry(pipeline, changed, "Update") == "Failed"
    lines = log(pipeline, changed, "Update")
    assert "Another update of dev is running. Nothing was changed." in lines
    assert f"--stage-name Update --pipeline-execution-id {changed}" in lines
    assert replicas(pipeline) == 3


def test_approved_changes_are_made_before_the_release(pipeline: Sandbox, changed: str) -> None:
    assert retry(pipeline, changed, "Update") == "Succeeded", log(pipeline, changed, "Update")
    assert replicas(pipeline) == 5
    assert list(actions(pipeline, changed))[-3:] == ["Update", "Deploy", "Verify"]
    pipeline.json("preview", "dev", "--expect-no-changes")  # fails if anything changes


@needs_cli
def test_builds_use_the_pulumi_cli_where_it_is_installed(pipeline: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "preview.yml").write_text(inline_buildspec("infrastructure-preview"))
    replace(pipeline.project / "Pulumi.dev.yaml", "    minimum: 1\n", "    minimum: 2\n")
    variables = {"STACK": "dev", "OWN_NAME": "pipeline", "DATA_TYPES": json.dumps(DATA_TYPES)}
    options = [word for item in variables.items() for word in ("-e", "=".join(item))]
    build = ("codebuild", "run", str(tmp_path / "preview.yml"), "--source", ".", *options)
    ran = pipeline.run(*build, environment={"SANDBOX_ENGINE": "auto"})
    pipeline.git("checkout", "--", "Pulumi.dev.yaml")
    assert ran.returncode == 0, ran.stdout
    lines = ran.stdout.splitlines()
    assert [line for line in lines if line.startswith("Engine: pulumi v3.")], lines
    assert "    spec.minReplicas: 1 => 2" in lines


def test_commit_without_infrastructure_changes_waits_for_no_approval(pipeline: Sandbox) -> None:
    page = pipeline.project / "app" / "templates" / "page.html"
    page.write_text(f"{page.read_text()}<!-- another image -->\n")
    commit(pipeline, "Change the page")
    execution = push(pipeline)
    assert wait(pipeline, execution, until="Deploy") == "Deploy"
    assert actions(pipeline, execution).keys().isdisjoint({"ApproveChanges", "Update"})
    assert "No changes." in log(pipeline, execution, "Preview").splitlines()
    stages = pipeline.client("codepipeline").get_pipeline_state(name=PIPELINE)["stageStates"]
    (update,) = [stage for stage in stages if stage["stageName"] == "Update"]
    assert update["latestExecution"]["status"] == "Skipped"


def test_program_that_fails_stops_at_the_preview(pipeline: Sandbox) -> None:
    program = pipeline.project / "__main__.py"
    program.write_text(f"{program.read_text()}\nraise RuntimeError('no such zone')\n")
    commit(pipeline, "Break the program")
    execution = push(pipeline)
    assert wait(pipeline, execution) == "Failed"
    assert list(actions(pipeline, execution))[-1] == "Preview"
    lines = log(pipeline, execution, "Preview")
    assert "RuntimeError: no such zone" in lines
    assert "The preview of dev failed; nothing was changed." in lines
