"""Deployment by CodePipeline's EKS action."""

import json
import os
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from components.pipeline.buildspecs import inline_buildspec
from components.pipeline.eks_deploy import MANIFEST_FILE, MANIFESTS
from tests.components.factories import CLUSTER_ARN, pipeline, record
from tests.program.recording import Recording

eks_pipeline = partial(pipeline, "one", deploy="eks")
LOG_GROUP = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/codepipeline/test-one"


def statements(recording: Recording, role: str) -> dict[str, Any]:
    policy = json.loads(recording.one("aws:iam/rolePolicy:RolePolicy", role).inputs["policy"])
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def access_policies(recording: Recording) -> dict[str, tuple[str, list[str]]]:
    """Access policy and namespaces of each role in the cluster."""
    return {
        item.name: (
            item.inputs["policyArn"].rpartition("/")[2],
            item.inputs["accessScope"]["namespaces"],
        )
        for item in recording.all("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
    }


def test_action_applies_the_manifest_that_was_admitted() -> None:
    recording = record(eks_pipeline)
    *_, stage = recording.one("aws:codepipeline/pipeline:Pipeline", "one").inputs["stages"]
    admit, deploy, verify = stage["actions"]
    assert (admit["name"], admit["provider"], admit["outputArtifacts"]) == (
        "Admit",
        "CodeBuild",
        [MANIFESTS],
    )
    assert [action["runOrder"] for action in (admit, deploy, verify)] == [1, 2, 3]
    role_arn = deploy.pop("roleArn")
    assert "one-deploy" in role_arn
    assert deploy == {
        "name": "Deploy",
        "category": "Deploy",
        "owner": "AWS",
        "provider": "EKS",
        "version": "1",
        "inputArtifacts": [MANIFESTS],
        "runOrder": 2,
        "configuration": {
            "ClusterName": "test-cluster",
            "ManifestFiles": MANIFEST_FILE,
            "Namespace": "guestbook",
            "Subnets": "subnet-1",
            "SecurityGroupIds": deploy["configuration"]["SecurityGroupIds"],
        },
    }
    names = {project.name for project in recording.all("aws:codebuild/project:Project")}
    assert "one-admit" in names
    assert "one-deploy" not in names


def test_role_of_the_action_has_the_documented_permissions() -> None:
    recording = record(eks_pipeline)
    deploy = statements(recording, "one-deploy")
    assert {sid: item["Action"] for sid, item in deploy.items() if "Artifact" not in sid} == {
        "DescribeCluster": ["eks:DescribeCluster"],
        "CreateNetworkInterfaces": [
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeDhcpOptions",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
            "ec2:DescribeRouteTables",
        ],
        "GrantNetworkInterfaces": ["ec2:CreateNetworkInterfacePermission"],
        "WriteDeployLog": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
    }
    assert deploy["DescribeCluster"]["Resource"] == [CLUSTER_ARN]
    subnet = "arn:aws:ec2:us-east-1:123456789012:subnet/subnet-1"
    assert deploy["GrantNetworkInterfaces"]["Condition"] == {"ArnEquals": {"ec2:Subnet": [subnet]}}
    log = deploy["WriteDeployLog"]["Resource"]
    assert log[1] == f"{log[0]}:*"
    group = recording.one("aws:cloudwatch/logGroup:LogGroup", "one-deploy").inputs
    assert (group["name"], "kmsKeyId" in group) == ("/aws/codepipeline/test-one", True)
    key = json.loads(recording.one("aws:kms/key:Key", "one").inputs["policy"])
    (encrypt,) = [item for item in key["Statement"] if item["Sid"] == "EncryptLogGroup"]
    assert LOG_GROUP in encrypt["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    assert statements(recording, "one")["AssumeDeployRole"]["Action"] == ["sts:AssumeRole"]


def test_only_the_action_may_change_the_namespace() -> None:
    recording = record(eks_pipeline)
    assert access_policies(recording) == {
        "one-deploy": ("AmazonEKSEditPolicy", ["guestbook"]),
        "one-verify": ("AmazonEKSViewPolicy", ["guestbook"]),
    }
    assert "DescribeCluster" not in statements(recording, "one-admit")
    assert "s3:PutObject" in statements(recording, "one-admit")["Artifacts"]["Action"]


def test_verification_waits_for_the_roll_out_only_after_the_action() -> None:
    waits = {}
    for deploy in ("build", "eks"):
        recording = record(partial(pipeline, "one", deploy=deploy))
        project = recording.one("aws:codebuild/project:Project", "one-verify").inputs
        variables = project["environment"]["environmentVariables"]
        waits[deploy] = {item["name"]: item["value"] for item in variables}["WAIT_FOR_ROLLOUT"]
    assert waits == {"build": "", "eks": "1"}


def manifest(folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the command of the build `admit` that writes the manifest."""
    buildspec = yaml.safe_load(inline_buildspec("admit"))
    assert buildspec["artifacts"]["files"] == [MANIFEST_FILE]
    (command,) = buildspec["phases"]["build"]["commands"]
    environment = {
        **os.environ,
        "DEPLOYMENT": "guestbook",
        "NAMESPACE": "books",
        "CONTAINERS": "guestbook",
        "INIT_CONTAINERS": "migrate",
        "REPOSITORY_URL": "registry.test/image",
        "IMAGE_DIGEST": "sha256:1",
        "COMMIT": "abc",
        **changes,
    }
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_manifest_has_only_the_fields_of_a_release(tmp_path: Path) -> None:
    assert manifest(tmp_path).returncode == 0
    image = "registry.test/image@sha256:1"
    assert json.loads((tmp_path / MANIFEST_FILE).read_text()) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "guestbook", "namespace": "books"},
        "spec": {
            "template": {
                "metadata": {
                    "annotations": {
                        "release.platform/digest": "sha256:1",
                        "release.platform/version": "abc",
                        "release.platform/commit": "abc",
                    }
                },
                "spec": {
                    "containers": [{"name": "guestbook", "image": image}],
                    "initContainers": [{"name": "migrate", "image": image}],
                },
            }
        },
    }
    assert manifest(tmp_path, INIT_CONTAINERS="").returncode == 0
    written = json.loads((tmp_path / MANIFEST_FILE).read_text())
    assert list(written["spec"]["template"]["spec"]) == ["containers"]


def test_manifest_of_a_tag_is_refused(tmp_path: Path) -> None:
    result = manifest(tmp_path, IMAGE_DIGEST="latest")
    assert result.returncode == 1
    assert result.stderr == "IMAGE_DIGEST must be a digest, not 'latest'.\n"
