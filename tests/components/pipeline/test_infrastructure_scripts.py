"""Scripts that preview and update the stack, with Pulumi, the sandbox and the AWS CLI replaced."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.aws.data_types import DATA_TYPES
from components.pipeline.buildspecs import inline_buildspec

pytestmark = pytest.mark.skipif(shutil.which("jq") is None, reason="the builds need jq")

EXPORTED = 'echo "${CHANGED-}|${SUMMARY-}|${LOG_URL-}" >exported'
PREFIX = "urn:pulumi:dev::platform::platform:index"
DATABASE = f"{PREFIX}:Database$aws:rds/instance:Instance::database"
SUBNET = f"{PREFIX}:Network$aws:ec2/subnet:Subnet::network-a"
PROJECT = f"{PREFIX}:Pipeline$aws:codebuild/project:Project::pipeline-infrastructure-update"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}


def step(op: str, urn: str, *paths: str, replaces: bool = False) -> dict[str, Any]:
    """A step of the sandbox's preview."""
    changes = [
        {"path": path, "kind": "update", "old": 1, "new": 2, "replaces": replaces} for path in paths
    ]
    return {"op": op, "urn": urn, "changes": changes}


@dataclass(frozen=True)
class Build:
    """A build's directory, with the programs on its PATH."""

    directory: Path

    def program(self, name: str, script: str) -> None:
        file = self.directory / "bin" / name
        file.write_text(f"#!/bin/bash\n{script}\n")
        file.chmod(0o755)

    def preview(self, *steps: dict[str, Any], code: int = 0, **document: Any) -> None:
        """Let `sandbox preview` print a document; `sandbox up` prints and exits as given."""
        text = json.dumps({"engine": "embedded", "steps": steps, **document})
        (self.directory / "document.json").write_text(text)
        self.program(
            "sandbox",
            'echo "$@" >>commands; if [ "$1" = preview ]; then '
            f"cat document.json; exit {code}; fi; . ./up",
        )
        if not (self.directory / "up").exists():
            self.up("echo updated")

    def up(self, script: str) -> None:
        (self.directory / "up").write_text(script)

    def approve(self, *steps: dict[str, Any]) -> None:
        """Let the artifact of the preview contain these steps."""
        self.preview(*steps)
        self.run("infrastructure-preview")
        (self.directory / "changes").mkdir()
        (self.directory / "changes.json").rename(self.directory / "changes" / "changes.json")

    def run(self, step: str) -> subprocess.CompletedProcess[str]:
        """Run the command of the phase `build`, then print what it exports."""
        (command,) = yaml.safe_load(inline_buildspec(step))["phases"]["build"]["commands"]
        return subprocess.run(
            ["bash", "-c", f"{command}\ncode=$?; {EXPORTED}; exit $code"],
            cwd=self.directory,
            env={
                "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}",
                "STACK": "dev",
                "OWN_NAME": "pipeline",
                "PIPELINE_NAME": "platform-dev-pipeline",
                "EXECUTION_ID": "execution",
                "REVISION": "c0ffee",
                "REVISION_TYPE": "COMMIT_ID",
                "AWS_REGION": "us-east-1",
                "CODEBUILD_BUILD_ID": "project:build",
                "CODEBUILD_SRC_DIR_changes": str(self.directory / "changes"),
                "DATA_TYPES": json.dumps(DATA_TYPES),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def exported(self) -> list[str]:
        return (self.directory / "exported").read_text().strip().split("|")

    @property
    def commands(self) -> list[str]:
        return (self.directory / "commands").read_text().splitlines()


@pytest.fixture
def build(tmp_path: Path) -> Build:
    (tmp_path / "bin").mkdir()
    created = Build(tmp_path)
    created.program("aws", 'echo "aws $@" >>commands; cat version 2>/dev/null || echo 1')
    return created


def test_summary_names_lost_data_first(build: Build) -> None:
    build.preview(
        step("create", SUBNET),
        step("update", f"{SUBNET}2", "tags"),
        step("replace", DATABASE, "identifier", replaces=True),
        step("delete", f"{PREFIX}:Network$aws:ec2/natGateway:NatGateway::network-b"),
    )
    ran = build.run("infrastructure-preview")
    assert ran.returncode == 0, ran.stderr
    assert build.exported == [
        "true",
        "DATA LOSS: replace of aws:rds:Instance database deletes the database. "
        "1 to create, 1 to update, 1 to replace, 1 to delete. "
        "Replaced: aws:rds:Instance database. Deleted: aws:ec2:NatGateway network-b.",
        "https://us-east-1.console.aws.amazon.com/codesuite/codebuild/projects/project/build/"
        "project:build/log?region=us-east-1",
    ]
    assert "    identifier: 1 => 2 (replaces)" in ran.stdout.splitlines()
    approved = json.loads((build.directory / "changes.json").read_text())
    assert {"op": "create", "urn": SUBNET, "properties": []} in approved
    assert '"old"' not in json.dumps(approved)


def test_summary_of_many_changes_fits_an_approval(build: Build) -> None:
    build.preview(*(step("delete", f"{DATABASE}-{number}") for number in range(200)))
    build.run("infrastructure-preview")
    summary = build.exported[1]
    assert "and 197 more" in summary
    assert "200 to delete" in summary
    assert len(summary) < 700


def test_preview_without_changes_exports_that(build: Build) -> None:
    build.preview()
    assert build.run("infrastructure-preview").returncode == 0
    assert build.exported[:2] == ["false", "No changes."]
    assert json.loads((build.directory / "changes.json").read_text()) == []


def test_failed_preview_prints_the_errors(build: Build) -> None:
    diagnostic = {"severity": "error", "urn": "", "message": "NameError: no such name"}
    build.preview(code=1, diagnostics=[diagnostic])
    ran = build.run("infrastructure-preview")
    assert ran.returncode == 1
    assert "NameError: no such name" in ran.stderr
    assert "The preview of dev failed; nothing was changed." in ran.stderr


@pytest.mark.parametrize("op", ["delete", "replace"])
def test_preview_refuses_a_commit_that_removes_the_update_itself(build: Build, op: str) -> None:
    build.preview(step(op, PROJECT))
    ran = build.run("infrastructure-preview")
    assert ran.returncode == 1
    assert f"{op} aws:codebuild/project:Project pipeline-infrastructure-update" in ran.stderr
    assert "Run `pulumi up --stack dev` outside of the pipeline." in ran.stderr


def test_preview_reads_the_document_of_pulumi_and_masks_secrets(build: Build) -> None:
    secret = {"inputs": {"password": SECRET, "tags": {"Name": "a"}}}
    other = {"inputs": {"password": SECRET, "tags": {"Name": "b"}}}
    detailed = {
        "password": {"kind": "update-replace"},
        "tags.Name": {"kind": "update"},
    }
    states = {"urn": DATABASE, "oldState": secret, "newState": other, "detailedDiff": detailed}
    parts = ("create-replacement", "replace", "delete-replaced")
    steps = [{"op": op, **states} for op in parts] + [{"op": "same", "urn": SUBNET}]
    (build.directory / "document.json").write_text(json.dumps({"steps": steps}))
    build.program("pulumi", 'if [ "$1" = preview ]; then cat document.json; else echo v3; fi')
    ran = build.run("infrastructure-preview")
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0] == "Engine: pulumi v3"
    assert '    password: "[secret]" => "[secret]" (replaces)' in lines
    assert '    tags.Name: "a" => "b"' in lines
    assert "1 to replace." in build.exported[1]


def test_update_of_approved_changes_or_a_part_of_them_runs(build: Build) -> None:
    build.approve(step("update", SUBNET, "tags"), step("create", f"{SUBNET}2"))
    build.preview(step("update", SUBNET, "tags"))
    ran = build.run("infrastructure-update")
    assert ran.returncode == 0, ran.stderr
    assert build.commands[-3:-1] == [
        "refresh dev --yes --target **kubernetes:apps/v1:Deployment::**",
        "up dev --yes",
    ]
    assert not [command for command in build.commands if "start-pipeline" in command]


@pytest.mark.parametrize(
    "other",
    [
        step("delete", SUBNET),
        step("update", SUBNET, "tags", "cidrBlock"),
        step("update", SUBNET, "tags", replaces=True),
        step("create", DATABASE),
    ],
)
def test_update_of_other_changes_than_the_approved_is_refused(
    build: Build, other: dict[str, Any]
) -> None:
    build.approve(step("update", SUBNET, "tags"))
    build.preview(other)
    ran = build.run("infrastructure-update")
    assert ran.returncode == 1
    assert f"{other['op']} {other['urn']}" in ran.stderr
    assert "Nothing was changed. Start the pipeline again" in ran.stderr
    assert "up dev --yes" not in build.commands


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("error: the stack is currently locked by 1 lock(s)", "Another update of dev is running."),
        ("The stack is locked by root@host (pid 1)", "Another update of dev is running."),
        ("error: AccessDenied", "The update of dev failed, possibly after some changes."),
    ],
)
def test_failed_update_says_how_to_retry(build: Build, output: str, message: str) -> None:
    build.approve(step("update", SUBNET, "tags"))
    build.up(f"echo {output!r} >&2; exit 3")
    ran = build.run("infrastructure-update")
    assert ran.returncode == 3
    assert message in ran.stderr
    assert (
        "aws codepipeline retry-stage-execution --pipeline-name platform-dev-pipeline "
        "--stage-name Update --pipeline-execution-id execution --retry-mode FAILED_ACTIONS"
    ) in ran.stderr


def test_update_of_the_pipeline_itself_starts_it_again_with_the_same_commit(build: Build) -> None:
    build.approve(step("update", SUBNET, "tags"))
    build.up("echo 2 >version")
    assert build.run("infrastructure-update").returncode == 0
    assert build.commands[-1] == (
        "aws codepipeline start-pipeline-execution --name platform-dev-pipeline --query "
        "pipelineExecutionId --output text --source-revisions "
        "actionName=Source,revisionType=COMMIT_ID,revisionValue=c0ffee"
    )
