"""The tutorial's commands, with a release that fails before the one that succeeds."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tests.documentation.commands import Step, run
from tests.documentation.project import PROJECT, Clone

TUTORIAL = PROJECT / "docs" / "tutorial.md"
DATABASE = "    database:\n      enabled: true\n      name: echo\n"
ROLL_BACK = PROJECT / "docs" / "how-to" / "roll-back.md"


@pytest.fixture(scope="module")
def tutorial(clone: Clone) -> Iterator[Step]:
    return run(TUTORIAL, clone.directory, clone.environment)


def _until(tutorial: Iterator[Step], command: str) -> None:
    for step in tutorial:
        if command in step.commands:
            return
    pytest.fail(f"the tutorial has no {command}")


@pytest.mark.timeout(1800)
def test_change_is_committed_to_a_running_environment(tutorial: Iterator[Step]) -> None:
    _until(tutorial, "git commit")


def test_release_of_a_commit_whose_tests_fail_stops_at_test(clone: Clone) -> None:
    bad = clone.commit_test(passes=False)
    ran = clone.run("sandbox", "release", "dev")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert f"releases {bad[:12]}" in ran.stdout
    assert "The connection was PENDING; the sandbox has accepted it." in ran.stdout
    assert "1 failed" in ran.stdout, ran.stdout + ran.stderr
    assert "Stage Test: action Test failed" in ran.stderr


@pytest.mark.timeout(1800)
def test_release_serves_the_change_and_pulumi_keeps_it(
    clone: Clone, tutorial: Iterator[Step]
) -> None:
    clone.commit_test(passes=True)
    _until(tutorial, "make preview")


@pytest.mark.timeout(1800)
def test_second_release_reports_its_actions_and_can_be_rolled_back(clone: Clone) -> None:
    page = clone.directory / "app" / "templates" / "page.html"
    page.write_text(page.read_text().replace("Visitors", "Everybody"))
    commit = clone.commit_test(passes=True)
    ran = clone.run("sandbox", "release", "dev", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    document = json.loads(ran.stdout)
    assert (document["commit"], document["serves"]) == (commit, True)
    assert [(item["stage"], item["status"]) for item in document["actions"]] == [
        ("Source", "Succeeded"),
        ("Test", "Succeeded"),
        ("Build", "Succeeded"),
        ("Sign", "Succeeded"),
        ("Deploy", "Succeeded"),
        ("Deploy", "Succeeded"),
    ]
    _assert_signed_and_reported(clone, commit, document["digest"])
    assert "Everybody" in clone.run("curl", "-s", document["url"]).stdout
    assert len(list(run(ROLL_BACK, clone.directory, clone.environment))) == 1
    assert "Visitors" in clone.run("curl", "-s", document["url"]).stdout


def _assert_signed_and_reported(clone: Clone, commit: str, digest: str) -> None:
    variables = json.loads(clone.run("sandbox", "env", "dev", "--json").stdout)["variables"]

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            region_name=variables["AWS_REGION"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        )

    name = digest.replace(":", "-")
    tags = [commit, f"{name}.sbom", f"{name}.sig"]
    images = client("ecr").describe_images(
        repositoryName="platform-dev/image-proven", imageIds=[{"imageTag": tag} for tag in tags]
    )["imageDetails"]
    assert len(images) == len(tags)
    assert digest in {image["imageDigest"] for image in images}
    codebuild = client("codebuild")
    arns = codebuild.list_reports(sortOrder="ASCENDING")["reports"]
    reports = codebuild.batch_get_reports(reportArns=arns)["reports"]
    assert [report["status"] for report in reports] == ["FAILED", "SUCCEEDED", "SUCCEEDED"]


@pytest.mark.timeout(1800)
def test_second_service_is_released_to_a_workload_and_database_of_its_own(clone: Clone) -> None:
    block = (PROJECT / "examples" / "services.yaml").read_text()
    block = block.replace("    workload:\n", DATABASE + "    workload:\n", 1)
    stack_file = clone.directory / "Pulumi.dev.yaml"
    stack_file.write_text(stack_file.read_text() + textwrap.indent(block, "  "))
    tests = clone.directory / "tests" / "examples" / "echo"
    tests.mkdir(parents=True)
    (tests / "test_echo.py").write_text("def test_echo() -> None:\n    assert True\n")
    clone.commit_test(passes=True)
    ran = clone.run("sandbox", "up", "dev", "--yes")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    ran = clone.run("sandbox", "release", "dev", "--service", "echo", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    document = json.loads(ran.stdout)
    assert document["pipeline"] == "platform-dev-echo-pipeline"
    assert {item["status"] for item in document["actions"]} == {"Succeeded"}
    assert document["serves"] is True
    response = json.loads(clone.run("curl", "-s", document["url"]).stdout)
    assert document["digest"] in response["image"]
    assert response["database"].startswith("platform-dev-echo-database.")


def test_environment_is_deleted(tutorial: Iterator[Step]) -> None:
    _until(tutorial, "make destroy")
