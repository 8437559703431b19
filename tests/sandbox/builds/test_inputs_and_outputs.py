"""Sources, secrets, artifacts, caches and logs of builds."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.sandbox.builds.conftest import Builds

ECHO = "version: 0.2\nphases: {build: {commands: [cat file.txt]}}"


def test_zip_file_in_s3_is_the_source_with_its_modes(builds: Builds) -> None:
    spec = "version: 0.2\nphases: {build: {commands: [./run.sh]}}"
    location = builds.upload(
        "source.zip", {"buildspec.yml": spec, "run.sh": "#!/bin/sh\necho ran\n"}
    )
    ended = builds.run("", {"source": {"type": "S3", "location": location}})
    assert ended.output == ["ran"], ended.log


def test_folder_in_s3_is_the_source(builds: Builds) -> None:
    for name, text in {"a/file.txt": "content\n", "a/ci/spec.yml": ECHO}.items():
        builds.client("s3").put_object(Bucket=builds.bucket, Key=name, Body=text.encode())
    source = {"type": "S3", "location": f"{builds.bucket}/a/", "buildspec": "ci/spec.yml"}
    assert builds.run("", {"source": source}).output == ["content"]


def test_secondary_source_has_a_variable_for_its_directory(builds: Builds) -> None:
    location = builds.upload("other.zip", {"file.txt": "other\n"})
    spec = "version: 0.2\nphases: {build: {commands: [cat $CODEBUILD_SRC_DIR_other/file.txt]}}"
    secondary = {"type": "S3", "location": location, "sourceIdentifier": "other"}
    assert builds.run(spec, {"secondarySources": [secondary]}).output == ["other"]


def test_missing_source_fails_in_download_source(builds: Builds) -> None:
    source = {"type": "S3", "location": f"{builds.bucket}/none.zip", "buildspec": ECHO}
    ended = builds.run("", {"source": source})
    code, message = ended.contexts["DOWNLOAD_SOURCE"]
    assert (ended.status, code) == ("FAILED", "CLIENT_ERROR")
    assert "error while downloading key none.zip, error: NoSuchKey" in message


def test_missing_buildspec_fails_in_download_source(builds: Builds) -> None:
    location = builds.upload("empty.zip", {"file.txt": ""})
    ended = builds.run("", {"source": {"type": "S3", "location": location}})
    code, message = ended.contexts["DOWNLOAD_SOURCE"]
    assert code == "YAML_FILE_ERROR"
    assert message.endswith("/src/buildspec.yml: no such file or directory")


def test_source_without_a_local_repository_fails_by_name(builds: Builds) -> None:
    source = {"type": "GITHUB", "location": "https://example.com/o/r.git", "buildspec": ECHO}
    ended = builds.run("", {"source": source})
    assert "no local repository for the GITHUB source" in ended.contexts["DOWNLOAD_SOURCE"][1]


def test_file_outside_of_the_source_is_refused(builds: Builds) -> None:
    location = builds.upload("evil.zip", {"../evil.txt": "x", "buildspec.yml": ECHO})
    ended = builds.run("", {"source": {"type": "S3", "location": location}})
    assert "../evil.txt is outside" in ended.contexts["DOWNLOAD_SOURCE"][1]


def test_parameters_and_secrets_are_variables_and_masked(builds: Builds) -> None:
    builds.client("ssm").put_parameter(Name="/p", Value="parameter-value", Type="SecureString")
    builds.client("secretsmanager").create_secret(
        Name="s", SecretString=json.dumps({"password": "secret-value"})
    )
    ended = builds.run("""
version: 0.2
env:
  parameter-store: {P: /p}
  secrets-manager: {S: "s:password"}
phases:
  build:
    commands:
      - echo "$P $S"
      - '[ "$P $S" = "parameter-value secret-value" ]'
""")
    assert ended.status == "SUCCEEDED", ended.log
    assert ended.output == ["*** ***"]


@pytest.mark.parametrize(
    ("section", "code", "reason"),
    [
        ("parameter-store: {P: /absent}", "Decrypted Variables Error", "ParameterNotFound"),
        ("secrets-manager: {S: absent}", "Secrets Manager Error", "ResourceNotFoundException"),
    ],
)
def test_missing_secret_fails_before_the_commands(
    builds: Builds, section: str, code: str, reason: str
) -> None:
    spec = f"version: 0.2\nenv:\n  {section}\nphases: {{build: {{commands: [echo never]}}}}"
    ended = builds.run(spec)
    assert ended.contexts["DOWNLOAD_SOURCE"][0] == code
    assert reason in ended.contexts["DOWNLOAD_SOURCE"][1]
    assert ended.output == []


def test_secret_without_a_grant_is_denied(builds: Builds) -> None:
    builds.client("ssm").put_parameter(Name="/denied", Value="value", Type="String")
    spec = "version: 0.2\nenv:\n  parameter-store: {P: /denied}\nphases: {build: {commands: [a]}}"
    ended = builds.run(spec, {"serviceRole": builds.new_role(["logs:*"])})
    assert "AccessDenied" in ended.contexts["DOWNLOAD_SOURCE"][1]


def artifacts(builds: Builds, **changes: object) -> dict[str, object]:
    target = {"type": "S3", "location": builds.bucket, "path": uuid.uuid4().hex, "name": "out.zip"}
    return {**target, "packaging": "ZIP", **changes}


def test_artifacts_are_a_zip_file_without_excluded_files(builds: Builds) -> None:
    target = artifacts(builds)
    ended = builds.run(
        """
version: 0.2
phases:
  build: {commands: [mkdir -p dist/sub, echo a > dist/a.txt, echo b > dist/sub/b.txt, echo c > dist/c.log]}
artifacts:
  base-directory: dist
  files: ["**/*"]
  exclude-paths: ["**/*.log"]
""",  # noqa: E501
        {"artifacts": target},
    )
    assert builds.unzip(f"{target['path']}/out.zip") == {"a.txt": "a\n", "sub/b.txt": "b\n"}
    assert len(ended.build["artifacts"]["sha256sum"]) == 64


def test_artifact_name_is_expanded_and_paths_are_discarded(builds: Builds) -> None:
    target = artifacts(builds, overrideArtifactName=True, packaging="NONE")
    builds.run(
        """
version: 0.2
phases:
  build: {commands: [mkdir -p x/y, echo z > x/y/z.txt, export N=7]}
artifacts:
  files: [x/**/*]
  name: build-$N-$(echo end)
  discard-paths: yes
""",
        {"artifacts": target},
    )
    assert builds.object(f"{target['path']}/build-7-end/z.txt") == b"z\n"


def test_secondary_artifacts_have_their_own_files(builds: Builds) -> None:
    primary = artifacts(builds)
    second = {**artifacts(builds), "artifactIdentifier": "second"}
    ended = builds.run(
        """
version: 0.2
phases:
  build: {commands: [echo 1 > one, echo 2 > two]}
artifacts:
  files: [one]
  secondary-artifacts:
    second: {files: [two]}
""",
        {"artifacts": primary, "secondaryArtifacts": [second]},
    )
    assert builds.unzip(f"{primary['path']}/out.zip") == {"one": "1\n"}
    assert builds.unzip(f"{second['path']}/out.zip") == {"two": "2\n"}
    assert ended.build["secondaryArtifacts"][0]["artifactIdentifier"] == "second"


def test_artifacts_without_files_fail_in_upload_artifacts(builds: Builds) -> None:
    ended = builds.run(
        "version: 0.2\nphases: {build: {commands: [echo]}}\nartifacts: {files: [none/*]}",
        {"artifacts": artifacts(builds)},
    )
    assert ended.contexts == {
        "UPLOAD_ARTIFACTS": ("CLIENT_ERROR", "no matching artifact paths found")
    }


@pytest.mark.parametrize("kind", ["LOCAL", "S3"])
def test_cached_files_are_restored_in_the_next_build(builds: Builds, kind: str) -> None:
    cache = {"type": "LOCAL", "modes": ["LOCAL_CUSTOM_CACHE"]}
    if kind == "S3":
        cache = {"type": "S3", "location": f"{builds.bucket}/cache"}
    name = builds.project(
        """
version: 0.2
phases:
  build:
    commands:
      - cat deps/file /nonexistent 2> /dev/null $HOME/.cache/tool/x || echo empty
      - mkdir -p deps/.hidden $HOME/.cache/tool
      - echo kept > deps/file
      - echo home > $HOME/.cache/tool/x
cache:
  paths: [deps/**/*, /root/.cache/tool/**/*, /etc/passwd]
""",
        cache=cache,
    )
    first, second = (builds.log(builds.wait(builds.submit(name))) for _ in range(2))
    assert "empty" in first
    assert "kept" in second
    assert "home" in second
    assert any("Unable to cache /etc/passwd" in line for line in first)


JUNIT = """<testsuites><testsuite name="s">
<testcase classname="c" name="passes" time="0.5"/>
<testcase classname="c" name="fails" time="1"><failure message="wrong"/></testcase>
<testcase classname="c" name="skipped"><skipped/></testcase>
</testsuite></testsuites>"""
REPORT = """
version: 0.2
phases:
  build: {commands: [mkdir out, 'echo "$XML" > out/junit.xml']}
reports:
  tests: {files: ["*.xml"], base-directory: out}
"""


def test_junit_report_is_stored_in_the_group_of_the_project(builds: Builds) -> None:
    codebuild = builds.client("codebuild")
    environment = [{"name": "XML", "value": JUNIT}]
    role = builds.new_role(["logs:*", "codebuild:*"])
    name = builds.project(REPORT, serviceRole=role)
    build = builds.wait(builds.submit(name, environmentVariablesOverride=environment))
    assert build["buildStatus"] == "SUCCEEDED"  # a failed test does not fail the build
    [report] = codebuild.batch_get_reports(reportArns=build["reportArns"])["reports"]
    assert report["reportGroupArn"].endswith(f":report-group/{name}-tests")
    assert report["executionId"] == build["arn"]
    assert (report["status"], report["testSummary"]["total"]) == ("FAILED", 3)
    counts = report["testSummary"]["statusCounts"]
    assert (counts["SUCCEEDED"], counts["FAILED"], counts["SKIPPED"]) == (1, 1, 1)
    arguments = {"reportArn": report["arn"], "filter": {"status": "FAILED"}}
    [case] = codebuild.describe_test_cases(**arguments)["testCases"]
    assert (case["name"], case["message"]) == ("fails", "wrong")
    groups = codebuild.list_report_groups()["reportGroups"]
    assert report["reportGroupArn"] in groups
    codebuild.delete_report_group(arn=report["reportGroupArn"], deleteReports=True)
    assert codebuild.batch_get_reports(reportArns=build["reportArns"])["reports"] == []


def test_report_without_a_grant_fails_in_upload_artifacts(builds: Builds) -> None:
    ended = builds.run(
        REPORT,
        {"serviceRole": builds.new_role(["logs:*"])},
        environmentVariablesOverride=[{"name": "XML", "value": JUNIT}],
    )
    code, message = ended.contexts["UPLOAD_ARTIFACTS"]
    assert code == "CLIENT_ERROR"
    assert "is not authorized to perform: codebuild:CreateReportGroup" in message


def test_log_is_written_while_the_build_runs(builds: Builds) -> None:
    name = builds.project(
        "version: 0.2\nphases: {build: {commands: [echo before, sleep 30, echo after]}}"
    )
    id = builds.submit(name)
    builds.wait(id, lambda build: "before" in builds.log(build))
    builds.client("codebuild").stop_build(id=id)
    build = builds.wait(id)
    assert build["buildStatus"] == "STOPPED"
    assert "after" not in builds.log(build)


def test_log_group_and_stream_prefix_of_the_project(builds: Builds) -> None:
    logs = {"cloudWatchLogs": {"status": "ENABLED", "groupName": "own", "streamName": "prefix"}}
    ended = builds.run(ECHO.replace("cat file.txt", "echo x"), {"logsConfig": logs})
    assert ended.build["logs"]["groupName"] == "own"
    assert ended.build["logs"]["streamName"].startswith("prefix/")
    assert "x" in ended.output


def test_build_whose_role_may_not_write_logs_fails_in_provisioning(builds: Builds) -> None:
    ended = builds.run(ECHO, {"serviceRole": builds.new_role(["s3:GetObject"])})
    code, message = ended.contexts["PROVISIONING"]
    assert code == "ACCESS_DENIED"
    assert "is not authorized to perform: logs:CreateLogStream" in message


def test_grant_on_the_streams_of_the_project_suffices(builds: Builds) -> None:
    role = builds.new_role(["s3:GetObject"])
    name = builds.project("version: 0.2\nphases: {build: {commands: [echo x]}}", serviceRole=role)
    group = f"/aws/codebuild/{name}"
    builds.client("logs").create_log_group(logGroupName=group)
    arn = f"arn:aws:logs:us-east-1:123456789012:log-group:{group}:*"
    builds.grant(
        role.rpartition("/")[2], ["logs:CreateLogStream", "logs:PutLogEvents"], resource=arn
    )
    assert builds.wait(builds.submit(name))["buildStatus"] == "SUCCEEDED"


def test_pipeline_artifacts(builds: Builds) -> None:
    builds.upload("in/source.zip", {"file.txt": "input\n"})
    builds.upload("in/extra.zip", {"extra.txt": "extra\n"})
    pipeline = {
        "initiator": "codepipeline/pipe",
        "execution_id": "e",
        "inputs": [
            {"name": "source", "bucket": builds.bucket, "key": "in/source.zip"},
            {"name": "extra", "bucket": builds.bucket, "key": "in/extra.zip"},
        ],
        "primary": "source",
        "outputs": [{"name": "result", "bucket": builds.bucket, "key": "out/result"}],
    }
    spec = """
version: 0.2
phases:
  build:
    commands: [cat file.txt $CODEBUILD_SRC_DIR_extra/extra.txt | tee result.txt]
artifacts: {files: [result.txt]}
"""
    name = builds.project(
        spec,
        source={"type": "CODEPIPELINE", "buildspec": spec},
        artifacts={"type": "CODEPIPELINE"},
    )
    id = start_with_header(builds, name, pipeline)
    build = builds.wait(id)
    assert build["buildStatus"] == "SUCCEEDED", builds.log(build)
    assert build["initiator"] == "codepipeline/pipe"
    assert build["resolvedSourceVersion"] == "abc"
    assert builds.unzip("out/result") == {"result.txt": "input\nextra\n"}


def start_with_header(builds: Builds, name: str, pipeline: Mapping[str, object]) -> str:
    client = builds.client("codebuild")

    def add_header(request: object, **_: object) -> None:
        request.headers["X-Sandbox-Pipeline-Build"] = json.dumps(pipeline)  # type: ignore[attr-defined]

    client.meta.events.register("before-sign.codebuild.StartBuild", add_header)
    try:
        return str(client.start_build(projectName=name, sourceVersion="abc")["build"]["id"])
    finally:
        client.meta.events.unregister("before-sign.codebuild.StartBuild", add_header)


def test_unknown_member_of_the_pipeline_header_is_refused(builds: Builds) -> None:
    name = builds.project(ECHO)
    with pytest.raises(Exception, match="Invalid header X-Sandbox-Pipeline-Build: unknown member"):
        start_with_header(builds, name, {"initiator": "a", "other": 1})


def test_git_source_is_cloned_at_its_version(tmp_path: Path, builds: Builds) -> None:
    from sandbox.builds.sources import _clone

    repository = tmp_path / "repository"
    commands = [
        ["init", "--quiet", "--initial-branch=main", str(repository)],
        ["-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b", "commit",
         "--quiet", "--allow-empty", "--message=m"],
    ]  # fmt: skip
    for command in commands:
        subprocess.run(["git", *command], check=True)
    (tmp_path / "target").mkdir()
    commit = _clone(repository, "main", tmp_path / "target")
    head = ["git", "-C", str(repository), "rev-parse", "HEAD"]
    assert commit == subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()
