"""Ports of kubeconfigs are kept over restarts; a taken one is reported."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sandbox.contracts.cluster_host import ClusterFacts
from sandbox.kubernetes.cluster_host import KubernetesClusterHost
from sandbox.runtime.ports import PortTakenError
from tests.sandbox.kubernetes.conftest import Principals


def cluster_facts(name: str) -> ClusterFacts:
    return ClusterFacts(
        arn=f"arn:aws:eks:us-east-1:123456789012:cluster/{name}",
        name=name,
        region="us-east-1",
        version="1.33",
    )


def port_of(clusters: KubernetesClusterHost, name: str) -> int:
    return urlsplit(clusters.create(cluster_facts(name)).url).port or 0


def test_cluster_keeps_its_port_after_a_restart(tmp_path: Path) -> None:
    clusters = KubernetesClusterHost(tmp_path, Principals({}))
    clusters.start()
    ports = {name: port_of(clusters, name) for name in ("demo", "other")}
    assert len(set(ports.values())) == 2
    assert max(ports.values()) < 32768  # below the ephemeral range
    clusters.stop()
    restarted = KubernetesClusterHost(tmp_path, Principals({}))
    restarted.start()
    assert {name: port_of(restarted, name) for name in ports} == ports
    restarted.stop()


def test_taken_port_of_a_cluster_is_reported(tmp_path: Path) -> None:
    clusters = KubernetesClusterHost(tmp_path, Principals({}))
    clusters.start()
    port = port_of(clusters, "demo")
    clusters.stop()
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(PortTakenError, match=f"port {port} on loopback"),
    ):
        KubernetesClusterHost(tmp_path, Principals({}))
