"""`sandbox codebuild`: a buildspec on this machine, and builds of the account."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests.end_to_end.conftest import Sandbox

SPEC = """
version: 0.2
phases:
  build:
    commands:
      - echo "$NAME reads $(cat file.txt)"
      - aws sts get-caller-identity --query Arn --output text
      - exit $CODE
"""
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "codebuild.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def test_buildspec_runs_from_any_directory(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "spec.yml").write_text(SPEC)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file.txt").write_text("content\n")
    elsewhere = replace(sandbox, project=tmp_path)
    arguments = ["codebuild", "run", "spec.yml", "--source", "source", "--env", "NAME=build"]
    passed = elsewhere.run(*arguments, "-e", "CODE=0")
    assert passed.returncode == 0, passed.stderr
    assert "build reads content" in passed.stdout
    failed = elsewhere.run(*arguments, "-e", "CODE=3")
    assert failed.returncode == 1
    assert "Phase complete: BUILD State: FAILED" in failed.stdout
    assert not list((sandbox.home / "builds" / "local").iterdir())


def test_build_under_a_role_has_its_identity(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.client("iam").create_role(
        RoleName="builder", AssumeRolePolicyDocument=json.dumps(TRUST)
    )
    (tmp_path / "spec.yml").write_text(SPEC)
    (tmp_path / "file.txt").write_text("")
    ran = replace(sandbox, project=tmp_path).run(
        "codebuild", "run", "spec.yml", "--role", "builder", "-e", "CODE=0"
    )
    assert "assumed-role/builder/sandbox-codebuild-run" in ran.stdout, ran.stderr


def test_builds_are_listed_and_their_logs_printed(sandbox: Sandbox) -> None:
    codebuild = sandbox.client("codebuild")
    iam = sandbox.client("iam")
    role = iam.create_role(RoleName="project", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    grant = {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [grant]})
    iam.put_role_policy(RoleName="project", PolicyName="p", PolicyDocument=policy)
    codebuild.create_project(
        name="project",
        source={
            "type": "NO_SOURCE",
            "buildspec": "version: 0.2\nphases: {build: {commands: [sleep 1, echo done, exit 1]}}",
        },
        artifacts={"type": "NO_ARTIFACTS"},
        environment={
            "type": "LINUX_CONTAINER",
            "image": "image",
            "computeType": "BUILD_GENERAL1_SMALL",
        },
        serviceRole=role["Arn"],
    )
    id = codebuild.start_build(projectName="project")["build"]["id"]
    followed = sandbox.run("codebuild", "logs", id, "--follow")
    assert followed.returncode == 1
    assert "done" in followed.stdout.splitlines()
    [build] = sandbox.json("codebuild", "list", "--project", "project")["builds"]
    assert (build["id"], build["buildStatus"]) == (id, "FAILED")
    missing = sandbox.run("codebuild", "logs", "project:none")
    assert missing.returncode == 2
    assert "there is no build project:none" in missing.stderr


def test_invalid_variable_is_refused(sandbox: Sandbox) -> None:
    ran = sandbox.run("codebuild", "run", "app/buildspecs/test.yml", "--env", "NAME")
    assert ran.returncode == 2
    assert "--env NAME must have the form NAME=VALUE" in ran.stderr
