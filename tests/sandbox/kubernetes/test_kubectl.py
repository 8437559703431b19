"""kubectl against the API server."""

from __future__ import annotations

import json
from pathlib import Path

from sandbox.contracts.cluster_host import Grant
from tests.sandbox.kubernetes.conftest import POLICY, Demo, Kubectl, token
from tests.sandbox.kubernetes.objects import deployment, eventually


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


def test_logs_of_a_simulated_pod_are_refused(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=deployment(replicas=1))
    kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    process = kubectl("logs", "deployment/web", check=False)
    assert process.returncode == 1
    assert "does not run: the sandbox runs images that it built" in process.stderr


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


def test_network_policy_is_reported_as_not_enforced(kubectl: Kubectl) -> None:
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny", "namespace": "default"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
    warning = "Warning: the sandbox does not enforce NetworkPolicy default/deny: its pods accept"
    assert warning in kubectl("apply", "-f", "-", stdin=policy).stderr
    assert "Warning" not in kubectl("apply", "-f", "-", stdin=policy).stderr


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


def test_verbs_that_read_and_change_objects(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl("apply", "-f", "-", stdin=deployment())
    kubectl("wait", "deployment/web", "--for=condition=Available", "--timeout=120s")
    fields = kubectl("explain", "deployment.spec.template.spec.containers.readinessProbe").stdout
    assert "initialDelaySeconds" in fields
    assert "KIND:       Pod" in kubectl("explain", "pods", "--recursive").stdout
    differing = kubectl("diff", "-f", "-", stdin=deployment(replicas=1), check=False)
    assert differing.returncode == 1
    assert "-  replicas: 2" in differing.stdout
    assert "+  replicas: 1" in differing.stdout
    assert kubectl("diff", "-f", "-", stdin=deployment()).stdout == ""
    served = kubectl(
        "diff",
        "--server-side",
        "--force-conflicts",
        "-f",
        "-",
        stdin=deployment(replicas=1),
        check=False,
    )
    assert served.returncode == 1
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/replicas: 2/replicas: 3/" "$1"\n')
    editor.chmod(0o755)
    assert "edited" in kubectl("edit", "deployment", "web", KUBE_EDITOR=str(editor)).stdout
    jsonpath = "--for=jsonpath={.status.availableReplicas}=3"
    kubectl("wait", "deployment/web", jsonpath, "--timeout=120s")
    editor.write_text('#!/bin/sh\nsed -i "s/replicas: 3/replicas: -3/" "$1"\n')
    refused = kubectl("edit", "deployment", "web", check=False, KUBE_EDITOR=str(editor))
    assert 'deployments.apps "web" is invalid' in refused.stderr
    late = kubectl("wait", "deployment/web", "--for=delete", "--timeout=1s", check=False)
    assert "timed out waiting" in late.stderr


def test_can_i_follows_the_grants_of_the_caller(demo: Demo, kubectl: Kubectl) -> None:
    viewer = "arn:aws:iam::123456789012:role/viewer"
    policy = POLICY + "AmazonEKSViewPolicy"
    grants = demo.principals.grants_by_principal
    grants[viewer] = [Grant(username=viewer, policy_arn=policy, namespaces=("default",))]
    as_viewer = f"--token={token(viewer)}"
    assert kubectl("auth", "can-i", "list", "pods", as_viewer).stdout.strip() == "yes"
    for arguments in (["delete", "pods"], ["list", "pods", "-n", "kube-system"], ["*", "*"]):
        refused = kubectl("auth", "can-i", *arguments, as_viewer, check=False)
        assert refused.returncode == 1
        assert refused.stdout.startswith("no")
    listed = kubectl("auth", "can-i", "--list", as_viewer).stdout
    assert any(line.startswith("pods ") and "watch" in line for line in listed.splitlines())


def test_drain_waits_for_the_budget_and_cordon_keeps_pods_away(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=deployment())
    kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}},
    }
    kubectl("apply", "-f", "-", stdin=budget)
    kubectl("wait", "pdb/web", "--for=jsonpath={.status.expectedPods}=2", "--timeout=120s")
    blocked = kubectl("drain", "node-a", "--timeout=2s", "--ignore-daemonsets", check=False)
    assert "would violate the pod's disruption budget" in blocked.stderr
    assert "SchedulingDisabled" in kubectl("get", "node", "node-a").stdout
    kubectl("delete", "pdb", "web")
    kubectl("drain", "node-a", "--timeout=120s", "--ignore-daemonsets")
    kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    assert "node-a" not in kubectl("get", "pods", "-o", "wide").stdout
    kubectl("uncordon", "node-a")
    assert "SchedulingDisabled" not in kubectl("get", "node", "node-a").stdout
