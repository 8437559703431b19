"""The action Deploy/EKS."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.pipelines.conftest import ROLE, World, stage

BUILD = "release-Deploy-Deploy"
CLUSTER = {"Action": "eks:DescribeCluster", "Resource": "*"}


@pytest.fixture
def cluster(world: World) -> str:
    """A cluster that the pipeline's role may describe."""
    world.role("cluster", "eks.amazonaws.com", {})
    ec2 = world.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=zone)["Subnet"][
            "SubnetId"
        ]
        for n, zone in enumerate(("us-east-1a", "us-east-1b"))
    ]
    world.client("eks").create_cluster(
        name="shop",
        roleArn="arn:aws:iam::123456789012:role/cluster",
        resourcesVpcConfig={"subnetIds": subnets},
    )
    world.grant("pipeline", "cluster", CLUSTER)
    return "shop"


def eks(configuration: dict[str, str], **more: Any) -> dict[str, Any]:
    return stage(
        "Deploy",
        {
            "name": "Deploy",
            "actionTypeId": {
                "category": "Deploy",
                "owner": "AWS",
                "provider": "EKS",
                "version": "1",
            },
            "configuration": {"ClusterName": "shop", **configuration},
            "inputArtifacts": [{"name": "source"}],
            **more,
        },
    )


def commands(world: World) -> list[str]:
    buildspec = json.loads(world.builds.projects[-1]["source"]["buildspec"])
    lines: list[str] = buildspec["phases"]["build"]["commands"]
    return lines


def test_manifests_are_applied_in_the_namespace_under_the_role(world: World, cluster: str) -> None:
    files = {"ManifestFiles": "a.yaml, k8s/b.yaml", "Namespace": "books"}
    id = world.create(eks(files, namespace="deployed"))
    world.ended(id, "Succeeded")
    assert commands(world) == [
        "export KUBECONFIG=/tmp/kubeconfig",
        "aws eks update-kubeconfig --name shop",
        "kubectl apply -f a.yaml --namespace books",
        "kubectl apply -f k8s/b.yaml --namespace books",
    ]
    project = world.builds.projects[-1]
    assert (project["serviceRole"], project.get("vpcConfig")) == (ROLE, None)
    group = project["logsConfig"]["cloudWatchLogs"]["groupName"]
    assert group == "/aws/codepipeline/release"
    assert world.action(id, "Deploy")["output"]["outputVariables"] == {"EKSClusterName": cluster}


def test_compute_runs_in_the_declared_subnets(world: World, cluster: str) -> None:
    vpc = world.client("eks").describe_cluster(name=cluster)["cluster"]["resourcesVpcConfig"]
    declared = {"Subnets": "subnet-1,subnet-2", "SecurityGroupIds": "sg-1"}
    world.ended(world.create(eks({"ManifestFiles": "a.yaml", **declared})), "Succeeded")
    assert world.builds.projects[-1]["vpcConfig"] == {
        "vpcId": vpc["vpcId"],
        "subnets": ["subnet-1", "subnet-2"],
        "securityGroupIds": ["sg-1"],
    }


def test_variables_of_the_action_are_replaced_in_the_manifest(
    world: World, cluster: str, tmp_path: Path
) -> None:
    variables = [
        {"name": "IMAGE_TAG", "value": "#{codepipeline.PipelineExecutionId}"},
        {"name": "NAME", "value": "shop $IMAGE_TAG"},
    ]
    id = world.create(eks({"ManifestFiles": "a.yaml"}, environmentVariables=variables))
    world.ended(id, "Succeeded")
    assert world.builds.variables[-1] == {"IMAGE_TAG": id, "NAME": "shop $IMAGE_TAG"}
    *_, substitute, apply = commands(world)
    assert apply == "kubectl apply -f a.yaml"
    (tmp_path / "a.yaml").write_text("$IMAGE_TAG ${NAME} $IMAGE_TAGS $OTHER $$")
    subprocess.run(
        shlex.split(substitute),
        cwd=tmp_path,
        env={**os.environ, "IMAGE_TAG": "7", "NAME": "shop $IMAGE_TAG"},
        check=True,
    )
    assert (tmp_path / "a.yaml").read_text() == "7 shop $IMAGE_TAG $IMAGE_TAGS $OTHER $$"


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({}, "ManifestFiles is required to deploy with kubectl"),
        (
            {"HelmReleaseName": "shop", "HelmChartLocation": "chart"},
            "HelmReleaseName: Helm charts are not emulated by the sandbox; use ManifestFiles",
        ),
    ],
)
def test_action_without_manifests_fails_by_name(
    world: World, cluster: str, configuration: dict[str, str], message: str
) -> None:
    id = world.create(eks(configuration))
    error = world.error(id, "Deploy")
    assert (error["code"], error["message"]) == ("ConfigurationError", message)
    assert world.builds.projects == []


def test_role_without_the_cluster_permission_is_denied(world: World, cluster: str) -> None:
    world.client("iam").delete_role_policy(RoleName="pipeline", PolicyName="cluster")
    error = world.error(world.create(eks({"ManifestFiles": "a.yaml"})), "Deploy")
    assert error["code"] == "PermissionError"
    assert "is not authorized to perform: eks:DescribeCluster" in error["message"]


def test_role_of_the_action_is_assumed_by_that_of_the_pipeline(world: World, cluster: str) -> None:
    world.role("deploy", "codepipeline.amazonaws.com", {"cluster": CLUSTER})
    role = "arn:aws:iam::123456789012:role/deploy"
    error = world.error(world.create(eks({"ManifestFiles": "a"}, roleArn=role)), "Deploy")
    assert error["code"] == "PermissionError"
    assert "is not authorized to perform: sts:AssumeRole" in error["message"]


def test_missing_cluster_fails_the_action(world: World) -> None:
    world.grant("pipeline", "cluster", CLUSTER)
    error = world.error(world.create(eks({"ManifestFiles": "a.yaml"})), "Deploy")
    assert "No cluster found for name: shop" in error["message"]


def test_failed_kubectl_fails_the_action(world: World, cluster: str) -> None:
    world.builds.script(BUILD, "FAILED")
    error = world.error(world.create(eks({"ManifestFiles": "a.yaml"})), "Deploy")
    assert error["code"] == "JobFailed"
    assert error["message"].startswith("Build terminated with state: FAILED. Phase: BUILD")


def test_unknown_key_of_the_configuration_is_refused(world: World) -> None:
    with pytest.raises(ClientError) as caught:
        world.create(eks({"ManifestFile": "a.yaml"}), wait=False)
    assert "contains unknown configuration 'ManifestFile'" in str(caught.value)


def test_undefined_namespace_in_a_variable_is_refused(world: World) -> None:
    variables = [{"name": "IMAGE_TAG", "value": "#{image.TAG}"}]
    with pytest.raises(ClientError) as caught:
        world.create(eks({"ManifestFiles": "a"}, environmentVariables=variables), wait=False)
    assert "no earlier action has the namespace 'image'" in str(caught.value)
