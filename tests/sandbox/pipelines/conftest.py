"""An account whose pipelines run, on a scripted build service."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from sandbox.account import Account
from sandbox.account.core import moto_setup
from sandbox.pipelines import AccountClients, CodePipelineRunner, Repositories, Services
from tests.sandbox.pipelines.scripted_builds import ScriptedBuilds

BUCKET, SOURCE = "artifacts-of-tests", "source-of-tests"
ROLE = "arn:aws:iam::123456789012:role/pipeline"
PIPELINE = "release"
SECONDS = 15.0
GRANTS: dict[str, dict[str, Any]] = {
    "builds": {"Action": ["codebuild:StartBuild", "codebuild:BatchGetBuilds"], "Resource": "*"},
    "artifacts": {"Action": "s3:*", "Resource": "*"},
    "alarms": {"Action": "cloudwatch:DescribeAlarms", "Resource": "*"},
    "approvals": {"Action": "sns:Publish", "Resource": "*"},
    "connections": {"Action": "codeconnections:UseConnection", "Resource": "*"},
}


def action(name: str, provider: str = "CodeBuild", **more: Any) -> dict[str, Any]:
    """Return the declaration of an action; a build runs the project of its name."""
    category = {
        "CodeBuild": "Build",
        "Commands": "Compute",
        "Manual": "Approval",
        "S3": "Source",
    }[provider]
    kind = {"category": category, "owner": "AWS", "provider": provider, "version": "1"}
    declaration: dict[str, Any] = {"name": name, "actionTypeId": kind, **more}
    if provider == "CodeBuild":
        declaration.setdefault("configuration", {"ProjectName": name.lower()})
        declaration.setdefault("inputArtifacts", [{"name": "source"}])
    return declaration


SOURCE_STAGE: dict[str, Any] = {
    "name": "Source",
    "actions": [
        action(
            "Fetch",
            "S3",
            namespace="source",
            configuration={"S3Bucket": SOURCE, "S3ObjectKey": "source.zip"},
            outputArtifacts=[{"name": "source"}],
        )
    ],
}


def stage(name: str, *actions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "actions": list(actions) or [action(name)], **more}


class World:
    """An account with a runner, and what pipelines of tests need."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.builds = ScriptedBuilds()
        self.repositories = Repositories(directory / "repositories")
        self.start()

    def start(self) -> None:
        self.account = Account(self.directory / "account", builds=self.builds, time_scale=0.0)
        services = Services(
            clients=AccountClients(lambda: self.account.url),
            repositories=self.repositories,
            builds=self.builds,
            permits=self.account.authorize,
            time_scale=0.0,
            emit=self.account.emit,
        )
        self.runner = CodePipelineRunner(self.directory / "pipelines", services)
        self.account.pipelines = self.runner
        self.account.start()
        self.runner.resume()
        self.pipelines = self.client("codepipeline")

    def stop(self) -> None:
        self.runner.close()
        self.account.stop()

    def restart(self) -> None:
        self.stop()
        self.start()

    def client(self, service: str, **credentials: str) -> Any:
        credentials = credentials or {
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
        }
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=self.account.url,
            config=Config(retries={"max_attempts": 0}),
            **credentials,
        )

    def prepare(self) -> None:
        """Create buckets, roles and the first source."""
        self.role("pipeline", "codepipeline.amazonaws.com", GRANTS)
        self.role("build", "codebuild.amazonaws.com", {})
        s3 = self.client("s3")
        for bucket in (BUCKET, SOURCE):
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=SOURCE, VersioningConfiguration={"Status": "Enabled"})
        self.upload("first")

    def role(self, name: str, service: str, grants: dict[str, dict[str, Any]]) -> None:
        iam = self.client("iam")
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sts:AssumeRole",
        }
        trust = {"Version": "2012-10-17", "Statement": [statement]}
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        for policy, grant in grants.items():
            self.grant(name, policy, grant)

    def grant(self, role: str, policy: str, grant: dict[str, Any]) -> None:
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **grant}]}
        self.client("iam").put_role_policy(
            RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document)
        )

    def upload(self, content: str) -> str:
        """Upload a source; return its version."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("content.txt", content)
        response = self.client("s3").put_object(
            Bucket=SOURCE, Key="source.zip", Body=archive.getvalue()
        )
        return str(response["VersionId"])

    def create(self, *stages: dict[str, Any], wait: bool = True, **more: Any) -> str:
        """Create a pipeline and the projects of its builds; return the first execution's ID."""
        codebuild = self.client("codebuild")
        existing = codebuild.list_projects()["projects"]
        for declaration in stages:
            for item in declaration["actions"]:
                project = (item.get("configuration") or {}).get("ProjectName")
                if project and project not in existing and project != "missing":
                    codebuild.create_project(
                        name=project,
                        source={"type": "CODEPIPELINE"},
                        artifacts={"type": "CODEPIPELINE"},
                        environment={
                            "type": "LINUX_CONTAINER",
                            "image": "aws/codebuild/standard:7.0",
                            "computeType": "BUILD_GENERAL1_SMALL",
                        },
                        serviceRole="arn:aws:iam::123456789012:role/build",
                    )
        pipeline = {
            "name": PIPELINE,
            "roleArn": ROLE,
            "pipelineType": "V2",
            "artifactStore": {"type": "S3", "location": BUCKET},
            "stages": [more.pop("source", SOURCE_STAGE), *stages],
            **more,
        }
        self.pipelines.create_pipeline(pipeline=pipeline)
        first = self.ids()[0]
        if wait:
            self.ended(first)
        return first

    def release(self, **more: Any) -> str:
        return str(
            self.pipelines.start_pipeline_execution(name=PIPELINE, **more)["pipelineExecutionId"]
        )

    def ids(self) -> list[str]:
        """Return the executions, newest first."""
        return [item["pipelineExecutionId"] for item in self.summaries()]

    def summaries(self) -> list[dict[str, Any]]:
        response = self.pipelines.list_pipeline_executions(pipelineName=PIPELINE)
        return list(response["pipelineExecutionSummaries"])

    def execution(self, id: str) -> dict[str, Any]:
        response = self.pipelines.get_pipeline_execution(
            pipelineName=PIPELINE, pipelineExecutionId=id
        )
        return dict(response["pipelineExecution"])

    def ended(self, id: str, status: str = "") -> dict[str, Any]:
        """Wait until an execution has ended, and check its status."""
        execution = self.wait(
            lambda: result if (result := self.execution(id))["status"] not in LIVE else None
        )
        if status:
            assert execution["status"] == status, execution
        return dict(execution)

    def wait(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + SECONDS
        while not (value := condition()):
            assert time.monotonic() < deadline, self.pipelines.get_pipeline_state(name=PIPELINE)
            time.sleep(0.02)
        return value

    def state(self, stage: str) -> dict[str, Any]:
        states = self.pipelines.get_pipeline_state(name=PIPELINE)["stageStates"]
        return next(dict(item) for item in states if item["stageName"] == stage)

    def action(self, id: str, name: str) -> dict[str, Any]:
        """Return the latest execution of an action."""
        details = self.actions(id)
        return next(item for item in details if item["actionName"] == name)

    def actions(self, id: str) -> list[dict[str, Any]]:
        response = self.pipelines.list_action_executions(
            pipelineName=PIPELINE, filter={"pipelineExecutionId": id}
        )
        return list(response["actionExecutionDetails"])

    def error(self, id: str, name: str) -> dict[str, Any]:
        """Return the error of a failed action."""
        detail = self.action(id, name)
        assert detail["status"] == "Failed", detail
        return dict(detail["output"]["executionResult"]["errorDetails"])

    def token(self, stage: str = "Approve", action: str = "Approve") -> str:
        """Wait for an approval, and return its token."""

        def find() -> str:
            states = {item["actionName"]: item for item in self.state(stage)["actionStates"]}
            return str(states[action].get("latestExecution", {}).get("token", ""))

        return str(self.wait(find))

    def approve(self, status: str = "Approved", client: Any = None, **more: str) -> None:
        (client or self.pipelines).put_approval_result(
            **{
                "pipelineName": PIPELINE,
                "stageName": "Approve",
                "actionName": "Approve",
                "token": more.get("token") or self.token(),
                **more,
            },
            result={"status": status, "summary": "reviewed"},
        )


LIVE = {"InProgress", "Stopping"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # Loading AWS's own policies, which no test here uses, takes seconds.
    moto_setup.install()  # it sets the variable once for all tests of the process
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "false")
    world = World(tmp_path)
    world.prepare()
    yield world
    world.stop()
