"""The whole program for both environments and their variants."""

import json
from typing import Any

import pulumi
import pytest

from settings import SettingsError
from tests.program import running
from tests.program.recording import ACCOUNT, AWS_TYPES, Recording
from tests.program.running import run_program

PIPELINE = "aws:codepipeline/pipeline:Pipeline"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
CLUSTER = "eks:index:Cluster"
DATABASE = "aws:rds/instance:Instance"
ARM64 = {"architecture": "arm64", "cluster.nodes.instance_types": ["m7g.large"]}
WITHOUT_DATABASE = {"database.enabled": False, "workload.migration": []}
S3_SOURCE = {"pipeline.source": {"kind": "s3"}}
AUTO_MODE = {"cluster.compute": "auto"}


@pytest.fixture(scope="module")
def dev() -> Recording:
    return run_program("dev")


@pytest.fixture(scope="module")
def prod() -> Recording:
    return run_program("prod")


@pytest.mark.slow
@pytest.mark.parametrize("stack", ["dev", "prod"])
@pytest.mark.parametrize(
    "changes",
    [{}, AUTO_MODE, ARM64, {**ARM64, **AUTO_MODE}, WITHOUT_DATABASE, S3_SOURCE],
    ids=["unchanged", "auto mode", "arm64", "auto mode arm64", "no database", "s3 source"],
)
def test_every_variant_has_the_seven_components(stack: str, changes: dict[str, Any]) -> None:
    recording = run_program(stack, changes)
    assert sorted(kind.rpartition(":")[2] for kind, _ in recording.components) == [
        "Cluster",
        "Database",
        "Image",
        "Network",
        "Observability",
        "Pipeline",
        "Workload",
    ]


def test_missing_role_is_refused_before_the_first_component(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recording = Recording()
    monkeypatch.setattr(running, "Recording", lambda: recording)
    with pytest.raises(pulumi.RunError, match="IAM has no role"):
        run_program("dev", {"cluster.deployers": [f"arn:aws:iam::{ACCOUNT}:role/gone"]})
    assert recording.components == []
    assert {resource.type for resource in recording.resources} <= {"pulumi:providers:aws"}


def test_dev_and_prod_differ_by_their_stack_files(dev: Recording, prod: Recording) -> None:
    assert len(dev.all("aws:ec2/natGateway:NatGateway")) == 1
    assert len(prod.all("aws:ec2/natGateway:NatGateway")) == 3
    assert len(dev.all("aws:ec2/subnet:Subnet")) == 4
    assert len(prod.all("aws:ec2/subnet:Subnet")) == 6
    for recording, public, mode in ((dev, True, "SUPERSEDED"), (prod, False, "QUEUED")):
        assert recording.one(CLUSTER, "cluster").inputs["endpointPublicAccess"] is public
        assert recording.one(PIPELINE, "pipeline").inputs["executionMode"] == mode


def test_destroying_dev_deletes_everything(dev: Recording) -> None:
    assert [r.name for r in dev.resources if r.request.protect or r.request.retainOnDelete] == []
    assert all(r.inputs["forceDelete"] for r in dev.all("aws:ecr/repository:Repository"))
    assert all(r.inputs["forceDestroy"] for r in dev.all("aws:s3/bucket:Bucket"))
    database = dev.one(DATABASE, "database").inputs
    assert (database["skipFinalSnapshot"], database["deletionProtection"]) == (True, False)
    assert dev.one(CLUSTER, "cluster").inputs["deletionProtection"] is False


def test_prod_protects_stateful_resources_and_retains_logs(prod: Recording) -> None:
    protected = {r.type for r in prod.resources if r.request.protect}
    assert protected == {
        "aws:ec2/vpc:Vpc",
        "aws:ecr/repository:Repository",
        "aws:kms/key:Key",
        "aws:rds/instance:Instance",
        "aws:s3/bucket:Bucket",
        "eks:index:Cluster",
    }
    retained = {r.type for r in prod.resources if r.request.retainOnDelete}
    assert retained == {"aws:cloudwatch/logGroup:LogGroup"}
    database = prod.one(DATABASE, "database").inputs
    keys = ("multiAz", "deletionProtection", "backupRetentionPeriod")
    assert [database[key] for key in keys] == [True, True, 14]


def test_only_prod_requires_approval_and_bakes(dev: Recording, prod: Recording) -> None:
    def stages(recording: Recording) -> dict[str, Any]:
        pipeline = recording.one(PIPELINE, "pipeline").inputs
        return {stage["name"]: stage for stage in pipeline["stages"]}

    assert list(stages(dev)) == ["Source", "Test", "Build", "Sign", "Deploy"]
    assert list(stages(prod)) == ["Source", "Test", "Promote", "Approve", "Deploy"]
    assert "onFailure" not in stages(dev)["Deploy"]
    assert stages(prod)["Deploy"]["onFailure"] == {"result": "ROLLBACK"}
    bake = stages(prod)["Deploy"]["onSuccess"]["condition"]
    assert bake["result"] == "ROLLBACK"
    assert bake["rules"][0]["configuration"] == {
        "AlarmName": "platform-prod-observability-unscheduled",
        "WaitTime": "10",
    }


def test_auto_mode_has_no_node_groups_and_no_networking_add_ons() -> None:
    recording = run_program("dev", AUTO_MODE)
    assert recording.all("eks:index:ManagedNodeGroup") == []
    addons = [r.inputs["addonName"] for r in recording.all("aws:eks/addon:Addon")]
    assert addons == ["metrics-server"]
    service = recording.one("kubernetes:core/v1:Service", "guestbook").inputs
    assert service["spec"]["loadBalancerClass"] == "eks.amazonaws.com/nlb"


def test_architecture_applies_to_nodes_image_and_build_machines() -> None:
    recording = run_program("dev", ARM64)
    nodes = recording.one("eks:index:ManagedNodeGroup", "cluster-nodes-a").inputs
    assert nodes["amiType"] == "AL2023_ARM_64_STANDARD"
    image = recording.one("docker:index/image:Image", "image").inputs
    assert image["build"]["platform"] == "linux/arm64"
    projects = recording.all("aws:codebuild/project:Project")
    assert {r.inputs["environment"]["type"] for r in projects} == {"ARM_CONTAINER"}


def test_secret_is_passed_to_the_service_only(capsys: pytest.CaptureFixture[str]) -> None:
    secrets = {"SENTRY_DSN": "hunter2"}
    recording = run_program("dev", {"workload.secrets": ["SENTRY_DSN"]}, secrets)
    secret = recording.one("kubernetes:core/v1:Secret", "guestbook")
    assert secret.inputs["stringData"] == secrets
    others = [r for r in recording.resources if r is not secret]
    assert "hunter2" not in json.dumps([r.inputs for r in others])
    assert "hunter2" not in "".join(capsys.readouterr())


def test_environment_without_database_has_no_database_resources() -> None:
    recording = run_program("dev", WITHOUT_DATABASE)
    assert [r for r in recording.resources if "rds" in r.type] == []
    pod = recording.one(DEPLOYMENT, "guestbook").inputs["spec"]["template"]["spec"]
    assert "initContainers" not in pod
    variables = [entry["name"] for entry in pod["containers"][0]["env"]]
    assert not [name for name in variables if name.startswith("DATABASE")]
    policies = recording.all("aws:iam/rolePolicy:RolePolicy")
    assert not [r for r in policies if r.name == "guestbook"]


def test_every_aws_resource_uses_the_provider_with_default_tags(dev: Recording) -> None:
    def providers(prefix: str) -> set[str]:
        resources = [r for r in dev.resources if r.type.startswith(prefix)]
        return {r.request.provider.split("::")[-2] for r in resources}

    assert providers("aws:") == {"aws"}
    assert providers("kubernetes:") == {"cluster"}


def test_recording_lists_exactly_the_aws_types_of_the_program(
    dev: Recording, prod: Recording
) -> None:
    s3 = run_program("dev", {**S3_SOURCE, "observability.contacts": ["a@example.com"]})
    connection = "arn:aws:codeconnections:us-east-1:123456789012:connection/01"
    accepted = {"pipeline.source.connection_arn": connection}
    github = run_program("dev", {"pipeline.github_runner": True, **accepted})
    used = {
        r.type.removeprefix("aws:")
        for r in [*dev.resources, *prod.resources, *s3.resources, *github.resources]
        if r.type.startswith("aws:")
    }
    assert used == set(AWS_TYPES.split())


def test_invalid_settings_end_the_program_with_one_error() -> None:
    with pytest.raises(SettingsError) as caught:
        run_program("dev", {"network.zones": 7})
    assert "platform:network.zones: must be 2 or 3" in str(caught.value)
