"""The whole program, run as an engine runs it, for both environments and their variants."""

import json
from typing import Any

import pytest

from tests.program.recording import AWS_TYPES, Recording
from tests.program.running import run_program

PIPELINE = "aws:codepipeline/pipeline:Pipeline"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
ARM_NODES = {"architecture": "arm64", "cluster.nodes.instance_types": ["m7g.large"]}


@pytest.fixture(scope="module")
def dev() -> Recording:
    return run_program("dev")


@pytest.fixture(scope="module")
def prod() -> Recording:
    return run_program("prod")


@pytest.mark.parametrize("stack", ["dev", "prod"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"cluster.compute": "auto"},
        ARM_NODES,
        {**ARM_NODES, "cluster.compute": "auto"},
        {"database.enabled": False, "workload.migration": []},
        {"pipeline.source": {"kind": "s3"}},
    ],
    ids=["as it is", "auto", "arm64", "auto arm64", "no database", "s3 source"],
)
def test_an_environment_is_made_of_the_seven_components(
    stack: str, changes: dict[str, Any]
) -> None:
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


def test_dev_and_prod_differ_in_what_the_stack_files_say(dev: Recording, prod: Recording) -> None:
    assert len(dev.all("aws:ec2/natGateway:NatGateway")) == 1
    assert len(prod.all("aws:ec2/natGateway:NatGateway")) == 3
    assert len(dev.all("aws:ec2/subnet:Subnet")) == 4
    assert len(prod.all("aws:ec2/subnet:Subnet")) == 6
    for recording, public, mode in ((dev, True, "SUPERSEDED"), (prod, False, "QUEUED")):
        assert (
            recording.one("eks:index:Cluster", "cluster").inputs["endpointPublicAccess"] is public
        )
        assert recording.one(PIPELINE, "pipeline").inputs["executionMode"] == mode


def test_dev_leaves_nothing_behind(dev: Recording) -> None:
    assert [r.name for r in dev.resources if r.request.protect or r.request.retainOnDelete] == []
    assert all(r.inputs["forceDelete"] for r in dev.all("aws:ecr/repository:Repository"))
    assert all(r.inputs["forceDestroy"] for r in dev.all("aws:s3/bucket:Bucket"))
    database = dev.one("aws:rds/instance:Instance", "database").inputs
    assert (database["skipFinalSnapshot"], database["deletionProtection"]) == (True, False)
    assert dev.one("eks:index:Cluster", "cluster").inputs["deletionProtection"] is False


def test_prod_refuses_to_lose_what_it_keeps(prod: Recording) -> None:
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
    database = prod.one("aws:rds/instance:Instance", "database").inputs
    assert (
        database["multiAz"],
        database["deletionProtection"],
        database["backupRetentionPeriod"],
    ) == (True, True, 14)


def test_prod_asks_a_person_and_bakes_a_release_and_dev_does_neither(
    dev: Recording, prod: Recording
) -> None:
    def stages(recording: Recording) -> dict[str, Any]:
        return {
            stage["name"]: stage for stage in recording.one(PIPELINE, "pipeline").inputs["stages"]
        }

    assert list(stages(dev)) == ["Source", "Test", "Build", "Deploy"]
    assert list(stages(prod)) == ["Source", "Test", "Promote", "Approve", "Deploy"]
    assert "onFailure" not in stages(dev)["Deploy"]
    assert stages(prod)["Deploy"]["onFailure"] == {"result": "ROLLBACK"}
    bake = stages(prod)["Deploy"]["onSuccess"]["condition"]
    assert bake["result"] == "ROLLBACK"
    assert bake["rules"][0]["configuration"] == {
        "AlarmName": "platform-prod-observability-unscheduled",
        "WaitTime": "10",
    }


def test_auto_mode_has_no_nodes_and_no_networking_add_ons_of_its_own() -> None:
    recording = run_program("dev", {"cluster.compute": "auto"})
    assert recording.all("eks:index:ManagedNodeGroup") == []
    assert [r.inputs["addonName"] for r in recording.all("aws:eks/addon:Addon")] == [
        "metrics-server"
    ]
    service = recording.one("kubernetes:core/v1:Service", "guestbook").inputs
    assert service["spec"]["loadBalancerClass"] == "eks.amazonaws.com/nlb"


def test_one_key_moves_nodes_image_and_builders_to_arm64() -> None:
    recording = run_program("dev", ARM_NODES)
    assert (
        recording.one("eks:index:ManagedNodeGroup", "cluster-nodes-a").inputs["amiType"]
        == "AL2023_ARM_64_STANDARD"
    )
    assert (
        recording.one("docker:index/image:Image", "image").inputs["build"]["platform"]
        == "linux/arm64"
    )
    builders = {
        r.inputs["environment"]["type"] for r in recording.all("aws:codebuild/project:Project")
    }
    assert builders == {"ARM_CONTAINER"}


def test_a_secret_reaches_the_service_and_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    recording = run_program("dev", {"workload.secrets": ["SENTRY_DSN"]}, {"SENTRY_DSN": "hunter2"})
    secret = recording.one("kubernetes:core/v1:Secret", "guestbook")
    assert secret.inputs["stringData"] == {"SENTRY_DSN": "hunter2"}
    others = [r for r in recording.resources if r is not secret]
    assert "hunter2" not in json.dumps([r.inputs for r in others])
    assert "hunter2" not in "".join(capsys.readouterr())


def test_no_database_leaves_no_trace_of_one() -> None:
    recording = run_program("dev", {"database.enabled": False, "workload.migration": []})
    assert [r for r in recording.resources if "rds" in r.type] == []
    pod = recording.one(DEPLOYMENT, "guestbook").inputs["spec"]["template"]["spec"]
    assert "initContainers" not in pod
    assert not [
        entry for entry in pod["containers"][0]["env"] if entry["name"].startswith("DATABASE")
    ]
    assert not [r for r in recording.all("aws:iam/rolePolicy:RolePolicy") if r.name == "guestbook"]


def test_every_aws_resource_is_made_by_the_one_tagging_provider(dev: Recording) -> None:
    made_by = {
        r.request.provider.split("::")[-2] for r in dev.resources if r.type.startswith("aws:")
    }
    assert made_by == {"aws"}
    inside = {
        r.request.provider.split("::")[-2]
        for r in dev.resources
        if r.type.startswith("kubernetes:")
    }
    assert inside == {"cluster"}


def test_the_program_uses_no_more_aws_types_than_it_is_known_to(
    dev: Recording, prod: Recording
) -> None:
    used = {
        r.type.removeprefix("aws:")
        for r in [*dev.resources, *prod.resources]
        if r.type.startswith("aws:")
    }
    s3 = run_program(
        "dev", {"pipeline.source": {"kind": "s3"}, "observability.contacts": ["a@example.com"]}
    )
    used |= {r.type.removeprefix("aws:") for r in s3.resources if r.type.startswith("aws:")}
    assert used == set(AWS_TYPES.split())


def test_bad_settings_end_the_program_with_the_one_error() -> None:
    from settings import SettingsError

    with pytest.raises(SettingsError) as caught:
        run_program("dev", {"network.zones": 7})
    assert "platform:network.zones: must be 2 or 3" in str(caught.value)
