"""Objects through the official Python client: validation, conflicts, patches, watches."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes import client as official
from kubernetes import watch as official_watch

from sandbox.contracts.cluster_host import Grant
from sandbox.kubernetes.apiserver.patches import json_patch
from sandbox.kubernetes.cluster_host import KubernetesClusterHost
from tests.sandbox.kubernetes.conftest import ADMIN, POLICY, Demo
from tests.sandbox.kubernetes.objects import available, deployment, eventually, refusal

# The typed client would refuse some of the requests.
client: Any = official
watch: Any = official_watch
APPLY = "application/apply-patch+yaml"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"replicas": -1}, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (
            {"selector": {"matchLabels": {"app": "other"}}},
            "`selector` does not match template `labels`",
        ),
        ({"selector": None}, "spec.selector: Required value"),
        ({"strategy": {"type": "Slowly"}}, 'supported values: "Recreate", "RollingUpdate"'),
    ],
)
def test_invalid_deployment_is_refused(demo: Demo, change: dict[str, Any], message: str) -> None:
    invalid = deployment()
    invalid["spec"] |= change
    code, response = demo.request("POST", DEPLOYMENTS, invalid)
    assert (code, response["reason"]) == (422, "Invalid")
    assert message in response["message"]


def test_wrong_types_and_unknown_fields_are_refused_by_name(demo: Demo) -> None:
    invalid = deployment()
    invalid["spec"]["replicas"] = "two"
    _, response = demo.request("POST", DEPLOYMENTS, invalid)
    assert (
        "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
        in response["message"]
    )
    invalid = deployment()
    invalid["spec"]["replica"] = 2
    code, response = demo.request("POST", DEPLOYMENTS + "?fieldValidation=Strict", invalid)
    assert code == 400
    assert 'strict decoding error: unknown field "spec.replica"' in response["message"]


def test_selector_is_immutable(apps: Any) -> None:
    apps.create_namespaced_deployment("default", deployment())
    changed = {
        "spec": {
            "selector": {"matchLabels": {"tier": "x"}},
            "template": {"metadata": {"labels": {"tier": "x"}}},
        }
    }
    assert (
        "field is immutable"
        in refusal(lambda: apps.patch_namespaced_deployment("web", "default", changed)).body
    )


def test_disruption_budget_with_two_bounds_is_refused(demo: Demo) -> None:
    body = {
        "metadata": {"name": "web"},
        "spec": {"minAvailable": 1, "maxUnavailable": 1, "selector": {}},
    }
    policy = client.PolicyV1Api(demo.api())
    error = refusal(lambda: policy.create_namespaced_pod_disruption_budget("default", body))
    assert "minAvailable and maxUnavailable cannot be both set" in error.body


def test_update_of_outdated_resource_version_is_a_conflict(core: Any) -> None:
    created = core.create_namespaced_config_map(
        "default", {"metadata": {"name": "a"}, "data": {"k": "1"}}
    )
    core.patch_namespaced_config_map("a", "default", {"data": {"k": "2"}})
    error = refusal(lambda: core.replace_namespaced_config_map("a", "default", created))
    assert error.status == 409
    assert "the object has been modified" in error.body


def test_apply_of_another_managers_field_is_a_conflict_unless_forced(apps: Any) -> None:
    apps.patch_namespaced_deployment(
        "web", "default", deployment(), field_manager="pulumi", _content_type=APPLY
    )
    release = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "template": {"spec": {"containers": [{"name": "app", "image": "registry/app:2"}]}}
        },
    }

    def apply(**options: Any) -> Any:
        return apps.patch_namespaced_deployment(
            "web", "default", release, field_manager="pipeline", _content_type=APPLY, **options
        )

    error = refusal(apply)
    assert error.status == 409
    assert (
        'conflict with \\"pulumi\\": .spec.template.spec.containers[name=\\"app\\"].image'
        in error.body
    )
    apply(force=True)
    live = apps.read_namespaced_deployment("web", "default")
    assert live.spec.template.spec.containers[0].image == "registry/app:2"
    assert live.spec.replicas == 2
    assert {entry.manager for entry in live.metadata.managed_fields} == {"pulumi", "pipeline"}


def test_field_missing_in_next_apply_is_removed(core: Any) -> None:
    def apply(data: dict[str, str]) -> Any:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}
        return core.patch_namespaced_config_map(
            "a", "default", body, field_manager="me", _content_type=APPLY
        )

    apply({"one": "1", "two": "2"})
    core.patch_namespaced_config_map(
        "a", "default", {"data": {"three": "3"}}, field_manager="other"
    )
    assert apply({"one": "1"}).data == {"one": "1", "three": "3"}


@pytest.mark.parametrize(
    ("operations", "status", "message"),
    [
        ([{"op": "replace", "path": "/data/k", "value": "2"}], 200, ""),
        ([{"op": "test", "path": "/data/k", "value": "2"}], 422, "rejected our request"),
        ([{"op": "remove", "path": "/data/missing"}], 422, "rejected our request"),
        ([{"op": "spread", "path": "/data/k"}], 422, "rejected our request"),
    ],
)
def test_json_patch_is_applied_or_refused(
    demo: Demo, core: Any, operations: list[dict[str, str]], status: int, message: str
) -> None:
    core.create_namespaced_config_map("default", {"metadata": {"name": "a"}, "data": {"k": "1"}})
    path = "/api/v1/namespaces/default/configmaps/a"
    code, response = demo.request("PATCH", path, operations, "application/json-patch+json")
    assert (code, message in str(response.get("message", ""))) == (status, True)
    expected = "2" if status == 200 else "1"
    assert core.read_namespaced_config_map("a", "default").data == {"k": expected}


def test_write_to_scale_is_recorded_in_managed_fields(apps: Any) -> None:
    apps.create_namespaced_deployment("default", deployment())
    scale = {"spec": {"replicas": 3}}
    apps.patch_namespaced_deployment_scale("web", "default", scale, field_manager="scaler")
    live = apps.read_namespaced_deployment("web", "default")
    [entry] = [it for it in live.metadata.managed_fields if it.manager == "scaler"]
    assert (entry.operation, entry.subresource) == ("Update", "scale")
    assert entry.fields_v1 == {"f:spec": {"f:replicas": {}}}


def test_dry_run_stores_nothing(core: Any) -> None:
    assert core.create_namespaced_config_map(
        "default", {"metadata": {"name": "a"}}, dry_run="All"
    ).metadata.uid
    assert refusal(lambda: core.read_namespaced_config_map("a", "default")).status == 404


def test_watch_with_selector_reports_matching_objects(core: Any) -> None:
    start = core.list_namespaced_config_map("default").metadata.resource_version
    core.create_namespaced_config_map(
        "default", {"metadata": {"name": "a", "labels": {"app": "x"}}}
    )
    core.create_namespaced_config_map("default", {"metadata": {"name": "b"}})
    core.patch_namespaced_config_map("a", "default", {"metadata": {"labels": {"app": "y"}}})
    events = watch.Watch().stream(
        core.list_namespaced_config_map,
        "default",
        label_selector="app=x",
        resource_version=start,
        timeout_seconds=120,
    )
    observed = []
    for event in events:
        observed.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            break
    assert observed == [("ADDED", "a"), ("DELETED", "a")]


def test_json_patch_of_null_changes_nothing() -> None:
    assert json_patch({"data": {"k": "1"}}, None) == {"data": {"k": "1"}}


def test_new_object_has_its_initial_status(core: Any, apps: Any, demo: Demo) -> None:
    core.create_namespace({"metadata": {"name": "app"}})
    assert apps.create_namespaced_deployment("app", deployment()).status is not None
    budget = {
        "metadata": {"name": "web"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    }
    created = client.PolicyV1Api(demo.api()).create_namespaced_pod_disruption_budget("app", budget)
    assert (created.status.expected_pods, created.status.disruptions_allowed) == (0, 0)
    service = {
        "metadata": {"name": "web"},
        "spec": {"ports": [{"port": 80}]},
        "status": {"conditions": []},
    }
    created = core.create_namespaced_service("app", service)
    assert created.status.to_dict() == {"conditions": None, "load_balancer": {"ingress": None}}


def test_service_of_another_type_keeps_no_field_of_the_former_type(core: Any) -> None:
    def change(spec: dict[str, Any]) -> dict[str, Any]:
        changed = core.patch_namespaced_service("turn", "default", {"spec": spec}).to_dict()["spec"]
        return {key: value for key, value in changed.items() if value is not None}

    spec = {"type": "LoadBalancer", "ports": [{"port": 80}], "loadBalancerClass": "a/b"}
    created = core.create_namespaced_service(
        "default", {"metadata": {"name": "turn"}, "spec": spec}
    )
    address = created.spec.cluster_ip
    assert created.spec.ports[0].node_port

    internal = change({"type": "ClusterIP"})
    assert internal["cluster_ip"] == address
    assert internal["ports"][0]["node_port"] is None
    of_load_balancers = {
        *("allocate_load_balancer_node_ports", "external_traffic_policy", "load_balancer_class"),
    }
    assert of_load_balancers.isdisjoint(internal)
    with pytest.raises(client.ApiException, match="may not be used when `type` is 'ClusterIP'"):
        change({"ports": [{"port": 80, "nodePort": 30999}]})

    external = change({"type": "ExternalName", "externalName": "db.example.com"})
    assert {"cluster_ip", "cluster_i_ps", "ip_families"}.isdisjoint(external)
    assert change({"type": "NodePort"})["ports"][0]["node_port"]


def test_pod_violating_restricted_level_is_refused_and_reported_by_deployment(
    core: Any, apps: Any
) -> None:
    core.create_namespace(
        {
            "metadata": {
                "name": "app",
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            }
        }
    )
    _, _, headers = apps.create_namespaced_deployment_with_http_info("app", deployment())
    assert "would violate PodSecurity" in headers["Warning"]
    result = eventually(
        lambda: [
            c
            for c in apps.read_namespaced_deployment("web", "app").status.conditions or ()
            if c.type == "ReplicaFailure"
        ]
    )
    assert (
        'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false'
        in result[0].message
    )
    assert not core.list_namespaced_pod("app").items


def test_quota_limits_pods_and_limit_range_sets_default_requests(core: Any, apps: Any) -> None:
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
            "exceeded quota: q, requested: requests.cpu=100m, used: requests.cpu=200m, limited: "
            "requests.cpu=250m"
        )
    )


def test_access_policies_and_kubernetes_groups_authorize_requests(demo: Demo, core: Any) -> None:
    pipeline, reader = ADMIN + "-pipeline", ADMIN + "-reader"
    core.create_namespace({"metadata": {"name": "app"}})
    demo.principals.grants_by_principal[pipeline] = [
        Grant(username="pipeline", policy_arn=POLICY + "AmazonEKSEditPolicy", namespaces=("app",))
    ]
    demo.principals.grants_by_principal[reader] = [
        Grant(username="reader:{{SessionName}}", groups=("readers",))
    ]
    pipeline_client = client.CoreV1Api(demo.api(pipeline))
    pipeline_client.create_namespaced_config_map("app", {"metadata": {"name": "a"}})
    error = refusal(lambda: pipeline_client.list_namespaced_config_map("default"))
    assert (
        'User \\"pipeline\\" cannot list resource \\"configmaps\\" in API group \\"\\" in the '
        'namespace \\"default\\"' in error.body
    )
    rbac = client.RbacAuthorizationV1Api(demo.api())
    rbac.create_namespaced_role_binding(
        "app",
        {
            "metadata": {"name": "readers"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "view",
            },
            "subjects": [{"kind": "Group", "name": "readers"}],
        },
    )
    readers = client.CoreV1Api(demo.api(f"{reader}#ann@example.com"))
    assert readers.list_namespaced_config_map("app").items
    error = refusal(
        lambda: readers.create_namespaced_config_map("app", {"metadata": {"name": "b"}})
    )
    assert 'User \\"reader:ann-example.com\\" cannot create' in error.body
    assert (
        refusal(lambda: client.CoreV1Api(demo.api(ADMIN + "-nobody")).list_namespace()).status
        == 401
    )


def test_objects_and_endpoint_survive_a_restart(demo: Demo, core: Any, apps: Any) -> None:
    apps.create_namespaced_deployment("default", deployment())
    eventually(lambda: available(apps) == 2)
    before = apps.read_namespaced_deployment("web", "default").metadata.uid
    demo.clusters.stop()
    demo.clusters = KubernetesClusterHost(demo.directory / "kubernetes", demo.principals)
    demo.clusters.start()
    again = client.AppsV1Api(demo.api())
    assert again.read_namespaced_deployment("web", "default").metadata.uid == before
    demo.clusters.reconcile([])
    assert refusal(lambda: again.list_namespaced_deployment("default")).status == 404
