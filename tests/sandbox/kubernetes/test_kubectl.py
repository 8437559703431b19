"""The commands that people type."""

from __future__ import annotations

import json

from tests.sandbox.kubernetes.conftest import Kubectl
from tests.sandbox.kubernetes.test_objects import deployment, eventually


def test_apply_get_rollout_scale_and_undo(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=deployment())
    kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    assert "2/2" in kubectl("get", "deployments").stdout
    kubectl("set", "image", "deployment/web", "app=registry/app:2")
    kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    kubectl("rollout", "undo", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    assert "registry/app:1" in kubectl("get", "deployment", "web", "-o", "yaml").stdout
    kubectl("scale", "deployment/web", "--replicas=3")
    kubectl("wait", "deployment/web", "--for=jsonpath={.status.availableReplicas}=3", "--timeout=120s")
    kubectl("delete", "deployment", "web", "--timeout=120s")
    eventually(lambda: "No resources found" in kubectl("get", "pods").stderr)  # collected once their owner is gone


def test_apply_is_idempotent_on_both_sides(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=deployment())
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=deployment()).stdout
    kubectl("apply", "--server-side", "-f", "-", stdin=deployment())
    version = "-o=jsonpath={.spec}"
    before = kubectl("get", "deployment", "web", version).stdout
    kubectl("apply", "--server-side", "-f", "-", stdin=deployment())
    assert kubectl("get", "deployment", "web", version).stdout == before


def test_a_typo_is_refused_before_anything_happens(kubectl: Kubectl) -> None:
    wrong = deployment()
    wrong["spec"]["replica"] = wrong["spec"].pop("replicas")
    done = kubectl("apply", "-f", "-", stdin=wrong, check=False)
    assert 'unknown field "spec.replica"' in done.stderr
    assert kubectl("get", "deployment", "web", check=False).returncode == 1


def test_can_i_explain_describe_and_whoami(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "create", "deployments").stdout.strip() == "yes"
    assert "role/deployer" in kubectl("auth", "whoami").stdout
    assert "DeploymentStrategy" in kubectl("explain", "deployment.spec.strategy").stdout
    kubectl("apply", "-f", "-", stdin=deployment())
    kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    assert "Scaled up replica set" in kubectl("describe", "deployment", "web").stdout


def test_imperative_commands_create_objects(kubectl: Kubectl) -> None:
    kubectl("create", "namespace", "app")
    kubectl("-n", "app", "create", "configmap", "settings", "--from-literal=a=1")
    kubectl("-n", "app", "create", "deployment", "web", "--image=registry/app:1", "--replicas=2")
    kubectl("-n", "app", "rollout", "status", "deployment/web", "--timeout=120s")
    found = json.loads(kubectl("-n", "app", "get", "configmap", "settings", "-o", "json").stdout)
    assert found["data"] == {"a": "1"}


def test_a_log_that_does_not_exist_is_said_not_to_exist(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=deployment(replicas=1))
    kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    done = kubectl("logs", "deployment/web", check=False)
    assert done.returncode == 1
    assert "pods are objects only, no container runs" in done.stderr


def test_a_removed_api_version_is_unknown(kubectl: Kubectl) -> None:
    old = {"apiVersion": "autoscaling/v2beta2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}}
    done = kubectl("apply", "-f", "-", stdin=old, check=False)
    assert 'no matches for kind "HorizontalPodAutoscaler" in version "autoscaling/v2beta2"' in done.stderr
