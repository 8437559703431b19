"""What waits for what: short on the way up, safe on the way down."""

import pytest

from tests.program.recording import Recorded, Recording
from tests.program.running import run_program


@pytest.fixture(scope="module", params=["dev", "prod"])
def recording(request: pytest.FixtureRequest) -> Recording:
    return run_program(request.param)


def key(resource: Recorded) -> str:
    return f"{resource.type}::{resource.name}"


def everything_before(recording: Recording, start: str) -> set[str]:
    """All that `start` waits for, directly or through others."""
    edges = {key(resource): resource.depends_on for resource in recording.resources}
    # The EKS cluster inside pulumi-eks's component stands for the component.
    edges["aws:eks/cluster:Cluster::cluster-eksCluster"] = {"eks:index:Cluster::cluster"}
    assert start in edges
    reached: set[str] = set()
    ahead = [start]
    while ahead:
        for before in edges.get(ahead.pop(), set()):
            if before not in reached:
                reached.add(before)
                ahead.append(before)
    return reached


CLUSTER = "eks:index:Cluster::cluster"
NODES = "eks:index:ManagedNodeGroup::cluster-nodes-a"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate::cluster-nodes"
DEPLOYMENT = "kubernetes:apps/v1:Deployment::guestbook"
SERVICE = "kubernetes:core/v1:Service::guestbook"
BEFORE_NODES = ["aws:eks/addon:Addon::cluster-eks-pod-identity-agent"]
AFTER_NODES = [
    "aws:eks/addon:Addon::cluster-coredns",
    "aws:eks/addon:Addon::cluster-metrics-server",
]


def kinds(keys: set[str]) -> set[str]:
    return {entry.partition("::")[0] for entry in keys}


def test_the_control_plane_waits_for_subnets_key_and_log_group_only(recording: Recording) -> None:
    assert kinds(everything_before(recording, CLUSTER)) == {
        "aws:ec2/vpc:Vpc",
        "aws:ec2/subnet:Subnet",
        "aws:kms/key:Key",
        "aws:cloudwatch/logGroup:LogGroup",
    }


@pytest.mark.parametrize("start", [NODES, TEMPLATE])
def test_nodes_wait_for_routes_and_nat(recording: Recording, start: str) -> None:
    before = kinds(everything_before(recording, start))
    assert {
        "aws:ec2/route:Route",
        "aws:ec2/natGateway:NatGateway",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
    } <= before


def test_add_ons_come_in_the_only_order_that_works(recording: Recording) -> None:
    before_nodes = everything_before(recording, NODES)
    assert {
        CLUSTER,
        *BEFORE_NODES,
        "aws:eks/podIdentityAssociation:PodIdentityAssociation::cluster-cni",
    } <= before_nodes
    assert not before_nodes & set(AFTER_NODES)
    for addon in AFTER_NODES:
        assert NODES in everything_before(recording, addon)


def test_pods_wait_for_nodes_names_walls_and_their_identity(recording: Recording) -> None:
    before = everything_before(recording, DEPLOYMENT)
    assert {
        NODES,
        *AFTER_NODES,
        "aws:eks/podIdentityAssociation:PodIdentityAssociation::guestbook",
        "aws:iam/rolePolicy:RolePolicy::guestbook",
        "kubernetes:networking.k8s.io/v1:NetworkPolicy::guestbook-default-deny",
    } <= before


def test_the_load_balancer_goes_before_nodes_and_network_and_through_kubernetes(
    recording: Recording,
) -> None:
    before = everything_before(recording, SERVICE)
    assert {NODES, DEPLOYMENT} <= before
    assert "aws:ec2/natGateway:NatGateway" in kinds(before)
    assert recording.one("kubernetes:core/v1:Service", "guestbook").request.deletedWith == ""


def test_what_lives_in_the_cluster_goes_with_it(recording: Recording) -> None:
    inside = [
        r for r in recording.resources if r.type.startswith("kubernetes:") and key(r) != SERVICE
    ]
    assert inside
    assert {r.request.deletedWith.rpartition("$")[2] for r in inside} == {CLUSTER}


def test_database_image_and_pipeline_come_up_beside_the_cluster(recording: Recording) -> None:
    for start in (
        "aws:rds/instance:Instance::database",
        "docker:index/image:Image::image",
        "aws:codebuild/project:Project::pipeline-test",
    ):
        assert CLUSTER not in everything_before(recording, start)
