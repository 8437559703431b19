"""Scripts of the buildspecs in app/buildspecs."""

import os
import re
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.pipeline.buildspecs import BUILDSPECS, inline_buildspec
from tests.components.factories import pipeline, record


def buildspec(step: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(inline_buildspec(step))
    return document


@pytest.mark.parametrize("step", sorted(file.stem for file in BUILDSPECS.glob("*.yml")))
def test_commands_are_valid_bash(step: str) -> None:
    phases = buildspec(step)["phases"]
    commands = [command for phase in phases.values() for command in phase.get("commands", ())]
    script = "\n".join(commands)
    assert script
    result = subprocess.run(
        ["bash", "-n"], input=script, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("promote_from", [None, "dev/image-proven"])
def test_every_project_runs_a_buildspec_of_the_program(promote_from: str | None) -> None:
    """A release must not be able to change the commands that gate it."""
    recording = record(partial(pipeline, "one", promote_from=promote_from))
    for project in recording.all("aws:codebuild/project:Project"):
        text = project.inputs["source"]["buildspec"]
        arn = "arn:aws:codebuild:us-east-1:123456789012:report-group/test-one-test-results"
        program = inline_buildspec(project.name.removeprefix("one-"))
        assert text == program.replace("REPORT_GROUP_ARN", arn)
        assert set(yaml.safe_load(text).get("reports", {})) <= {arn}
        commands = [
            command
            for phase in yaml.safe_load(text)["phases"].values()
            for command in phase["commands"]
        ]
        assert not [command for command in commands if re.search(r"^ *(bash|source) ", command)]


def test_deploy_script_is_part_of_the_buildspec() -> None:
    (command,) = yaml.safe_load(inline_buildspec("deploy"))["phases"]["build"]["commands"]
    script, fields = (
        (BUILDSPECS / name).read_text(encoding="utf-8")
        for name in ("deploy.sh", "release-fields.sh")
    )
    script = script.replace("source release-fields.sh\n", fields)
    # A subshell: `exit` would end the shell that runs all commands of the buildspec.
    assert command == f"(\n{script})\n"


def test_build_uses_the_configured_buildkit_image() -> None:
    project = record(lambda: pipeline("one")).one("aws:codebuild/project:Project", "one-build")
    variables = {
        entry["name"]: entry["value"]
        for entry in project.inputs["environment"]["environmentVariables"]
    }
    registry = variables["BUILDKIT_IMAGE"].partition("/")[0]
    assert registry not in {"docker.io", "moby", "index.docker.io"}
    assert "@sha256:" in variables["BUILDKIT_IMAGE"]
    script = (BUILDSPECS / "build.yml").read_text(encoding="utf-8")
    assert '--driver-opt "image=$BUILDKIT_IMAGE"' in script


@pytest.mark.parametrize(("trigger", "stopped"), [("CreatePipeline", True), ("WebhookV2", False)])
def test_promotion_stops_the_execution_that_pipeline_creation_starts(
    tmp_path: Path, trigger: str, stopped: bool
) -> None:
    command = buildspec("promote")["phases"]["pre_build"]["commands"][1]
    aws = f"""echo "$*" >> {tmp_path}/calls
    case "$*" in *get-pipeline-execution*) echo {trigger};; esac"""
    (tmp_path / "aws").write_text(f"#!/bin/bash\n{aws}\n", encoding="utf-8")
    (tmp_path / "aws").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    environment |= {"PIPELINE_NAME": "test-one", "EXECUTION_ID": "1"}
    result = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{command}"], env=environment, check=False
    )
    assert (result.returncode == 1) is stopped
    calls = (tmp_path / "calls").read_text(encoding="utf-8")
    assert ("stop-pipeline-execution --pipeline-name test-one" in calls) is stopped


def test_promotion_copies_the_manifest_unchanged() -> None:
    """Without the option, buildx wraps a single manifest in an index with another digest."""
    script = (BUILDSPECS / "promote.yml").read_text(encoding="utf-8")
    assert "imagetools create --prefer-index=false" in script


@pytest.mark.parametrize(
    ("page", "failures", "code", "last_line"),
    [
        (
            "sha256:new",
            0,
            0,
            "Bake of 1 minutes: 0 of 12 requests failed or took longer than 2 s.",
        ),
        (
            "sha256:new",
            1,
            1,
            "1 of 1 requests to http://one.test failed or took longer than 2 s.",
        ),
        ("sha256:old", 0, 1, "http://one.test does not run sha256:new."),
    ],
    ids=["healthy", "failing during the bake", "another release"],
)
def test_verification_requests_the_service_for_the_bake_time(
    tmp_path: Path, page: str, failures: int, code: int, last_line: str
) -> None:
    (script,) = buildspec("verify")["phases"]["build"]["commands"]
    # Responds at first; during the bake (time-out 2 s), the given number of requests fail.
    curl = f"""case "$*" in *"--max-time 2 "*)
        echo . >> {tmp_path}/requests
        if [ "$(wc -l < {tmp_path}/requests)" -le {failures} ]; then exit 22; fi
    esac
    echo {page}"""
    for name, body in {"curl": curl, "sleep": ""}.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "URL": "http://one.test",
        "WAIT_FOR_ROLLOUT": "",
        "IMAGE_DIGEST": "sha256:new",
        "BAKE_MINUTES": "1",
    }
    result = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    output = (result.stdout + result.stderr).splitlines()
    assert (result.returncode, output[-1]) == (code, last_line)


@pytest.mark.parametrize("step", ["build", "promote"])
def test_commit_of_a_source_without_one_is_a_hash_of_its_content(step: str, tmp_path: Path) -> None:
    document = buildspec(step)
    (command,) = [c for c in document["phases"]["pre_build"]["commands"] if "sha256sum" in c]
    assert "COMMIT" in document["env"]["exported-variables"]

    def commit_of(folder: str, text: str, commit: str = "content") -> str:
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        (path / "a file.txt").write_text(text)
        return subprocess.run(
            ["bash", "-c", f'set -euo pipefail\n{command}\necho "$COMMIT"'],
            cwd=path,
            env={**os.environ, "COMMIT": commit},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    assert re.fullmatch("[0-9a-f]{40}", commit_of("one", "text"))
    assert commit_of("one", "text") == commit_of("two", "text") != commit_of("three", "other")
    assert commit_of("one", "text", commit="abc") == "abc"
