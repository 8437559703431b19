"""Phases, commands and variables of builds."""

from __future__ import annotations

import socket

import pytest

from sandbox.builds import isolation
from tests.sandbox.builds.conftest import Builds


def test_variables_and_directory_persist_between_commands_and_phases(builds: Builds) -> None:
    ended = builds.run("""
version: 0.2
env: {shell: bash}
phases:
  install:
    commands: ["NAME='a b'", "cd /usr", "export OTHER=$(echo 1)"]
  build:
    commands: ['echo "$NAME in $PWD, $OTHER"']
""")
    assert ended.status == "SUCCEEDED"
    assert ended.output == ["a b in /usr, 1"]


def test_phase_stops_at_its_first_failing_command(builds: Builds) -> None:
    ended = builds.run("""
version: 0.2
phases:
  build:
    commands: [echo one, exit 3, echo never]
  post_build:
    commands: [echo "succeeding $CODEBUILD_BUILD_SUCCEEDING"]
""")
    assert ended.status == "FAILED"
    assert ended.output == ["one", "succeeding 0"]
    assert ended.contexts == {
        "BUILD": (
            "COMMAND_EXECUTION_ERROR",
            "Error while executing command: exit 3. Reason: exit status 3",
        )
    }
    assert ended.phases["POST_BUILD"] == "SUCCEEDED"
    assert any("Phase complete: BUILD State: FAILED" in line for line in ended.log)


def test_failed_install_ends_the_build_without_post_build(builds: Builds) -> None:
    ended = builds.run("""
version: 0.2
phases:
  install: {commands: [false]}
  post_build: {commands: [echo never]}
""")
    assert ended.status == "FAILED"
    assert "BUILD" not in ended.phases
    assert ended.output == []


def test_on_failure_continue_runs_the_next_phase(builds: Builds) -> None:
    ended = builds.run("""
version: 0.2
phases:
  pre_build: {on-failure: CONTINUE, commands: ["false"]}
  build: {commands: [echo built]}
""")
    assert ended.output == ["built"]
    assert ended.phases["PRE_BUILD"] == "FAILED"


def test_on_failure_abort_skips_post_build(builds: Builds) -> None:
    ended = builds.run("""
version: 0.2
phases:
  build: {on-failure: ABORT, commands: ["false"]}
  post_build: {commands: [echo never]}
""")
    assert ended.status == "FAILED"
    assert ended.output == []
    assert any("Phase complete: BUILD State: FAILED_WITH_ABORT" in line for line in ended.log)


def test_on_failure_retry_runs_the_phase_again(builds: Builds) -> None:
    ended = builds.run("""
version: 0.2
phases:
  build:
    on-failure: RETRY-2
    commands: ["N=$((N + 1))", "echo attempt $N", "[ $N = 3 ]"]
""")
    assert ended.status == "SUCCEEDED"
    assert ended.output == ["attempt 1", "attempt 2", "attempt 3"]


def test_finally_runs_after_a_failed_command(builds: Builds) -> None:
    ended = builds.run("""
version: 0.2
phases:
  pre_build:
    commands: [exit 4]
    finally: [echo cleanup]
""")
    assert ended.status == "FAILED"
    assert ended.output == ["cleanup"]


def test_errexit_of_one_command_does_not_end_the_build(builds: Builds) -> None:
    ended = builds.run("""
version: 0.2
env: {shell: bash}
phases:
  build:
    commands:
      - set -euo pipefail
      - |
        set -e
        false
        echo never
  post_build:
    commands: [echo after]
""")
    assert ended.output == ["after"]


def test_each_command_of_version_0_1_has_its_own_environment(builds: Builds) -> None:
    ended = builds.run("""
version: 0.1
phases:
  build:
    commands: [export A=1; cd /usr, 'echo "A=$A"; basename $PWD']
""")
    assert ended.output == ["A=", "src"]


def test_exported_variables_are_returned(builds: Builds) -> None:
    ended = builds.run("""
version: 0.2
env:
  exported-variables: [COMMIT, MISSING]
phases:
  build: {commands: ["export COMMIT=abc"]}
""")
    assert ended.build["exportedEnvironmentVariables"] == [
        {"name": "COMMIT", "value": "abc"},
        {"name": "MISSING", "value": ""},
    ]


def test_variables_of_start_build_precede_those_of_project_and_buildspec(builds: Builds) -> None:
    environment = {
        "type": "LINUX_CONTAINER",
        "image": "image",
        "computeType": "BUILD_GENERAL1_SMALL",
        "environmentVariables": [{"name": "A", "value": "project"}, {"name": "B", "value": "p"}],
    }
    ended = builds.run(
        """
version: 0.2
env:
  variables: {A: spec, B: spec, C: spec}
phases:
  build: {commands: [echo $A $B $C]}
""",
        {"environment": environment},
        environmentVariablesOverride=[{"name": "A", "value": "start"}],
    )
    assert ended.output == ["start p spec"]


def test_variables_of_codebuild(builds: Builds) -> None:
    ended = builds.run("""
version: 0.2
phases:
  build:
    commands:
      - echo $CODEBUILD_BUILD_ID $CODEBUILD_BUILD_NUMBER $CODEBUILD_BUILD_SUCCEEDING
      - '[ "$PWD" = "$CODEBUILD_SRC_DIR" ]'
      - echo $CODEBUILD_BUILD_ARN $CODEBUILD_LOG_PATH $AWS_REGION
      - echo $((CODEBUILD_START_TIME / 1000000000000)) $CODEBUILD_BUILD_IMAGE
""")
    build = ended.build
    assert ended.status == "SUCCEEDED", ended.log
    assert ended.output == [
        f"{build['id']} 1 1",
        f"{build['arn']} {build['logs']['streamName']} us-east-1",
        "1 aws/codebuild/amazonlinux-x86_64-standard:6.0",
    ]


def test_aws_calls_of_a_build_have_the_role_and_its_grants(builds: Builds) -> None:
    role = builds.new_role(["logs:*"])
    ended = builds.run(
        """
version: 0.2
phases:
  build:
    commands:
      - aws sts get-caller-identity --query Arn --output text
      - aws s3api create-bucket --bucket forbidden
""",
        {"serviceRole": role},
    )
    name, session = role.rpartition("/")[2], ended.build["id"].partition(":")[2]
    arn = f"arn:aws:sts::123456789012:assumed-role/{name}/AWSCodeBuild-{session}"
    assert ended.output[0] == arn
    assert ended.status == "FAILED"
    assert any("is not authorized to perform: s3:CreateBucket" in line for line in ended.output)


def test_build_has_no_real_credentials_and_a_private_home(builds: Builds) -> None:
    ended = builds.run("""
version: 0.2
phases:
  build:
    commands:
      - ls -A $HOME
      - env | grep -c '^AWS_PROFILE\\|^AWS_CONFIG' || true
      - ls -A /tmp | grep -v pytest || true
""")
    assert ended.output == ["0"]


def test_build_has_a_host_name_of_its_own_that_resolves(builds: Builds) -> None:
    """Locks name their holder by host and process ID, and a build has IDs of its own."""
    if not isolation.namespaces():
        pytest.skip("this machine forbids namespaces")
    ended = builds.run("""
version: 0.2
phases:
  build:
    commands:
      - cat /proc/sys/kernel/hostname
      - getent hosts "$(cat /proc/sys/kernel/hostname)" | cut -d ' ' -f 1
""")
    name, address = ended.output
    assert (name.startswith("build-"), address) == (True, "127.0.0.1")
    assert name != socket.gethostname()


def test_processes_of_a_build_end_with_it(builds: Builds) -> None:
    ended = builds.run("""
version: 0.2
phases:
  build:
    commands:
      - setsid sleep 4321 &
      - nohup sh -c 'trap "" TERM; sleep 4322' > /dev/null 2>&1 &
""")
    assert ended.status == "SUCCEEDED"
    assert not running("4321")
    assert not running("4322")


def running(argument: str) -> bool:
    from pathlib import Path

    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"sleep\0{argument}\0".encode() in entry.read_bytes():
                return True
        except (FileNotFoundError, ProcessLookupError):
            continue
    return False


def test_account_is_exempt_from_proxies(builds: Builds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "internal.example")
    monkeypatch.setenv("AWS_PROFILE", "real")
    ended = builds.run("""
version: 0.2
phases:
  build: {commands: ["echo $https_proxy $no_proxy $AWS_PROFILE"]}
""")
    exempt = "internal.example,127.0.0.1,localhost,::1,.amazonaws.com"
    assert ended.output == [f"http://proxy.example:3128 {exempt}"]


def test_output_without_a_line_end_is_logged(builds: Builds) -> None:
    ended = builds.run("""
version: 0.2
phases:
  build: {commands: ["printf one", "printf 'two\\nthree'"]}
""")
    assert ended.output == ["one", "two", "three"]


def test_unknown_user_of_run_as_is_refused_by_name(builds: Builds) -> None:
    ended = builds.run("""
version: 0.2
run-as: root-like
phases:
  build: {commands: [echo never]}
""")
    assert ended.status == "FAILED"
    assert "run-as: this machine has no user root-like" in ended.contexts["INSTALL"][1]


def test_build_in_a_vpc_has_a_network_interface_for_its_time(builds: Builds) -> None:
    ec2 = builds.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    config = {"vpcId": vpc, "subnets": [subnet], "securityGroupIds": [group]}
    spec = "version: 0.2\nphases: {build: {commands: [echo x]}}"
    ended = builds.run(
        spec, {"vpcConfig": config, "serviceRole": builds.new_role(["logs:*", "ec2:*"])}
    )
    assert ended.status == "SUCCEEDED"
    assert ended.build["networkInterface"]["subnetId"] == subnet
    filters = [{"Name": "vpc-id", "Values": [vpc]}]
    assert ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"] == []
    denied = builds.run(spec, {"vpcConfig": config})
    assert denied.contexts["PROVISIONING"][0] == "VPC_CLIENT_ERROR"


def test_requested_runtime_is_reported(builds: Builds) -> None:
    ended = builds.run("""
version: 0.2
phases:
  install:
    runtime-versions: {python: 3.11}
  build: {commands: [python --version]}
""")
    assert ended.output[0].startswith("Python 3.11")
    assert any("Selecting 'python' runtime version '3.11'" in line for line in ended.log)
