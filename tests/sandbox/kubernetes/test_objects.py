"""Objects through the official Python client: rules, conflicts, field managers, watches, garbage, survival."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client as official
from kubernetes import watch as official_watch

from sandbox.contracts.cluster_host import ClusterFacts, Grant
from sandbox.kubernetes import Fleet
from tests.sandbox.kubernetes.conftest import ADMIN, ARN, POLICY, Demo, node

# Tests send what the typed client would refuse to send.
client: Any = official
watch: Any = official_watch
APPLY = "application/apply-patch+yaml"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def deployment(name: str = "web", replicas: int = 2, image: str = "registry/app:1", **pod: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": image}], **pod},
            },
        },
    }


def eventually(check: Callable[[], Any], seconds: float = 120.0) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found or time.monotonic() > deadline:
            assert found
            return found
        time.sleep(0.05)


def refusal(action: Callable[[], Any]) -> client.ApiException:
    with pytest.raises(client.ApiException) as caught:
        action()
    return caught.value


@pytest.fixture
def apps(demo: Demo) -> client.AppsV1Api:
    return client.AppsV1Api(demo.api())


@pytest.fixture
def core(demo: Demo) -> client.CoreV1Api:
    return client.CoreV1Api(demo.api())


def available(apps: client.AppsV1Api, name: str = "web") -> int:
    status = apps.read_namespaced_deployment(name, "default").status
    return (status.available_replicas or 0) if status else 0


def test_a_deployment_runs_spread_over_zones_and_rolls_without_losing_pods(apps: Any, core: Any) -> None:
    apps.create_namespaced_deployment("default", deployment())
    eventually(lambda: available(apps) == 2)
    assert {pod.spec.node_name for pod in core.list_namespaced_pod("default").items} == {"node-a", "node-b"}
    start = apps.list_namespaced_deployment("default").metadata.resource_version
    apps.patch_namespaced_deployment("web", "default", deployment(image="registry/app:2"))
    events = watch.Watch().stream(
        apps.list_namespaced_deployment, "default", resource_version=start, timeout_seconds=120
    )
    seen = []
    for event in events:
        live = event["object"]
        seen.append(live.status.available_replicas or 0)
        told = (live.status.observed_generation, live.status.updated_replicas, live.status.replicas)
        if told == (live.metadata.generation, 2, 2):
            break
    assert min(seen) >= 2
    assert {pod.spec.containers[0].image for pod in core.list_namespaced_pod("default").items} == {"registry/app:2"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"replicas": -1}, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        ({"selector": {"matchLabels": {"app": "other"}}}, "`selector` does not match template `labels`"),
        ({"selector": None}, "spec.selector: Required value"),
        ({"strategy": {"type": "Slowly"}}, 'supported values: "Recreate", "RollingUpdate"'),
    ],
)
def test_a_deployment_that_breaks_a_rule_is_refused(demo: Demo, change: dict[str, Any], message: str) -> None:
    wrong = deployment()
    wrong["spec"] |= change
    code, answer = demo.ask("POST", DEPLOYMENTS, wrong)
    assert (code, answer["reason"]) == (422, "Invalid")
    assert message in answer["message"]


def test_wrong_types_and_unknown_fields_are_named(demo: Demo) -> None:
    wrong = deployment()
    wrong["spec"]["replicas"] = "two"
    _, answer = demo.ask("POST", DEPLOYMENTS, wrong)
    assert (
        "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32" in answer["message"]
    )
    wrong = deployment()
    wrong["spec"]["replica"] = 2
    code, answer = demo.ask("POST", DEPLOYMENTS + "?fieldValidation=Strict", wrong)
    assert code == 400
    assert 'strict decoding error: unknown field "spec.replica"' in answer["message"]


def test_a_selector_cannot_be_changed(apps: Any) -> None:
    apps.create_namespaced_deployment("default", deployment())
    changed = {
        "spec": {"selector": {"matchLabels": {"tier": "x"}}, "template": {"metadata": {"labels": {"tier": "x"}}}}
    }
    assert "field is immutable" in refusal(lambda: apps.patch_namespaced_deployment("web", "default", changed)).body


def test_a_disruption_budget_takes_one_bound_only(demo: Demo) -> None:
    body = {"metadata": {"name": "web"}, "spec": {"minAvailable": 1, "maxUnavailable": 1, "selector": {}}}
    policy = client.PolicyV1Api(demo.api())
    error = refusal(lambda: policy.create_namespaced_pod_disruption_budget("default", body))
    assert "minAvailable and maxUnavailable cannot be both set" in error.body


def test_an_update_of_an_old_version_is_a_conflict(core: Any) -> None:
    made = core.create_namespaced_config_map("default", {"metadata": {"name": "a"}, "data": {"k": "1"}})
    core.patch_namespaced_config_map("a", "default", {"data": {"k": "2"}})
    error = refusal(lambda: core.replace_namespaced_config_map("a", "default", made))
    assert error.status == 409
    assert "the object has been modified" in error.body


def test_a_field_of_another_manager_is_a_conflict_that_names_it_until_forced(apps: Any) -> None:
    apps.patch_namespaced_deployment("web", "default", deployment(), field_manager="pulumi", _content_type=APPLY)
    release = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [{"name": "app", "image": "registry/app:2"}]}}},
    }

    def apply(**options: Any) -> Any:
        return apps.patch_namespaced_deployment(
            "web", "default", release, field_manager="pipeline", _content_type=APPLY, **options
        )

    error = refusal(apply)
    assert error.status == 409
    assert 'conflict with \\"pulumi\\": .spec.template.spec.containers[name=\\"app\\"].image' in error.body
    apply(force=True)
    live = apps.read_namespaced_deployment("web", "default")
    assert live.spec.template.spec.containers[0].image == "registry/app:2"
    assert live.spec.replicas == 2
    assert {entry.manager for entry in live.metadata.managed_fields} == {"pulumi", "pipeline"}


def test_what_an_applied_configuration_no_longer_says_is_removed(core: Any) -> None:
    def apply(data: dict[str, str]) -> Any:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}
        return core.patch_namespaced_config_map("a", "default", body, field_manager="me", _content_type=APPLY)

    apply({"one": "1", "two": "2"})
    core.patch_namespaced_config_map("a", "default", {"data": {"three": "3"}}, field_manager="other")
    assert apply({"one": "1"}).data == {"one": "1", "three": "3"}


def test_a_dry_run_changes_nothing(core: Any) -> None:
    assert core.create_namespaced_config_map("default", {"metadata": {"name": "a"}}, dry_run="All").metadata.uid
    assert refusal(lambda: core.read_namespaced_config_map("a", "default")).status == 404


def test_a_watch_sees_what_its_selector_matches(core: Any) -> None:
    start = core.list_namespaced_config_map("default").metadata.resource_version
    core.create_namespaced_config_map("default", {"metadata": {"name": "a", "labels": {"app": "x"}}})
    core.create_namespaced_config_map("default", {"metadata": {"name": "b"}})
    core.patch_namespaced_config_map("a", "default", {"metadata": {"labels": {"app": "y"}}})
    events = watch.Watch().stream(
        core.list_namespaced_config_map, "default", label_selector="app=x", resource_version=start, timeout_seconds=120
    )
    seen = []
    for event in events:
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            break
    assert seen == [("ADDED", "a"), ("DELETED", "a")]


def test_deleting_a_deployment_takes_its_pods_along_and_orphaning_leaves_them(apps: Any, core: Any) -> None:
    apps.create_namespaced_deployment("default", deployment())
    eventually(lambda: available(apps) == 2)
    apps.delete_namespaced_deployment("web", "default", propagation_policy="Foreground")
    eventually(lambda: not core.list_namespaced_pod("default").items)
    apps.create_namespaced_deployment("default", deployment("kept"))
    eventually(lambda: available(apps, "kept") == 2)
    apps.delete_namespaced_deployment("kept", "default", propagation_policy="Orphan")
    eventually(lambda: not apps.list_namespaced_deployment("default").items)
    assert len(apps.list_namespaced_replica_set("default").items) == 1


def test_a_namespace_goes_when_its_finalizers_are_done_and_takes_nothing_new_meanwhile(core: Any) -> None:
    core.create_namespace({"metadata": {"name": "app"}})
    held = {"metadata": {"name": "held", "finalizers": ["example.com/held"]}}
    core.create_namespaced_config_map("app", held)
    core.delete_namespace("app")
    found = eventually(lambda: (s := core.read_namespace("app").status).conditions and s)
    assert found.phase == "Terminating"
    assert "example.com/held" in str(found.conditions)
    error = refusal(lambda: core.create_namespaced_config_map("app", {"metadata": {"name": "new"}}))
    assert "because it is being terminated" in error.body
    core.patch_namespaced_config_map("held", "app", {"metadata": {"finalizers": None}})
    eventually(lambda: "app" not in {item.metadata.name for item in core.list_namespace().items})


def test_a_new_object_has_a_status_before_any_controller_saw_it(core: Any, apps: Any, demo: Demo) -> None:
    core.create_namespace({"metadata": {"name": "app"}})
    assert apps.create_namespaced_deployment("app", deployment()).status is not None
    budget = {"metadata": {"name": "web"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}}
    made = client.PolicyV1Api(demo.api()).create_namespaced_pod_disruption_budget("app", budget)
    assert (made.status.expected_pods, made.status.disruptions_allowed) == (0, 0)
    service = {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}, "status": {"conditions": []}}
    made = core.create_namespaced_service("app", service)
    assert made.status.to_dict() == {"conditions": None, "load_balancer": {"ingress": None}}


def test_pods_that_break_the_restricted_level_are_refused_and_the_deployment_says_so(core: Any, apps: Any) -> None:
    core.create_namespace({"metadata": {"name": "app", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
    _, _, headers = apps.create_namespaced_deployment_with_http_info("app", deployment())
    assert "would violate PodSecurity" in headers["Warning"]
    found = eventually(
        lambda: [
            c
            for c in apps.read_namespaced_deployment("web", "app").status.conditions or ()
            if c.type == "ReplicaFailure"
        ]
    )
    assert 'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false' in found[0].message
    assert not core.list_namespaced_pod("app").items


def test_a_quota_bounds_pods_and_a_limit_range_fills_in_what_they_leave_out(core: Any, apps: Any) -> None:
    core.create_namespace({"metadata": {"name": "app"}})
    core.create_namespaced_resource_quota(
        "app", {"metadata": {"name": "q"}, "spec": {"hard": {"requests.cpu": "250m"}}}
    )
    apps.create_namespaced_deployment("app", deployment(replicas=3))

    def failure(text: str) -> bool:
        status = apps.read_namespaced_deployment("web", "app").status
        return any(text in (item.message or "") for item in status.conditions or ())

    eventually(lambda: failure("failed quota: q: must specify requests.cpu for: app"))
    limits = {"limits": [{"type": "Container", "defaultRequest": {"cpu": "100m"}}]}
    core.create_namespaced_limit_range("app", {"metadata": {"name": "l"}, "spec": limits})
    eventually(lambda: len(core.list_namespaced_pod("app").items) == 2)
    eventually(
        lambda: failure(
            "exceeded quota: q, requested: requests.cpu=100m, used: requests.cpu=200m, limited: requests.cpu=250m"
        )
    )


def test_a_pod_that_fits_nowhere_says_why(core: Any, apps: Any) -> None:
    apps.create_namespaced_deployment("default", deployment(nodeSelector={"kubernetes.io/arch": "arm64"}))
    pods = eventually(lambda: core.list_namespaced_pod("default").items)

    def reasons() -> str:
        status = core.read_namespaced_pod(pods[0].metadata.name, "default").status
        return " ".join(item.message or "" for item in (status and status.conditions) or ())

    assert "2 node(s) didn't match Pod's node affinity/selector" in eventually(reasons)


def test_an_image_that_is_not_in_the_registry_is_not_pulled(demo: Demo, core: Any, apps: Any) -> None:
    demo.fleet.hooks.image_check = lambda image, architecture: "manifest unknown" if "@" in image else None
    apps.create_namespaced_deployment("default", deployment(image="registry/app@sha256:" + "0" * 64))

    def waiting() -> Any:
        pods = core.list_namespaced_pod("default").items
        states = [pod.status.container_statuses[0].state.waiting for pod in pods if pod.status.container_statuses]
        return states and states[0]

    found = eventually(waiting)
    assert found.reason == "ImagePullBackOff"
    assert "manifest unknown" in found.message


def test_pods_of_a_node_that_goes_are_made_elsewhere(demo: Demo, core: Any, apps: Any) -> None:
    apps.create_namespaced_deployment("default", deployment())
    eventually(lambda: available(apps) == 2)
    demo.fleet.set_nodes(ARN, "workers", [node("node-c", "us-east-1c")])
    eventually(lambda: {pod.spec.node_name for pod in core.list_namespaced_pod("default").items} == {"node-c"})


def test_auto_mode_makes_nodes_for_pods_and_removes_idle_ones(demo: Demo, core: Any, apps: Any) -> None:
    demo.fleet.create(ClusterFacts(arn=ARN, name="demo", region="us-east-1", version="1.33", auto_mode=True))
    demo.fleet.set_nodes(ARN, "workers", [])
    apps.create_namespaced_deployment("default", deployment())
    eventually(lambda: available(apps) == 2)
    made = core.list_node(label_selector="eks.amazonaws.com/compute-type=auto").items
    assert made
    apps.delete_namespaced_deployment("web", "default")
    eventually(lambda: not core.list_node().items)


def test_auto_mode_makes_graviton_nodes_for_a_pool_that_names_them_only(demo: Demo, core: Any, apps: Any) -> None:
    demo.fleet.create(ClusterFacts(arn=ARN, name="demo", region="us-east-1", version="1.33", auto_mode=True))
    demo.fleet.set_nodes(ARN, "workers", [])
    apps.create_namespaced_deployment("default", deployment(nodeSelector={"kubernetes.io/arch": "arm64"}))
    eventually(lambda: len(core.list_namespaced_pod("default").items) == 2)
    assert core.list_node().items == []
    rule = {"key": "kubernetes.io/arch", "operator": "In", "values": ["arm64"]}
    pool = {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": "graviton"},
        "spec": {"template": {"spec": {"requirements": [rule]}}},
    }
    client.CustomObjectsApi(demo.api()).create_cluster_custom_object("karpenter.sh", "v1", "nodepools", pool)
    eventually(lambda: available(apps) == 2)
    assert {n.metadata.labels["karpenter.sh/nodepool"] for n in core.list_node().items} == {"graviton"}


def test_an_autoscaler_without_metrics_keeps_to_its_bounds_and_says_so(demo: Demo, apps: Any) -> None:
    apps.create_namespaced_deployment("default", deployment(replicas=1))
    scaling = client.AutoscalingV2Api(demo.api())
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 3,
        "maxReplicas": 5,
    }
    scaling.create_namespaced_horizontal_pod_autoscaler("default", {"metadata": {"name": "web"}, "spec": spec})
    eventually(lambda: available(apps) == 3)
    eventually(
        lambda: (
            "the sandbox has no metrics"
            in str(scaling.read_namespaced_horizontal_pod_autoscaler("web", "default").status)
        )
    )


def test_a_job_completes(demo: Demo) -> None:
    batch = client.BatchV1Api(demo.api())
    pod = {"restartPolicy": "Never", "containers": [{"name": "migrate", "image": "registry/app:1"}]}
    batch.create_namespaced_job("default", {"metadata": {"name": "migrate"}, "spec": {"template": {"spec": pod}}})
    eventually(lambda: (status := batch.read_namespaced_job("migrate", "default").status) and status.succeeded == 1)


def test_rights_come_from_access_policies_and_from_kubernetes_groups(demo: Demo, core: Any) -> None:
    pipeline, reader = ADMIN + "-pipeline", ADMIN + "-reader"
    core.create_namespace({"metadata": {"name": "app"}})
    demo.principals.given[pipeline] = [
        Grant(username="pipeline", policy_arn=POLICY + "AmazonEKSEditPolicy", namespaces=("app",))
    ]
    demo.principals.given[reader] = [Grant(username="reader", groups=("readers",))]
    theirs = client.CoreV1Api(demo.api(pipeline))
    theirs.create_namespaced_config_map("app", {"metadata": {"name": "a"}})
    error = refusal(lambda: theirs.list_namespaced_config_map("default"))
    assert (
        'User \\"pipeline\\" cannot list resource \\"configmaps\\" in API group \\"\\" in the namespace \\"default\\"'
        in error.body
    )
    rbac = client.RbacAuthorizationV1Api(demo.api())
    rbac.create_namespaced_role_binding(
        "app",
        {
            "metadata": {"name": "readers"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "Group", "name": "readers"}],
        },
    )
    readers = client.CoreV1Api(demo.api(reader))
    assert readers.list_namespaced_config_map("app").items
    assert refusal(lambda: readers.create_namespaced_config_map("app", {"metadata": {"name": "b"}})).status == 403
    assert refusal(lambda: client.CoreV1Api(demo.api(ADMIN + "-nobody")).list_namespace()).status == 401


def test_objects_and_the_address_outlive_the_process(demo: Demo, core: Any, apps: Any) -> None:
    apps.create_namespaced_deployment("default", deployment())
    eventually(lambda: available(apps) == 2)
    before = apps.read_namespaced_deployment("web", "default").metadata.uid
    demo.fleet.stop()
    demo.fleet = Fleet(demo.directory / "kubernetes", demo.principals)
    demo.fleet.start()
    again = client.AppsV1Api(demo.api())
    assert again.read_namespaced_deployment("web", "default").metadata.uid == before
    demo.fleet.reconcile([])
    assert refusal(lambda: again.list_namespaced_deployment("default")).status == 404
