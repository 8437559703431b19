"""Every IAM statement of both environments, read one by one."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.program.recording import ACCOUNT, Recording
from tests.program.running import run_program

# Statements that can't name a resource, and why.
WITHOUT_RESOURCE = {
    "LogInToRegistry": "ecr:GetAuthorizationToken has no resource",
    "LookAtNetworks": "EC2's Describe actions, and making an interface, can't be limited to a resource",
}
# Actions with a star that stand for a family which belongs together.
FAMILIES = {"kms:ReEncrypt*", "kms:GenerateDataKey*"}


@pytest.fixture(scope="module", params=["dev", "prod"])
def recording(request: pytest.FixtureRequest) -> Recording:
    changes = {"pipeline.source": {"kind": "s3"}} if request.param == "dev" else {}
    return run_program(request.param, changes)


def statements(recording: Recording) -> Iterator[tuple[str, dict[str, Any]]]:
    for resource in recording.all("aws:iam/rolePolicy:RolePolicy"):
        for statement in json.loads(resource.inputs["policy"])["Statement"]:
            yield resource.name, statement


def test_no_role_may_do_everything_or_anything_to_everything(recording: Recording) -> None:
    seen = set()
    for name, statement in statements(recording):
        assert statement["Effect"] == "Allow", name
        for action in statement["Action"]:
            assert "*" not in action or action in FAMILIES, f"{name}: {action}"
        if "*" in statement["Resource"]:
            assert statement["Sid"] in WITHOUT_RESOURCE, f"{name}: {statement}"
            seen.add(statement["Sid"])
    assert seen <= set(WITHOUT_RESOURCE)
    assert "LogInToRegistry" in seen


def test_every_resource_is_in_this_account(recording: Recording) -> None:
    for name, statement in statements(recording):
        for resource in statement["Resource"]:
            owner = resource.split(":")[4] if resource != "*" else ACCOUNT
            assert owner in {ACCOUNT, ""}, f"{name}: {resource}"
            if owner == "":
                assert resource.startswith("arn:aws:s3:::pipeline"), f"{name}: {resource}"


def test_every_role_of_a_service_names_the_source_that_may_use_it(recording: Recording) -> None:
    """Nodes are the exception: EC2 gives no source when an instance takes its role."""
    for role in recording.all("aws:iam/role:Role"):
        (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        if "AWS" in trust["Principal"]:
            assert trust["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:role/pipeline-physical"}
        elif trust["Principal"]["Service"] == "ec2.amazonaws.com":
            assert role.name == "cluster-node"
        else:
            assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}, role.name
            source = trust["Condition"]["ArnLike"]["aws:SourceArn"]
            assert source.split(":")[4] == ACCOUNT, role.name
            assert "*" not in source or source.endswith("vpc-flow-log/*"), role.name


def test_each_build_works_in_a_role_of_its_own(recording: Recording) -> None:
    projects = recording.all("aws:codebuild/project:Project")
    roles = [project.inputs["serviceRole"] for project in projects]
    assert len(projects) == 4
    assert len(set(roles)) == 4


def test_only_what_builds_images_is_privileged(recording: Recording) -> None:
    privileged = {
        r.name
        for r in recording.all("aws:codebuild/project:Project")
        if r.inputs["environment"]["privilegedMode"]
    }
    assert privileged <= {"pipeline-build"}


def test_nodes_may_join_and_pull_and_nothing_else(recording: Recording) -> None:
    attached = {
        r.inputs["policyArn"]
        for r in recording.all("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
        if r.name.startswith("cluster-node")
    }
    assert attached == {
        "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy",
        "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly",
    }


def test_the_pipeline_may_edit_one_namespace(recording: Recording) -> None:
    (association,) = recording.all("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
    assert (
        association.inputs["policyArn"]
        == "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy"
    )
    assert association.inputs["accessScope"] == {"type": "namespace", "namespaces": ["guestbook"]}
    assert (
        association.inputs["principalArn"]
        == f"arn:aws:iam::{ACCOUNT}:role/pipeline-deploy-physical"
    )


def test_pods_may_read_one_secret(recording: Recording) -> None:
    policy = json.loads(
        recording.one("aws:iam/rolePolicy:RolePolicy", "guestbook").inputs["policy"]
    )
    read, decrypt = policy["Statement"]
    assert read["Resource"] == [f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:rds!database"]
    assert decrypt["Resource"] == [f"arn:aws:kms:us-east-1:{ACCOUNT}:key/database"]
    assert decrypt["Condition"] == {
        "StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}
    }


def test_keys_are_turned_every_year_and_open_to_no_stranger(recording: Recording) -> None:
    for key in recording.all("aws:kms/key:Key"):
        assert key.inputs["enableKeyRotation"] is True
        for statement in json.loads(key.inputs["policy"])["Statement"]:
            if "AWS" in statement["Principal"]:
                assert statement["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
            else:
                assert statement["Condition"], key.name
