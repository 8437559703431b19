"""The control plane of `make kubernetes`: alone, and as the API server of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client as official

from sandbox.contracts.cluster_host import ClusterFacts, Grant
from sandbox.kubernetes.cluster_host import KubernetesClusterHost
from sandbox.kubernetes.control_plane import ControlPlane, ControlPlaneError
from sandbox.runtime import control_plane_processes, kubernetes_build
from sandbox.runtime.cluster_backends import StackBackends, parse
from tests.sandbox.kubernetes.conftest import ADMIN, ARN, POLICY, Demo, Principals, node
from tests.sandbox.kubernetes.objects import deployment, eventually, refusal

client: Any = official
PIPELINE = ADMIN + "-pipeline"


def test_missing_programs_are_named_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_build, "built", lambda: None)
    with pytest.raises(ControlPlaneError, match="not built; `make kubernetes` builds it"):
        ControlPlane(tmp_path)


def test_program_that_ends_is_named_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("etcd", "kube-apiserver"):
        (programs / name).write_text(f"#!/bin/sh\necho {name} has no port; sleep 0.2; exit 3\n")
        (programs / name).chmod(0o755)
    monkeypatch.setattr(kubernetes_build, "built", lambda: programs)
    with pytest.raises(ControlPlaneError, match=r"ended with exit code 3: \S+ has no port"):
        ControlPlane(tmp_path / "plane").start()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Demo]:
    """Return the clients of a cluster with a control plane and one node."""
    if kubernetes_build.built() is None:
        pytest.skip("the control plane is not built; `make kubernetes` builds it")
    directory = tmp_path / "kubernetes"
    backends = StackBackends(directory)
    backends.choose("platform/dev", parse("control-plane", "platform/dev"))
    backends.assign("urn:pulumi:dev::platform::aws:eks/cluster:Cluster::cluster", ARN)
    principals = Principals(
        {
            ADMIN: [Grant(username=ADMIN, policy_arn=POLICY + "AmazonEKSClusterAdminPolicy")],
            PIPELINE: [
                Grant(
                    username="pipeline",
                    policy_arn=POLICY + "AmazonEKSEditPolicy",
                    namespaces=("app",),
                )
            ],
        }
    )
    host = KubernetesClusterHost(directory, principals)
    host.start()
    facts = ClusterFacts(arn=ARN, name="demo", region="us-east-1", version="1.35")
    demo = Demo(host, principals, host.create(facts), tmp_path)
    host.set_nodes(ARN, "workers", [node("node-a")])
    yield demo
    demo.clusters.stop()


def test_cluster_with_a_control_plane_runs_workloads_and_leaves_nothing(
    cluster: Demo, tmp_path: Path
) -> None:
    directory = tmp_path / "kubernetes"
    core, apps = client.CoreV1Api(cluster.api()), client.AppsV1Api(cluster.api())
    core.create_namespace({"metadata": {"name": "app"}})
    apps.create_namespaced_deployment("app", deployment(replicas=2))
    spec = {"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"app": "web"}}
    core.create_namespaced_service("app", {"metadata": {"name": "web"}, "spec": spec})
    eventually(lambda: apps.read_namespaced_deployment("web", "app").status.available_replicas == 2)
    eventually(lambda: core.read_namespaced_service("web", "app").status.load_balancer.ingress)

    # The access policy is the endpoint's, everything else the API server's RBAC.
    pipeline = client.CoreV1Api(cluster.api(PIPELINE))
    assert pipeline.list_namespaced_pod("app").items
    refused = refusal(lambda: pipeline.list_namespaced_pod("default"))
    assert 'User \\"pipeline\\" cannot list resource \\"pods\\"' in refused.body

    cluster.clusters.stop()
    assert not control_plane_processes.end_all(directory)
    cluster.clusters = KubernetesClusterHost(directory, cluster.principals)
    cluster.clusters.start()
    again = client.AppsV1Api(cluster.api())
    assert again.read_namespaced_deployment("web", "app").spec.replicas == 2
    cluster.clusters.delete(ARN)
    eventually(lambda: not list((directory / "clusters").iterdir()))
    assert not control_plane_processes.end_all(directory)
