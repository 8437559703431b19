"""kubectl against the API server."""

from __future__ import annotations

import json

from tests.sandbox.kubernetes.conftest import Kubectl
from tests.sandbox.kubernetes.test_objects import deployment, eventually


def test_rollout_scale_and_undo_work_with_kubectl(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=deployment())
    kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    assert "2/2" in kubectl("get", "deployments").stdout
    kubectl("set", "image", "deployment/web", "app=registry/app:2")
    kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    kubectl("rollout", "undo", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    assert "registry/app:1" in kubectl("get", "deployment", "web", "-o", "yaml").stdout
    kubectl("scale", "deployment/web", "--replicas=3")
    kubectl(
        "wait", "deployment/web", "--for=jsonpath={.status.availableReplicas}=3", "--timeout=120s"
    )
    kubectl("delete", "deployment", "web", "--timeout=120s")
    eventually(
        lambda: "No resources found" in kubectl("get", "pods").stderr
    )  # collected once their owner is gone


def test_apply_is_idempotent_on_client_and_server(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=deployment())
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=deployment()).stdout
    kubectl("apply", "--server-side", "-f", "-", stdin=deployment())
    version = "-o=jsonpath={.spec}"
    before = kubectl("get", "deployment", "web", version).stdout
    kubectl("apply", "--server-side", "-f", "-", stdin=deployment())
    assert kubectl("get", "deployment", "web", version).stdout == before


def test_unknown_field_is_refused_by_apply(kubectl: Kubectl) -> None:
    invalid = deployment()
    invalid["spec"]["replica"] = invalid["spec"].pop("replicas")
    process = kubectl("apply", "-f", "-", stdin=invalid, check=False)
    assert 'unknown field "spec.replica"' in process.stderr
    assert kubectl("get", "deployment", "web", check=False).returncode == 1


def test_auth_explain_and_describe_work_with_kubectl(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "create", "deployments").stdout.strip() == "yes"
    assert "role/deployer" in kubectl("auth", "whoami").stdout
    assert "DeploymentStrategy" in kubectl("explain", "deployment.spec.strategy").stdout
    kubectl("apply", "-f", "-", stdin=deployment())
    kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    assert "Scaled up replica set" in kubectl("describe", "deployment", "web").stdout


def test_imperative_create_commands_create_objects(kubectl: Kubectl) -> None:
    kubectl("create", "namespace", "app")
    kubectl("-n", "app", "create", "configmap", "settings", "--from-literal=a=1")
    kubectl("-n", "app", "create", "deployment", "web", "--image=registry/app:1", "--replicas=2")
    kubectl("-n", "app", "rollout", "status", "deployment/web", "--timeout=120s")
    result = json.loads(kubectl("-n", "app", "get", "configmap", "settings", "-o", "json").stdout)
    assert result["data"] == {"a": "1"}


def test_logs_are_refused_without_containers(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=deployment(replicas=1))
    kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    process = kubectl("logs", "deployment/web", check=False)
    assert process.returncode == 1
    assert "pods are objects only, no container runs" in process.stderr


def test_removed_api_version_is_unknown(kubectl: Kubectl) -> None:
    old = {
        "apiVersion": "autoscaling/v2beta2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
    }
    process = kubectl("apply", "-f", "-", stdin=old, check=False)
    assert (
        'no matches for kind "HorizontalPodAutoscaler" in version "autoscaling/v2beta2"'
        in process.stderr
    )


def test_drain_evicts_pods(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=deployment())
    kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    drained = kubectl("drain", "node-a", "--timeout=120s", "--ignore-daemonsets").stdout
    assert "evicting pod default/web-" in drained
    eventually(lambda: "node-a" not in kubectl("get", "pods", "-o", "wide").stdout)


def test_raw_requests_reach_the_cluster(kubectl: Kubectl) -> None:
    assert json.loads(kubectl("get", "--raw", "/version").stdout)["major"] == "1"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "raw"}}
    path = "/api/v1/namespaces/default/configmaps"
    kubectl("create", "--raw", path, "-f", "-", stdin=body)
    assert json.loads(kubectl("get", "--raw", f"{path}/raw").stdout)["metadata"]["name"] == "raw"
