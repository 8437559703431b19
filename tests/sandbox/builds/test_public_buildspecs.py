"""Buildspecs that use the features of AWS's public samples; the first builds run together."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.builds.conftest import ACTIONS, REPORTS, Builds, Ended

DIRECTORY = Path(__file__).with_name("public_buildspecs")
SOURCE = {
    "check_sum.py": "import unittest\n\nclass Sum(unittest.TestCase):\n"
    "    def test_adds(self):\n        self.assertEqual(1 + 1, 2)\n",
    "gradlew": "#!/bin/sh\nmkdir -p build/libs && echo jar > build/libs/app.jar\n",
    "package-lock.json": "{}",
    "other_buildspec.yml": "version: 0.2\nphases: {build: {commands: [echo other]}}\n",
}


class Samples:
    """The builds of all files that need no batch, started together."""

    def __init__(self, builds: Builds) -> None:
        self.builds = builds
        self.role = builds.new_role([*ACTIONS, *REPORTS])
        self.location = builds.upload("samples.zip", SOURCE)
        builds.client("ssm").put_parameter(Name="/samples/login", Value="admin", Type="String")
        builds.client("secretsmanager").create_secret(
            Name="samples/database",
            SecretString=json.dumps({"password": "correct horse", "host": "db"}),
        )
        names = [path.stem for path in DIRECTORY.iterdir() if not path.stem.startswith("batch_")]
        self._ids = {name: builds.submit(self.project(name)) for name in names}

    def project(self, name: str, **changes: Any) -> str:
        bucket = self.builds.bucket
        secondary = [
            {"type": "S3", "location": bucket, "path": name, "name": it, "artifactIdentifier": it}
            for it in ("site", "api")
        ]
        return self.builds.project(
            "",
            **{
                "source": {
                    "type": "S3",
                    "location": self.location,
                    "buildspec": (DIRECTORY / f"{name}.yml").read_text(),
                },
                "artifacts": {
                    "type": "S3",
                    "location": bucket,
                    "path": name,
                    "name": "output.zip",
                    "packaging": "ZIP",
                },
                "environment": {
                    "type": "LINUX_CONTAINER",
                    "image": "aws/codebuild/standard:7.0",
                    "computeType": "BUILD_GENERAL1_SMALL",
                    "environmentVariables": [{"name": "BUCKET", "value": bucket}],
                },
                "serviceRole": self.role,
                **({"secondaryArtifacts": secondary} if name == "secondary_artifacts" else {}),
                **changes,
            },
        )

    def __getitem__(self, name: str) -> Ended:
        build = self.builds.wait(self._ids[name])
        return Ended(build, self.builds.log(build))


@pytest.fixture(scope="module")
def samples(builds: Builds) -> Samples:
    return Samples(builds)


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("multi_line_commands", ["build web", "one two"]),
        ("parameters_and_secrets", ["login has 5 characters, password 13", "***"]),
        ("npm_cache_key", ["installed"]),
        ("version_0_1", ["name samples, lost ''"]),
        ("git_credential_helper", ["true"]),
        ("several_reports", []),
        ("retry_phase", []),
    ],
)
def test_sample_succeeds_with_its_output(samples: Samples, name: str, output: list[str]) -> None:
    ended = samples[name]
    assert (ended.status, ended.contexts) == ("SUCCEEDED", {})
    assert ended.output == output


def test_project_and_number_are_variables(samples: Samples) -> None:
    ended = samples["hello"]
    assert ended.output == [f"Hello from build 1 of {ended.build['projectName']}"]


def test_unit_tests_run_on_the_requested_python_and_are_reported(samples: Samples) -> None:
    ended = samples["python_unittest_report"]
    assert ended.status == "SUCCEEDED", ended.contexts
    assert "OK" in ended.output
    [arn] = ended.build["reportArns"]
    [report] = samples.builds.client("codebuild").batch_get_reports(reportArns=[arn])["reports"]
    assert report["testSummary"]["total"] == 1


def test_artifacts_are_zipped_without_their_paths(samples: Samples) -> None:
    assert samples["gradle_wrapper"].status == "SUCCEEDED"
    assert list(samples.builds.unzip("gradle_wrapper/output.zip")) == ["app.jar"]


def test_excluded_paths_are_missing_and_links_stay(samples: Samples) -> None:
    assert samples["exclude_and_symlinks"].status == "SUCCEEDED"
    files = samples.builds.unzip("exclude_and_symlinks/output.zip")
    assert files == {"app.txt": "app\n", "latest": "app.txt"}


def test_secondary_artifacts_are_separate(samples: Samples) -> None:
    assert samples["secondary_artifacts"].status == "SUCCEEDED"
    keys = samples.builds.client("s3").list_objects_v2(
        Bucket=samples.builds.bucket, Prefix="secondary_artifacts/"
    )["Contents"]
    paths = ["api/handler.py", "output.zip", "site/index.html"]
    assert [item["Key"].removeprefix("secondary_artifacts/") for item in keys] == paths


def test_exported_variables_are_those_of_the_last_command(samples: Samples) -> None:
    assert samples["exported_variables"].build["exportedEnvironmentVariables"] == [
        {"name": "IMAGE_TAG", "value": "latest"},
        {"name": "STAGE", "value": "beta"},
    ]


def test_finally_runs_and_abort_skips_post_build(samples: Samples) -> None:
    ended = samples["finally_and_on_failure"]
    assert ended.output == ["cleaning up after pre_build", "cleaning up after build"]
    assert "POST_BUILD" not in ended.phases


def test_website_is_uploaded_with_the_cli(samples: Samples) -> None:
    assert samples["s3_website"].status == "SUCCEEDED", samples["s3_website"].output
    assert samples.builds.object("website/index.html") == b"<h1>site</h1>\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run commands as another user")
def test_commands_run_as_the_user(samples: Samples) -> None:
    ended = samples["run_as_user"]
    assert ended.output == ["root", "nobody"]
    assert ended.status == "SUCCEEDED"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("proxy", "proxy is not emulated by the sandbox; remove it"),
        ("cloudformation_package", "Error while executing command: aws cloudformation"),
    ],
)
def test_what_is_not_emulated_is_refused_by_name(samples: Samples, name: str, reason: str) -> None:
    ended = samples[name]
    assert ended.status == "FAILED"
    assert any(reason in message for _, message in ended.contexts.values()), ended.contexts
