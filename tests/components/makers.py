"""One of each component, with arguments that work; tests change what they are about."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

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
        "vpc_cidr": "10.0.0.0/16",
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
        "architecture": "amd64",
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
        "topic_key_arn": "arn:aws:kms:us-east-1:123456789012:key/test",
        "approval": True,
        "execution_mode": "QUEUED",
        "rollback": True,
        "alarm_names": ["unscheduled", "api-errors"],
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
