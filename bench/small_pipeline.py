"""A pipeline of short builds in a sandbox of its own."""

from __future__ import annotations

import io
import json
import os
import signal
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from sandbox.runtime import build_processes
from sandbox.runtime.background import CREDENTIALS, ensure_running, read_info, stop
from sandbox.runtime.home import Home

LIVE = {"InProgress", "Stopping"}
_NAME = "short"
_BUCKET = "artifacts-of-short"


class SmallPipeline:
    """Stages after Source have one build each, or several in parallel.

    `stages` maps a stage's name to the buildspec commands of its builds.
    """

    def __init__(
        self, directory: Path, stages: Mapping[str, list[str]], mode: str = "PARALLEL"
    ) -> None:
        self.home = Home(directory / "home")
        self.start()
        self._prepare()
        self._create(stages, mode)

    def start(self) -> None:
        """Start the background process, if it does not run."""
        self.url = ensure_running(self.home).account

    def stop(self) -> None:
        """Stop the background process."""
        stop(self.home, force=True)

    def kill(self) -> None:
        """Kill the background process."""
        if (info := read_info(self.home)) is not None:
            os.kill(info.pid, signal.SIGKILL)

    def builds(self) -> list[int]:
        """Return the supervisors of all running builds."""
        pids = [build_processes.supervisor(path) for path in self.home.builds.glob("*")]
        return [pid for pid in pids if pid is not None]

    def client(self, service: str) -> Any:
        """Return a client of the account."""
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"max_attempts": 0}, proxies={}, read_timeout=60),
        )

    def release(self) -> str:
        """Start an execution."""
        response = self.client("codepipeline").start_pipeline_execution(name=_NAME)
        return str(response["pipelineExecutionId"])

    def first(self) -> str:
        """Return the execution that the pipeline's creation has started."""
        response = self.client("codepipeline").list_pipeline_executions(pipelineName=_NAME)
        return str(response["pipelineExecutionSummaries"][-1]["pipelineExecutionId"])

    def statuses(self) -> dict[str, str]:
        """Return the status of each execution."""
        pages = self.client("codepipeline").get_paginator("list_pipeline_executions")
        return {
            item["pipelineExecutionId"]: item["status"]
            for page in pages.paginate(pipelineName=_NAME)
            for item in page["pipelineExecutionSummaries"]
        }

    def wait(self, id: str, seconds: float = 120.0) -> str:
        """Wait until an execution has ended; return its status."""
        deadline = time.monotonic() + seconds
        while (status := self.statuses()[id]) in LIVE and time.monotonic() < deadline:
            time.sleep(0.2)
        return status

    def actions(self, id: str) -> list[dict[str, Any]]:
        """Return the executions of an execution's actions."""
        response = self.client("codepipeline").list_action_executions(
            pipelineName=_NAME, filter={"pipelineExecutionId": id}
        )
        return list(response["actionExecutionDetails"])

    def build(self, id: str) -> dict[str, Any]:
        """Return a build."""
        [build] = self.client("codebuild").batch_get_builds(ids=[id])["builds"]
        return dict(build)

    def _prepare(self) -> None:
        s3 = self.client("s3")
        s3.create_bucket(Bucket=_BUCKET)
        s3.put_bucket_versioning(Bucket=_BUCKET, VersioningConfiguration={"Status": "Enabled"})
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("content.txt", "content")
        s3.put_object(Bucket=_BUCKET, Key="source.zip", Body=archive.getvalue())
        for name in ("codepipeline", "codebuild"):
            principal = {"Service": f"{name}.amazonaws.com"}
            trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
            grant = {"Effect": "Allow", "Action": "*", "Resource": "*"}
            iam = self.client("iam")
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=_document(trust))
            iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=_document(grant))

    def _create(self, stages: Mapping[str, list[str]], mode: str) -> None:
        declared = [_source()]
        for stage, commands in stages.items():
            actions = []
            for number, command in enumerate(commands):
                name = f"{stage}-{number}"
                self._project(name, command)
                actions.append(_build(name))
            declared.append({"name": stage, "actions": actions})
        self.client("codepipeline").create_pipeline(
            pipeline={
                "name": _NAME,
                "roleArn": "arn:aws:iam::123456789012:role/codepipeline",
                "pipelineType": "V2",
                "executionMode": mode,
                "artifactStore": {"type": "S3", "location": _BUCKET},
                "stages": declared,
            }
        )

    def _project(self, name: str, command: str) -> None:
        buildspec = {"version": 0.2, "phases": {"build": {"commands": [command]}}}
        self.client("codebuild").create_project(
            name=name,
            source={"type": "CODEPIPELINE", "buildspec": json.dumps(buildspec, indent=1)},
            artifacts={"type": "CODEPIPELINE"},
            environment={
                "type": "LINUX_CONTAINER",
                "image": "aws/codebuild/amazonlinux-x86_64-standard:6.0",
                "computeType": "BUILD_GENERAL1_SMALL",
            },
            serviceRole="arn:aws:iam::123456789012:role/codebuild",
        )


def _kind(category: str, provider: str) -> dict[str, str]:
    return {"category": category, "owner": "AWS", "provider": provider, "version": "1"}


def _source() -> dict[str, Any]:
    action = {
        "name": "Source",
        "actionTypeId": _kind("Source", "S3"),
        "configuration": {"S3Bucket": _BUCKET, "S3ObjectKey": "source.zip"},
        "outputArtifacts": [{"name": "source"}],
    }
    return {"name": "Source", "actions": [action]}


def _build(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "actionTypeId": _kind("Build", "CodeBuild"),
        "configuration": {"ProjectName": name},
        "inputArtifacts": [{"name": "source"}],
    }


def _document(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
