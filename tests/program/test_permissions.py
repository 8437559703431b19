"""IAM statements of both environments."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.program.recording import ACCOUNT, Recording
from tests.program.running import run_program
from tests.settings.cross_field.test_stack_update import BUCKET, VALID

# Statements without a resource, and the reason.
WITHOUT_RESOURCE = {
    "LogInToRegistry": "ecr:GetAuthorizationToken has no resource",
    "CreateNetworkInterfaces": "AWS's policy of builds in a VPC; its Describe actions have none",
    "DescribeLogGroups": "logs:DescribeLogGroups has no resource",
}
# Wildcard actions whose variants belong together.
ACTION_FAMILIES = {"kms:ReEncrypt*", "kms:GenerateDataKey*"}
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
PROJECT = "aws:codebuild/project:Project"


# What only stages of `pipeline.infrastructure` have; its tests name what it is for.
INFRASTRUCTURE = {"pipeline-infrastructure-preview", "pipeline-infrastructure-update"}
VARIANTS = {
    "dev": ("dev", {"pipeline.source": {"kind": "s3"}}),
    "prod": ("prod", {}),
    "infrastructure": ("dev", {"pipeline.source": {"kind": "s3"}, **VALID}),
}


@pytest.fixture(scope="module", params=VARIANTS)
def recording(request: pytest.FixtureRequest) -> Recording:
    return run_program(*VARIANTS[request.param])


def statements(recording: Recording) -> Iterator[tuple[str, dict[str, Any]]]:
    for resource in recording.all(ROLE_POLICY):
        for statement in json.loads(resource.inputs["policy"])["Statement"]:
            yield resource.name, statement


def test_statements_name_actions_and_resources(recording: Recording) -> None:
    without_resource = set()
    for name, statement in statements(recording):
        if statement["Effect"] == "Deny":
            assert name == "pipeline-infrastructure-preview"
            continue
        for action in statement["Action"]:
            assert "*" not in action or action in ACTION_FAMILIES, f"{name}: {action}"
        if "*" in statement["Resource"]:
            without_resource.add(statement["Sid"])
    assert without_resource == set(WITHOUT_RESOURCE)


def test_statements_name_resources_of_this_account(recording: Recording) -> None:
    buckets = ("arn:aws:s3:::pipeline", f"arn:aws:s3:::{BUCKET}/")
    for name, statement in statements(recording):
        for resource in statement.get("Resource", ()):
            account = resource.split(":")[4] if resource != "*" else ACCOUNT
            assert account in {ACCOUNT, ""}, f"{name}: {resource}"
            if account == "":
                assert resource.startswith(buckets), f"{name}: {resource}"


def test_trust_policies_of_services_name_account_and_source(recording: Recording) -> None:
    """EC2 passes no source when an instance assumes the node role."""
    for role in recording.all("aws:iam/role:Role"):
        (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        if "AWS" in trust["Principal"]:
            pipeline = role.name.removesuffix("-source")
            pipeline_role = pipeline if pipeline == "pipeline" else f"{pipeline}-pipeline"
            arn = f"arn:aws:iam::{ACCOUNT}:role/{pipeline_role}-physical"
            assert trust["Principal"] == {"AWS": arn}
        elif trust["Principal"]["Service"] == "ec2.amazonaws.com":
            assert role.name == "cluster-node"
        else:
            conditions = trust["Condition"]
            assert conditions["StringEquals"] == {"aws:SourceAccount": ACCOUNT}, role.name
            # CodePipeline may pass no source.
            if role.name in {"pipeline", "pipeline-pull-request-pipeline"}:
                continue
            source_arn = conditions["ArnLike"]["aws:SourceArn"]
            assert source_arn.split(":")[4] == ACCOUNT, role.name
            assert "*" not in source_arn or source_arn.endswith("vpc-flow-log/*"), role.name


def test_every_project_has_its_own_role(recording: Recording) -> None:
    roles = [project.inputs["serviceRole"] for project in recording.all(PROJECT)]
    assert len(roles) == len(set(roles)) >= 4


def test_only_projects_that_build_the_image_are_privileged(recording: Recording) -> None:
    privileged = {
        r.name for r in recording.all(PROJECT) if r.inputs["environment"]["privilegedMode"]
    }
    # Pulumi's Docker provider requires a daemon.
    assert privileged <= {"pipeline-build", "pipeline-pull-request", *INFRASTRUCTURE}


def test_node_role_may_only_join_the_cluster_and_pull_images(recording: Recording) -> None:
    policies = {
        r.inputs["policyArn"]
        for r in recording.all("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
        if r.name.startswith("cluster-node")
    }
    assert policies == {
        "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy",
        "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly",
    }


def test_deploy_role_may_edit_one_namespace(recording: Recording) -> None:
    (association,) = (
        association
        for association in recording.all("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
        if association.name not in INFRASTRUCTURE
    )
    edit_policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy"
    assert association.inputs["policyArn"] == edit_policy
    assert association.inputs["accessScope"] == {"type": "namespace", "namespaces": ["guestbook"]}
    deploy_role = f"arn:aws:iam::{ACCOUNT}:role/pipeline-deploy-physical"
    assert association.inputs["principalArn"] == deploy_role


def test_pods_may_read_the_database_secret_only(recording: Recording) -> None:
    policy = json.loads(recording.one(ROLE_POLICY, "guestbook").inputs["policy"])
    read, decrypt = policy["Statement"]
    secret_arn = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:rds!database"
    assert read["Resource"] == [secret_arn]
    assert decrypt["Resource"] == [f"arn:aws:kms:us-east-1:{ACCOUNT}:key/database"]
    via_service = {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}
    assert decrypt["Condition"] == {"StringEquals": via_service}


def test_pull_requests_have_no_rights_in_registry_and_cluster() -> None:
    recording = run_program("dev")
    policies = {policy.name: policy for policy in recording.all(ROLE_POLICY)}
    actions = {
        action
        for name in ("pipeline-pull-request", "pipeline-test")
        for statement in json.loads(policies[name].inputs["policy"])["Statement"]
        for action in statement["Action"]
    }
    assert {action.partition(":")[0] for action in actions} == {"codebuild", "kms", "logs", "s3"}
    starts = [
        statement["Resource"]
        for statement in json.loads(policies["pipeline-pull-request-pipeline"].inputs["policy"])[
            "Statement"
        ]
        if "codebuild:StartBuild" in statement["Action"]
    ]
    names = [arn.rpartition("/")[2] for arn in starts[0]]
    assert names == ["platform-dev-pipeline-test", "platform-dev-pipeline-pull-request"]


def test_only_the_sign_role_signs_and_prod_verifies_with_the_key_of_dev() -> None:
    use = {
        (stack, name, action): statement
        for stack in ("dev", "prod")
        for name, statement in statements(run_program(stack))
        for action in statement["Action"]
        if action in {"kms:Sign", "kms:Verify"}
    }
    assert set(use) == {
        ("dev", "pipeline-sign", "kms:Sign"),
        ("dev", "pipeline-deploy", "kms:Verify"),
        ("prod", "pipeline-promote", "kms:Verify"),
        ("prod", "pipeline-deploy", "kms:Verify"),
    }
    created = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/pipeline-signing"
    assert use["dev", "pipeline-sign", "kms:Sign"]["Resource"] == [created]
    alias = {"StringEquals": {"kms:RequestAlias": "alias/platform-dev-pipeline-signing"}}
    assert use["prod", "pipeline-deploy", "kms:Verify"]["Condition"] == alias
    aliases = {alias.inputs["name"] for alias in run_program("dev").all("aws:kms/alias:Alias")}
    assert "alias/platform-dev-pipeline-signing" in aliases


def test_keys_rotate_and_admit_account_and_conditioned_services_only(recording: Recording) -> None:
    for key in recording.all("aws:kms/key:Key"):
        # KMS cannot rotate asymmetric keys.
        signs = key.inputs.get("keyUsage") == "SIGN_VERIFY"
        assert signs or key.inputs["enableKeyRotation"] is True
        for statement in json.loads(key.inputs["policy"])["Statement"]:
            if "AWS" in statement["Principal"]:
                assert statement["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
            else:
                assert statement["Condition"], key.name
