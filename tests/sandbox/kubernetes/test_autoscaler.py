"""Autoscaling on the use of CPU, without pods that run."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes import client as official

from sandbox.kubernetes.controllers import autoscaler
from tests.sandbox.kubernetes.conftest import ARN, Demo
from tests.sandbox.kubernetes.objects import available, deployment, eventually

client: Any = official


def test_load_adds_pods_when_nothing_has_changed_since_the_pods_started(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autoscaler, "_START_SECONDS", 2.0)
    cluster = demo.clusters.cluster(ARN)
    assert cluster is not None
    monkeypatch.setattr(cluster.controllers._context, "pod_usage", lambda _uid: {"cpu": 0.2})
    document = deployment(replicas=2)
    container = document["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"requests": {"cpu": "100m"}}
    apps = client.AppsV1Api(demo.api())
    apps.create_namespaced_deployment("default", document)
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
    }
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 2,
        "maxReplicas": 4,
        "metrics": [metric],
    }
    client.AutoscalingV2Api(demo.api()).create_namespaced_horizontal_pod_autoscaler(
        "default", {"metadata": {"name": "web"}, "spec": spec}
    )
    eventually(lambda: available(apps) == 4)
