"""What the controllers do with objects: roll-outs, scheduling, deletion, jobs, nodes."""

from __future__ import annotations

import time
from typing import Any

from kubernetes import client as official
from kubernetes import watch as official_watch

from sandbox.contracts.cluster_host import ClusterFacts
from tests.sandbox.kubernetes.conftest import ARN, Demo, node
from tests.sandbox.kubernetes.objects import available, deployment, eventually, refusal

# The typed client would refuse some of the requests.
client: Any = official
watch: Any = official_watch


def test_deployment_spreads_over_zones_and_keeps_pods_available_in_a_rollout(
    apps: Any, core: Any
) -> None:
    apps.create_namespaced_deployment("default", deployment())
    eventually(lambda: available(apps) == 2)
    assert {pod.spec.node_name for pod in core.list_namespaced_pod("default").items} == {
        "node-a",
        "node-b",
    }
    start = apps.list_namespaced_deployment("default").metadata.resource_version
    apps.patch_namespaced_deployment("web", "default", deployment(image="registry/app:2"))
    events = watch.Watch().stream(
        apps.list_namespaced_deployment, "default", resource_version=start, timeout_seconds=120
    )
    observed = []
    for event in events:
        live = event["object"]
        observed.append(live.status.available_replicas or 0)
        progress = (
            live.status.observed_generation,
            live.status.updated_replicas,
            live.status.replicas,
        )
        if progress == (live.metadata.generation, 2, 2):
            break
    assert min(observed) >= 2
    assert {pod.spec.containers[0].image for pod in core.list_namespaced_pod("default").items} == {
        "registry/app:2"
    }


def test_eviction_beyond_the_disruption_budget_is_refused(demo: Demo, core: Any, apps: Any) -> None:
    apps.create_namespaced_deployment("default", deployment())
    eventually(lambda: available(apps) == 2)
    policy = client.PolicyV1Api(demo.api())
    spec = {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}
    body = {"metadata": {"name": "web"}, "spec": spec}
    policy.create_namespaced_pod_disruption_budget("default", body)
    name = core.list_namespaced_pod("default").items[0].metadata.name
    path = f"/api/v1/namespaces/default/pods/{name}/eviction"
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    code, response = demo.request("POST", path, eviction)
    assert (code, response["reason"]) == (429, "TooManyRequests")
    assert "web needs 2 healthy pods" in response["details"]["causes"][0]["message"]
    policy.patch_namespaced_pod_disruption_budget("web", "default", {"spec": {"minAvailable": 1}})

    def allowed() -> int:
        status = policy.read_namespaced_pod_disruption_budget("web", "default").status
        return int(status.disruptions_allowed)

    eventually(lambda: allowed() == 1)
    outdated = {**eviction, "deleteOptions": {"preconditions": {"uid": "other"}}}
    assert demo.request("POST", path, outdated)[0] == 409
    assert demo.request("POST", path, {**eviction, "deleteOptions": {"dryRun": ["All"]}})[0] == 201
    assert demo.request("POST", path, eviction)[0] == 201
    assert refusal(lambda: core.read_namespaced_pod(name, "default")).status == 404


def test_foreground_deletion_deletes_pods_and_orphaning_keeps_replica_sets(
    apps: Any, core: Any
) -> None:
    apps.create_namespaced_deployment("default", deployment())
    eventually(lambda: available(apps) == 2)
    apps.delete_namespaced_deployment("web", "default", propagation_policy="Foreground")
    eventually(lambda: not core.list_namespaced_pod("default").items)
    apps.create_namespaced_deployment("default", deployment("kept"))
    eventually(lambda: available(apps, "kept") == 2)
    apps.delete_namespaced_deployment("kept", "default", propagation_policy="Orphan")
    eventually(lambda: not apps.list_namespaced_deployment("default").items)
    assert len(apps.list_namespaced_replica_set("default").items) == 1


def test_claim_is_deleted_when_no_running_pod_has_its_volume(core: Any) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"metadata": {"name": "data"}, "spec": spec}
    core.create_namespaced_persistent_volume_claim("default", claim)
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    container = {"name": "app", "image": "registry/app:1"}
    pod = {"metadata": {"name": "user"}, "spec": {"containers": [container], "volumes": [volume]}}
    core.create_namespaced_pod("default", pod)
    core.delete_namespaced_persistent_volume_claim("data", "default")
    time.sleep(0.5)
    protected = core.read_namespaced_persistent_volume_claim("data", "default")
    assert protected.metadata.deletion_timestamp is not None
    core.delete_namespaced_pod("user", "default")
    eventually(lambda: not core.list_namespaced_persistent_volume_claim("default").items)


def test_terminating_namespace_waits_for_finalizers_and_refuses_new_objects(core: Any) -> None:
    core.create_namespace({"metadata": {"name": "app"}})
    blocked = {"metadata": {"name": "held", "finalizers": ["example.com/held"]}}
    core.create_namespaced_config_map("app", blocked)
    core.delete_namespace("app")
    result = eventually(lambda: (s := core.read_namespace("app").status).conditions and s)
    assert result.phase == "Terminating"
    assert "example.com/held" in str(result.conditions)
    error = refusal(lambda: core.create_namespaced_config_map("app", {"metadata": {"name": "new"}}))
    assert "because it is being terminated" in error.body
    core.patch_namespaced_config_map("held", "app", {"metadata": {"finalizers": None}})
    eventually(lambda: "app" not in {item.metadata.name for item in core.list_namespace().items})


def test_unschedulable_pod_reports_the_reason(core: Any, apps: Any) -> None:
    apps.create_namespaced_deployment(
        "default", deployment(nodeSelector={"kubernetes.io/arch": "arm64"})
    )
    pods = eventually(lambda: core.list_namespaced_pod("default").items)

    def reasons() -> str:
        status = core.read_namespaced_pod(pods[0].metadata.name, "default").status
        return " ".join(item.message or "" for item in (status and status.conditions) or ())

    assert "2 node(s) didn't match Pod's node affinity/selector" in eventually(reasons)


def test_missing_image_is_reported_as_image_pull_back_off(demo: Demo, core: Any, apps: Any) -> None:
    demo.clusters.external.image_check = lambda image, architecture: (
        "manifest unknown" if "@" in image else None
    )
    apps.create_namespaced_deployment(
        "default", deployment(image="registry/app@sha256:" + "0" * 64)
    )

    def waiting() -> Any:
        pods = core.list_namespaced_pod("default").items
        states = [
            pod.status.container_statuses[0].state.waiting
            for pod in pods
            if pod.status.container_statuses
        ]
        return states and states[0]

    result = eventually(waiting)
    assert result.reason == "ImagePullBackOff"
    assert "manifest unknown" in result.message


def test_pods_of_a_removed_node_are_recreated_on_another(demo: Demo, core: Any, apps: Any) -> None:
    apps.create_namespaced_deployment("default", deployment())
    eventually(lambda: available(apps) == 2)
    demo.clusters.set_nodes(ARN, "workers", [node("node-c", "us-east-1c")])
    eventually(
        lambda: (
            {pod.spec.node_name for pod in core.list_namespaced_pod("default").items} == {"node-c"}
        )
    )


def test_auto_mode_creates_nodes_for_pods_and_removes_idle_nodes(
    demo: Demo, core: Any, apps: Any
) -> None:
    demo.clusters.create(
        ClusterFacts(arn=ARN, name="demo", region="us-east-1", version="1.33", auto_mode=True)
    )
    demo.clusters.set_nodes(ARN, "workers", [])
    apps.create_namespaced_deployment("default", deployment())
    eventually(lambda: available(apps) == 2)
    created = core.list_node(label_selector="eks.amazonaws.com/compute-type=auto").items
    assert created
    apps.delete_namespaced_deployment("web", "default")
    eventually(lambda: not core.list_node().items)


def test_auto_mode_creates_arm64_nodes_for_an_arm64_node_pool(
    demo: Demo, core: Any, apps: Any
) -> None:
    demo.clusters.create(
        ClusterFacts(arn=ARN, name="demo", region="us-east-1", version="1.33", auto_mode=True)
    )
    demo.clusters.set_nodes(ARN, "workers", [])
    apps.create_namespaced_deployment(
        "default", deployment(nodeSelector={"kubernetes.io/arch": "arm64"})
    )
    eventually(lambda: len(core.list_namespaced_pod("default").items) == 2)
    assert core.list_node().items == []
    rule = {"key": "kubernetes.io/arch", "operator": "In", "values": ["arm64"]}
    pool = {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": "graviton"},
        "spec": {"template": {"spec": {"requirements": [rule]}}},
    }
    client.CustomObjectsApi(demo.api()).create_cluster_custom_object(
        "karpenter.sh", "v1", "nodepools", pool
    )
    eventually(lambda: available(apps) == 2)
    assert {n.metadata.labels["karpenter.sh/nodepool"] for n in core.list_node().items} == {
        "graviton"
    }


def test_autoscaler_without_metrics_keeps_replicas_within_bounds(demo: Demo, apps: Any) -> None:
    apps.create_namespaced_deployment("default", deployment(replicas=1))
    scaling = client.AutoscalingV2Api(demo.api())
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 3,
        "maxReplicas": 5,
    }
    scaling.create_namespaced_horizontal_pod_autoscaler(
        "default", {"metadata": {"name": "web"}, "spec": spec}
    )
    eventually(lambda: available(apps) == 3)
    eventually(
        lambda: (
            "did not receive metrics"
            in str(scaling.read_namespaced_horizontal_pod_autoscaler("web", "default").status)
        )
    )


def test_job_completes(demo: Demo) -> None:
    batch = client.BatchV1Api(demo.api())
    pod = {"restartPolicy": "Never", "containers": [{"name": "migrate", "image": "registry/app:1"}]}
    batch.create_namespaced_job(
        "default", {"metadata": {"name": "migrate"}, "spec": {"template": {"spec": pod}}}
    )
    eventually(
        lambda: (
            (status := batch.read_namespaced_job("migrate", "default").status)
            and status.succeeded == 1
        )
    )


def test_job_fails_when_its_pods_exceed_the_backoff_limit(demo: Demo, core: Any) -> None:
    demo.clusters.set_nodes(ARN, "workers", [])  # pods stay pending
    batch = client.BatchV1Api(demo.api())
    pod = {"containers": [{"name": "work", "image": "registry/app:1"}], "restartPolicy": "Never"}
    spec = {"backoffLimit": 1, "template": {"spec": pod}}
    batch.create_namespaced_job("default", {"metadata": {"name": "work"}, "spec": spec})

    def pending() -> list[str]:
        pods = core.list_namespaced_pod("default", field_selector="status.phase=Pending").items
        return [item.metadata.name for item in pods]

    for _ in range(2):
        [name] = eventually(pending)
        path = f"/api/v1/namespaces/default/pods/{name}/status"
        failed = {"status": {"phase": "Failed"}}
        assert demo.request("PATCH", path, failed, "application/merge-patch+json")[0] == 200

    def reasons() -> list[str]:
        status = batch.read_namespaced_job("work", "default").status
        return [item.reason for item in status.conditions or () if item.type == "Failed"]

    assert eventually(reasons) == ["BackoffLimitExceeded"]
    assert pending() == []
    assert batch.read_namespaced_job("work", "default").status.failed == 2
