"""Dependencies between resources: parallel creation, safe deletion."""

import pytest

from tests.program.recording import Recorded, Recording
from tests.program.running import run_program

CLUSTER = "eks:index:Cluster::cluster"
NODES = "eks:index:ManagedNodeGroup::cluster-nodes-a"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate::cluster-nodes"
DEPLOYMENT = "kubernetes:apps/v1:Deployment::guestbook"
SERVICE = "kubernetes:core/v1:Service::guestbook"
BUDGET = "kubernetes:policy/v1:PodDisruptionBudget::guestbook"
ADDON = "aws:eks/addon:Addon::cluster-"
ADDONS_AFTER_NODES = [f"{ADDON}coredns", f"{ADDON}metrics-server"]
POD_IDENTITY = "aws:eks/podIdentityAssociation:PodIdentityAssociation"


@pytest.fixture(scope="module", params=["dev", "prod"])
def recording(request: pytest.FixtureRequest) -> Recording:
    return run_program(request.param)


def key(resource: Recorded) -> str:
    return f"{resource.type}::{resource.name}"


def dependencies(recording: Recording, start: str) -> set[str]:
    """Direct and transitive dependencies of `start`."""
    edges = {key(resource): resource.depends_on for resource in recording.resources}
    # The EKS cluster inside pulumi-eks's component represents the component.
    edges["aws:eks/cluster:Cluster::cluster-eksCluster"] = {CLUSTER}
    assert start in edges
    reached: set[str] = set()
    pending = [start]
    while pending:
        for dependency in edges.get(pending.pop(), set()):
            if dependency not in reached:
                reached.add(dependency)
                pending.append(dependency)
    return reached


def types(keys: set[str]) -> set[str]:
    return {entry.partition("::")[0] for entry in keys}


def test_control_plane_depends_on_subnets_key_log_group_and_versions_only(
    recording: Recording,
) -> None:
    assert types(dependencies(recording, CLUSTER)) == {
        "aws:ec2/vpc:Vpc",
        "aws:ec2/subnet:Subnet",
        "aws:kms/key:Key",
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:ssm/parameter:Parameter",
    }


@pytest.mark.parametrize("start", [NODES, TEMPLATE])
def test_nodes_depend_on_routes_and_nat(recording: Recording, start: str) -> None:
    assert {
        "aws:ec2/route:Route",
        "aws:ec2/natGateway:NatGateway",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
    } <= types(dependencies(recording, start))


def test_nodes_depend_on_networking_add_ons_and_the_others_on_nodes(recording: Recording) -> None:
    before_nodes = dependencies(recording, NODES)
    agent, cni = f"{ADDON}eks-pod-identity-agent", f"{POD_IDENTITY}::cluster-cni"
    assert {CLUSTER, agent, cni} <= before_nodes
    assert not before_nodes & set(ADDONS_AFTER_NODES)
    for addon in ADDONS_AFTER_NODES:
        assert NODES in dependencies(recording, addon)


def test_pods_depend_on_nodes_dns_network_policies_and_identity(recording: Recording) -> None:
    assert {
        NODES,
        *ADDONS_AFTER_NODES,
        f"{POD_IDENTITY}::guestbook",
        "aws:iam/rolePolicy:RolePolicy::guestbook",
        "kubernetes:networking.k8s.io/v1:NetworkPolicy::guestbook-default-deny",
    } <= dependencies(recording, DEPLOYMENT)


def test_load_balancer_is_deleted_through_kubernetes_before_nodes_and_network(
    recording: Recording,
) -> None:
    before = dependencies(recording, SERVICE)
    assert {NODES, DEPLOYMENT} <= before
    assert "aws:ec2/natGateway:NatGateway" in types(before)
    assert recording.one("kubernetes:core/v1:Service", "guestbook").request.deletedWith == ""


def test_disruption_budget_is_deleted_before_the_nodes_are_drained(recording: Recording) -> None:
    """The drain of the last nodes would wait for it."""
    assert NODES in dependencies(recording, BUDGET)
    budget = recording.one("kubernetes:policy/v1:PodDisruptionBudget", "guestbook")
    assert budget.request.deletedWith == ""


def test_other_kubernetes_objects_are_deleted_with_the_cluster(recording: Recording) -> None:
    objects = [
        r
        for r in recording.resources
        if r.type.startswith("kubernetes:") and key(r) not in {SERVICE, BUDGET}
    ]
    assert objects
    assert {r.request.deletedWith.rpartition("$")[2] for r in objects} == {CLUSTER}


def test_database_image_and_pipeline_do_not_depend_on_the_cluster(recording: Recording) -> None:
    for start in (
        "aws:rds/instance:Instance::database",
        "docker:index/image:Image::image",
        "aws:codebuild/project:Project::pipeline-test",
    ):
        assert CLUSTER not in dependencies(recording, start)
