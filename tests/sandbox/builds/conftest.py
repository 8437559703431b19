"""An account whose builds run, and projects in it."""

from __future__ import annotations

import io
import json
import sys
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox.account import Account
from sandbox.builds import LocalBuildRunner, Surroundings, Toolbox
from sandbox.builds.aws_session import OWN_KEY, AwsSession
from sandbox.runtime.home import SOURCE_DIRECTORY, user_cache

SECONDS = 60.0
ACTIONS = ["logs:*", "s3:*", "ssm:*", "secretsmanager:*", "kms:*"]
REPORTS = ["codebuild:CreateReportGroup", "codebuild:CreateReport", "codebuild:UpdateReport"]
REPORTS += ["codebuild:BatchPutTestCases", "codebuild:BatchPutCodeCoverages"]


def surroundings(home: Path, account: Account) -> Surroundings:
    return Surroundings(
        session=lambda region: AwsSession(account.url, region, OWN_KEY),
        tools=Toolbox(
            directory=home / "tools",
            cache=user_cache() / "environments",
            docker=lambda: {
                "SANDBOX_HOME": str(home),
                "SANDBOX_IMAGE_CACHE": str(home / "images"),
                "SANDBOX_REGISTRY": "localhost:1",
            },
        ),
        # The clone may be below /tmp.
        visible=(home, SOURCE_DIRECTORY, Path(sys.prefix)),
        cache=home / "cache",
        package_cache=home / "packages",
    )


class Builds:
    """Projects and builds of an account."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.account = Account(home / "account", time_scale=0.0)
        self.start()
        self.role = self._role()
        self.bucket = f"bucket-{uuid.uuid4().hex[:8]}"
        self.client("s3").create_bucket(Bucket=self.bucket)

    def start(self) -> None:
        self.runner = LocalBuildRunner(self.home / "builds", surroundings(self.home, self.account))
        self.account.builds = self.runner
        self.account.start()
        self.own = AwsSession(self.account.url, "us-east-1", OWN_KEY)

    def stop(self) -> None:
        self.runner.close()
        self.account.stop()

    def client(self, service: str) -> Any:
        return self.own.client(service)

    def _role(self, actions: list[str] | None = None) -> str:
        principal = {"Service": "codebuild.amazonaws.com"}
        trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
        name = f"role-{uuid.uuid4().hex[:8]}"
        iam = self.client("iam")
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
        self.grant(name, actions or ACTIONS)
        return str(arn)

    def grant(self, role_name: str, actions: list[str], resource: str = "*") -> None:
        grant = {"Effect": "Allow", "Action": actions, "Resource": resource}
        self.client("iam").put_role_policy(
            RoleName=role_name, PolicyName="p", PolicyDocument=_policy(grant)
        )

    def new_role(self, actions: list[str]) -> str:
        return self._role(actions)

    def project(self, buildspec: str, **changes: Any) -> str:
        name = f"project-{uuid.uuid4().hex[:8]}"
        request: dict[str, Any] = {
            "source": {"type": "NO_SOURCE", "buildspec": buildspec},
            "artifacts": {"type": "NO_ARTIFACTS"},
            "environment": {
                "type": "LINUX_CONTAINER",
                "image": "aws/codebuild/amazonlinux-x86_64-standard:6.0",
                "computeType": "BUILD_GENERAL1_SMALL",
            },
            "serviceRole": self.role,
        }
        self.client("codebuild").create_project(name=name, **{**request, **changes})
        return name

    def submit(self, project: str, **overrides: Any) -> str:
        build = self.client("codebuild").start_build(projectName=project, **overrides)["build"]
        return str(build["id"])

    def get(self, id: str) -> dict[str, Any]:
        [build] = self.client("codebuild").batch_get_builds(ids=[id])["builds"]
        return dict(build)

    def wait(
        self, id: str, until: Callable[[dict[str, Any]], bool] | None = None
    ) -> dict[str, Any]:
        condition = until or (lambda build: bool(build["buildComplete"]))
        deadline = time.monotonic() + SECONDS
        while not condition(build := self.get(id)):
            assert time.monotonic() < deadline, build
            time.sleep(0.02)
        return build

    def run(
        self, buildspec: str, project: Mapping[str, Any] | None = None, **overrides: Any
    ) -> Ended:
        name = self.project(buildspec, **(project or {}))
        build = self.wait(self.submit(name, **overrides))
        return Ended(build, self.log(build))

    def log(self, build: dict[str, Any]) -> list[str]:
        names = {
            "logGroupName": build["logs"]["groupName"],
            "logStreamName": build["logs"]["streamName"],
        }
        try:
            events = self.client("logs").get_log_events(**names, startFromHead=True)["events"]
        except self.client("logs").exceptions.ResourceNotFoundException:
            return []
        return [event["message"].removesuffix("\n") for event in events]

    def upload(self, key: str, files: Mapping[str, str]) -> str:
        """Upload a zip file; return its location."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for name, text in files.items():
                item = zipfile.ZipInfo(name)
                item.external_attr = (0o755 if text.startswith("#!") else 0o644) << 16
                archive.writestr(item, text)
        self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=content.getvalue())
        return f"{self.bucket}/{key}"

    def object(self, key: str) -> bytes:
        return bytes(self.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def unzip(self, key: str) -> dict[str, str]:
        with zipfile.ZipFile(io.BytesIO(self.object(key))) as archive:
            return {name: archive.read(name).decode() for name in archive.namelist()}


class Ended:
    """A build that has ended, and its log."""

    def __init__(self, build: dict[str, Any], log: list[str]) -> None:
        self.build, self.log = build, log
        self.status = build["buildStatus"]
        self.phases = {phase["phaseType"]: phase.get("phaseStatus") for phase in build["phases"]}

    @property
    def output(self) -> list[str]:
        """The lines of the commands."""
        return [line for line in self.log if not line.startswith("[Container]")]

    @property
    def contexts(self) -> dict[str, tuple[str, str]]:
        """Status code and message of each failed phase."""
        return {
            phase["phaseType"]: (context["statusCode"], context["message"])
            for phase in self.build["phases"]
            for context in phase.get("contexts", ())
            if context.get("statusCode")
        }


def _policy(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builds]:
    builds = Builds(tmp_path_factory.mktemp("builds"))
    yield builds
    builds.stop()
