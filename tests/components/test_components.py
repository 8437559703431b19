"""Each component on its own: its children under it, two of it in one stack, and what it refuses."""

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest

from components.cluster import AddonVersions, Cluster, ClusterArgs, Nodes
from components.database import Database, DatabaseArgs
from components.image import Image, ImageArgs
from components.network import Network, NetworkArgs
from components.observability import Observability, ObservabilityArgs
from components.pipeline import Pipeline, PipelineArgs, Source
from components.workload import Exposure, Workload, WorkloadArgs
from tests.program.recording import Recording
from tests.program.running import run

ADDONS = AddonVersions(
    vpc_cni="v1.21.1-eksbuild.1",
    kube_proxy="v1.35.0-eksbuild.2",
    pod_identity_agent="v1.3.10-eksbuild.2",
    coredns="v1.13.1-eksbuild.1",
    metrics_server="v0.8.0-eksbuild.6",
)
NODES = Nodes(
    architecture="amd64",
    instance_types=["t3.large"],
    capacity="spot",
    minimum=2,
    maximum=4,
    disk_gib=30,
    release_version="1.35.0-20260901",
)


def network(name: str, **changes: Any) -> Network:
    given: dict[str, Any] = {"prefix": "test", "cidr": "10.0.0.0/16", "zones": 2, "nat": "single"}
    return Network(name, NetworkArgs(**{**given, **changes}))


def cluster(name: str, **changes: Any) -> Cluster:
    given: dict[str, Any] = {
        "prefix": "test",
        "version": "1.35",
        "vpc_id": "vpc-1",
        "private_subnet_ids": ["subnet-1", "subnet-2"],
        "public_subnet_ids": ["subnet-3", "subnet-4"],
        "egress": [],
        "public_endpoint": True,
        "allowed_cidrs": ["203.0.113.0/24"],
        "service_cidr": "172.20.0.0/16",
        "nodes": NODES,
        "addons": ADDONS,
    }
    return Cluster(name, ClusterArgs(**{**given, **changes}))


def image(name: str, **changes: Any) -> Image:
    given: dict[str, Any] = {"prefix": "test", "context": Path("app"), "architecture": "amd64"}
    return Image(name, ImageArgs(**{**given, **changes}))


def database(name: str, **changes: Any) -> Database:
    given: dict[str, Any] = {
        "prefix": "test",
        "database_name": "guestbook",
        "engine_version": "17.6",
        "instance_class": "db.t4g.micro",
        "storage_gib": 20,
        "multi_az": False,
        "backup_days": 0,
        "vpc_id": "vpc-1",
        "subnet_ids": ["subnet-1", "subnet-2"],
        "client_security_group_id": "sg-1",
    }
    return Database(name, DatabaseArgs(**{**given, **changes}))


def workload(name: str, **changes: Any) -> Workload:
    inside = k8s.Provider(f"{name}-provider")
    given: dict[str, Any] = {
        "namespace": name,
        "image": f"registry.test/{name}@sha256:{'a' * 64}",
        "port": 8080,
        "minimum": 1,
        "maximum": 3,
        "cpu_millicores": 250,
        "memory_mib": 256,
        "exposure": Exposure(kind="load-balancer", allowed_cidrs=["203.0.113.0/24"]),
        "vpc_cidr": "10.0.0.0/16",
        "service_cidr": "172.20.0.0/16",
        "cluster_name": "test-cluster",
        "cluster_arn": "arn:aws:eks:us-east-1:123456789012:cluster/test-cluster",
        "control_plane": inside,
        "compute": [],
    }
    return Workload(name, WorkloadArgs(**{**given, **changes}), pulumi.ResourceOptions(providers=[inside]))


def observability(name: str, **changes: Any) -> Observability:
    given: dict[str, Any] = {
        "prefix": "test",
        "cluster_name": "test-cluster",
        "contacts": ["team@example.com"],
        "monthly_budget_usd": 100,
        "budget_tag": "user:stack$test",
    }
    return Observability(name, ObservabilityArgs(**{**given, **changes}))


def pipeline(name: str, **changes: Any) -> Pipeline:
    repository = "arn:aws:ecr:us-east-1:123456789012:repository/test/image"
    given: dict[str, Any] = {
        "prefix": "test",
        "source": Source(kind="github", repository="example/platform", branch="main"),
        "architecture": "amd64",
        "repository_url": "registry.test/test/image",
        "repository_name": "test/image",
        "repository_arn": repository,
        "cache_url": "registry.test/test/image-cache",
        "cache_arn": f"{repository}-cache",
        "cluster_name": "test-cluster",
        "cluster_arn": "arn:aws:eks:us-east-1:123456789012:cluster/test-cluster",
        "cluster_security_group_id": "sg-1",
        "vpc_id": "vpc-1",
        "subnet_ids": ["subnet-1"],
        "namespace": "guestbook",
        "deployment": "guestbook",
        "url": "http://guestbook.test",
        "topic_arn": "arn:aws:sns:us-east-1:123456789012:test",
        "approval": True,
        "execution_mode": "QUEUED",
        "rollback": True,
        "alarm_name": "release",
        "bake_minutes": 10,
    }
    return Pipeline(name, PipelineArgs(**{**given, **changes}))


MAKERS: list[Callable[..., pulumi.ComponentResource]] = [
    network,
    cluster,
    image,
    database,
    workload,
    observability,
    pipeline,
]


def made(*components: Callable[[], object]) -> Recording:
    def body() -> None:
        for component in components:
            component()

    return run(body)


@pytest.mark.parametrize("maker", MAKERS)
def test_two_of_a_component_live_in_one_stack_with_names_of_their_own(maker: Callable[..., object]) -> None:
    recording = made(lambda: maker("one"), lambda: maker("two"))
    logical = Counter((r.type, r.name) for r in recording.resources)
    assert [key for key, count in logical.items() if count > 1] == []
    # Kubernetes names are unique within a namespace, which is the component's own.
    physical = Counter(
        (r.type, r.inputs["name"])
        for r in recording.resources
        if "name" in r.inputs and not r.type.startswith("kubernetes:")
    )
    assert [key for key, count in physical.items() if count > 1] == []
    ones = sorted((r.type, r.name.replace("one", "X")) for r in recording.resources if r.name.startswith("one"))
    twos = sorted((r.type, r.name.replace("two", "X")) for r in recording.resources if r.name.startswith("two"))
    assert ones == twos


@pytest.mark.parametrize("maker", MAKERS)
def test_the_children_of_a_component_are_under_it(maker: Callable[..., object]) -> None:
    recording = made(lambda: maker("one"))
    ((kind, _),) = recording.components
    children = [r for r in recording.resources if not r.type.startswith("pulumi:providers") or maker is cluster]
    assert children
    assert {r.parent.rpartition("$")[2] for r in children} == {f"{kind}::one"}


@pytest.mark.parametrize("zones", [0, 4])
def test_a_network_refuses_zones_that_its_plan_does_not_hold(zones: int) -> None:
    with pytest.raises(ValueError) as caught:
        made(lambda: network("one", zones=zones))
    assert str(caught.value) == f"one: {zones} zones asked for; the plan holds 1 to 3"


def test_a_third_zone_changes_nothing_of_the_first_two() -> None:
    def subnets(zones: int) -> dict[str, Any]:
        found = made(lambda: network("one", zones=zones)).all("aws:ec2/subnet:Subnet")
        return {subnet.name: subnet.inputs for subnet in found}

    assert subnets(2).items() <= subnets(3).items()
    assert len(subnets(3)) == 6


def test_load_balancers_find_their_subnets_and_nodes_get_no_public_address() -> None:
    for subnet in made(lambda: network("one")).all("aws:ec2/subnet:Subnet"):
        role = "elb" if "public" in subnet.name else "internal-elb"
        assert subnet.inputs["tags"][f"kubernetes.io/role/{role}"] == "1"
        assert subnet.inputs["mapPublicIpOnLaunch"] is False


def test_s3_is_always_reached_directly_and_other_services_where_asked() -> None:
    endpoints = made(lambda: network("one", interface_endpoints=["sts"])).all("aws:ec2/vpcEndpoint:VpcEndpoint")
    assert {(e.inputs["serviceName"], e.inputs["vpcEndpointType"]) for e in endpoints} == {
        ("com.amazonaws.us-east-1.s3", "Gateway"),
        ("com.amazonaws.us-east-1.sts", "Interface"),
    }
    assert len(made(lambda: network("one")).all("aws:ec2/vpcEndpoint:VpcEndpoint")) == 1


def test_a_network_without_nat_has_no_way_out() -> None:
    recording = made(lambda: network("one", nat="none"))
    assert recording.all("aws:ec2/natGateway:NatGateway") == []
    assert [route.name for route in recording.all("aws:ec2/route:Route")] == ["one-public"]


def test_nodes_are_encrypted_pinned_and_keep_their_credentials_from_pods() -> None:
    recording = made(lambda: cluster("one"))
    template = recording.one("aws:ec2/launchTemplate:LaunchTemplate", "one-nodes").inputs
    assert template["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
    }
    assert template["blockDeviceMappings"][0]["ebs"]["encrypted"] == "true"
    group = recording.one("eks:index:ManagedNodeGroup", "one-nodes-a").inputs
    assert group["ignoreScalingChanges"] is True
    assert (group["releaseVersion"], group["version"]) == ("1.35.0-20260901", "1.35")


def test_a_control_plane_is_closed_encrypted_and_heard() -> None:
    inputs = made(lambda: cluster("one", protected=True)).one("eks:index:Cluster", "one").inputs
    assert inputs["authenticationMode"] == "API"
    assert inputs["enabledClusterLogTypes"] == ["api", "audit", "authenticator", "controllerManager", "scheduler"]
    assert inputs["encryptionConfigKeyArn"] == "arn:aws:kms:us-east-1:123456789012:key/one"
    assert inputs["upgradePolicy"] == {"supportType": "STANDARD"}
    assert inputs["deletionProtection"] is True
    assert inputs["publicAccessCidrs"] == ["203.0.113.0/24"]


def test_a_private_endpoint_names_no_networks_and_its_proxy_gets_into_the_kubeconfig() -> None:
    recording = made(
        lambda: cluster("one", public_endpoint=False, allowed_cidrs=[], proxy_url="http://proxy.test:3128")
    )
    inputs = recording.one("eks:index:Cluster", "one").inputs
    assert inputs["endpointPublicAccess"] is False
    assert "publicAccessCidrs" not in inputs
    kubeconfig = json.loads(recording.one("pulumi:providers:kubernetes", "one").inputs["kubeconfig"])
    assert kubeconfig["clusters"][0]["cluster"]["proxy-url"] == "http://proxy.test:3128"


def test_deployers_and_break_glass_come_in_by_name() -> None:
    role = "arn:aws:iam::123456789012:role"
    recording = made(lambda: cluster("one", deployers=[f"{role}/ci"], break_glass=[f"{role}/glass"]))
    entries = recording.one("eks:index:Cluster", "one").inputs["accessEntries"]
    assert entries["ci"]["principalArn"] == f"{role}/ci"
    assert (
        recording.one("aws:eks/accessEntry:AccessEntry", "one-break-glass-glass").inputs["principalArn"]
        == f"{role}/glass"
    )


def test_the_registry_password_is_a_secret_and_the_image_is_not_built_in_previews() -> None:
    recording = made(lambda: image("one"))
    built = recording.one("docker:index/image:Image", "one")
    assert built.inputs["buildOnPreview"] is False
    secret = built.request.object.fields["registry"].struct_value.fields
    wrapped = secret["password"].struct_value.fields if "password" in secret else secret
    assert "4dabf18193072939515e22adb298388d" in wrapped  # Pulumi's mark of a secret
    assert built.inputs["registry"]["password"] == "password-of-the-registry"


def test_image_tags_never_move_and_cache_tags_may() -> None:
    repositories = made(lambda: image("one")).all("aws:ecr/repository:Repository")
    assert {r.inputs["name"]: r.inputs["imageTagMutability"] for r in repositories} == {
        "test/one": "IMMUTABLE",
        "test/one-cache": "MUTABLE",
    }
    assert all(r.inputs["imageScanningConfiguration"] == {"scanOnPush": True} for r in repositories)


def test_pulumi_never_sees_the_database_password() -> None:
    recording = made(lambda: database("one"))
    inputs = recording.one("aws:rds/instance:Instance", "one").inputs
    assert inputs["manageMasterUserPassword"] is True
    assert not {"password", "passwordWo"} & set(inputs)
    assert {"name": "rds.force_ssl", "value": "1"} in recording.one(
        "aws:rds/parameterGroup:ParameterGroup", "one"
    ).inputs["parameters"]


def test_a_database_is_reached_from_one_group_only() -> None:
    (rule,) = made(lambda: database("one")).all("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert rule.inputs["referencedSecurityGroupId"] == "sg-1"
    assert "cidrIpv4" not in rule.inputs


def test_the_autoscaler_alone_decides_on_replicas() -> None:
    scaled = made(lambda: workload("one"))
    assert "replicas" not in scaled.one("kubernetes:apps/v1:Deployment", "one").inputs["spec"]
    assert len(scaled.all("kubernetes:autoscaling/v2:HorizontalPodAutoscaler")) == 1
    fixed = made(lambda: workload("one", minimum=2, maximum=2))
    assert fixed.one("kubernetes:apps/v1:Deployment", "one").inputs["spec"]["replicas"] == 2
    assert fixed.all("kubernetes:autoscaling/v2:HorizontalPodAutoscaler") == []


def test_the_image_is_the_pipelines_after_the_first_roll_out() -> None:
    plain = made(lambda: workload("one")).one("kubernetes:apps/v1:Deployment", "one")
    assert list(plain.request.ignoreChanges) == [
        "spec.template.metadata.annotations",
        "spec.template.spec.containers[0].image",
    ]
    migrated = made(lambda: workload("one", migration=["migrate"])).one("kubernetes:apps/v1:Deployment", "one")
    assert "spec.template.spec.initContainers[0].image" in migrated.request.ignoreChanges


def test_pods_may_do_little() -> None:
    recording = made(lambda: workload("one", migration=["migrate"]))
    labels = recording.one("kubernetes:core/v1:Namespace", "one").inputs["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = recording.one("kubernetes:apps/v1:Deployment", "one").inputs["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*pod["containers"], *pod["initContainers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }


def test_an_ingress_answers_by_name_with_tls() -> None:
    certificate = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    exposure = Exposure(
        kind="ingress",
        allowed_cidrs=["203.0.113.0/24"],
        certificate_arn=certificate,
        host="www.example.com",
        ingress_class="alb",
    )
    recording = made(lambda: workload("one", exposure=exposure))
    ingress = recording.one("kubernetes:networking.k8s.io/v1:Ingress", "one")
    assert ingress.inputs["metadata"]["annotations"]["alb.ingress.kubernetes.io/certificate-arn"] == certificate
    assert ingress.request.deletedWith == ""
    assert recording.one("kubernetes:core/v1:Service", "one").inputs["spec"]["type"] == "ClusterIP"


def test_a_pipeline_that_promotes_builds_nothing() -> None:
    recording = made(lambda: pipeline("one", promote_from="dev/image"))
    names = {r.inputs["name"] for r in recording.all("aws:codebuild/project:Project")}
    assert names == {"test-one-test", "test-one-promote", "test-one-deploy", "test-one-verify"}
    stages = recording.one("aws:codepipeline/pipeline:Pipeline", "one").inputs["stages"]
    assert [stage["name"] for stage in stages] == ["Source", "Test", "Promote", "Approve", "Deploy"]


def test_every_buildspec_that_a_pipeline_names_is_there() -> None:
    for promote_from in (None, "dev/image"):
        for project in made(partial(pipeline, "one", promote_from=promote_from)).all("aws:codebuild/project:Project"):
            assert Path(project.inputs["source"]["buildspec"]).is_file()


def test_a_resource_that_the_platform_is_not_known_to_use_ends_a_test() -> None:
    import pulumi_aws as aws

    with pytest.raises(AssertionError, match="is not known to use"):
        made(lambda: aws.sqs.Queue("queue"))


def test_a_call_that_the_platform_is_not_known_to_make_ends_a_test() -> None:
    import pulumi_aws as aws

    with pytest.raises(Exception, match="is not known to make"):
        made(lambda: pulumi.export("x", aws.ec2.get_vpc_output(default=True).id))
