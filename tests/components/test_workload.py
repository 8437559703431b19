"""What the service in Kubernetes may do, and who may call it."""

from dataclasses import replace

from components.workload import Exposure
from tests.components.makers import (
    made,
    workload,
)


def test_pods_ask_for_nodes_of_the_images_architecture() -> None:
    recording = made(lambda: workload("one", architecture="arm64"))
    pod = recording.one("kubernetes:apps/v1:Deployment", "one").inputs["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"kubernetes.io/arch": "arm64"}


def test_the_autoscaler_alone_decides_on_replicas() -> None:
    scaled = made(lambda: workload("one"))
    assert "replicas" not in scaled.one("kubernetes:apps/v1:Deployment", "one").inputs["spec"]
    assert len(scaled.all("kubernetes:autoscaling/v2:HorizontalPodAutoscaler")) == 1
    fixed = made(lambda: workload("one", minimum=2, maximum=2))
    assert fixed.one("kubernetes:apps/v1:Deployment", "one").inputs["spec"]["replicas"] == 2
    assert fixed.all("kubernetes:autoscaling/v2:HorizontalPodAutoscaler") == []


def test_the_image_is_the_pipelines_after_the_first_roll_out() -> None:
    plain = made(lambda: workload("one")).one("kubernetes:apps/v1:Deployment", "one")
    assert list(plain.request.ignoreChanges) == [
        "spec.template.metadata.annotations",
        "spec.template.spec.containers[0].image",
    ]
    migrated = made(lambda: workload("one", migration=["migrate"])).one("kubernetes:apps/v1:Deployment", "one")
    assert "spec.template.spec.initContainers[0].image" in migrated.request.ignoreChanges


def test_pods_may_do_little() -> None:
    recording = made(lambda: workload("one", migration=["migrate"]))
    labels = recording.one("kubernetes:core/v1:Namespace", "one").inputs["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = recording.one("kubernetes:apps/v1:Deployment", "one").inputs["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*pod["containers"], *pod["initContainers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }


def test_the_pods_of_a_release_are_spread_over_zones_and_nodes_by_themselves() -> None:
    recording = made(lambda: workload("one"))
    pod = recording.one("kubernetes:apps/v1:Deployment", "one").inputs["spec"]["template"]["spec"]
    assert [rule["topologyKey"] for rule in pod["topologySpreadConstraints"]] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]
    assert all(rule["matchLabelKeys"] == ["pod-template-hash"] for rule in pod["topologySpreadConstraints"])


def test_an_ingress_answers_by_name_with_tls() -> None:
    certificate = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    exposure = Exposure(
        kind="ingress",
        allowed_cidrs=["203.0.113.0/24"],
        certificate_arn=certificate,
        host="www.example.com",
        ingress_class="alb",
    )
    recording = made(lambda: workload("one", exposure=exposure))
    ingress = recording.one("kubernetes:networking.k8s.io/v1:Ingress", "one")
    assert ingress.inputs["metadata"]["annotations"]["alb.ingress.kubernetes.io/certificate-arn"] == certificate
    assert ingress.request.deletedWith == ""
    assert recording.one("kubernetes:core/v1:Service", "one").inputs["spec"]["type"] == "ClusterIP"


def test_an_ingress_gets_a_class_where_the_cluster_has_the_controller_and_is_not_waited_for_elsewhere() -> None:
    ingress_class = "kubernetes:networking.k8s.io/v1:IngressClass"
    exposure = Exposure(kind="ingress", allowed_cidrs=["203.0.113.0/24"], host="www.example.com", ingress_class="alb")
    owners = made(lambda: workload("one", exposure=exposure))
    notes = owners.one("kubernetes:networking.k8s.io/v1:Ingress", "one").inputs["metadata"]["annotations"]
    assert notes["pulumi.com/skipAwait"] == "true"
    assert owners.all(ingress_class) == []

    built_in = replace(exposure, ingress_controller="eks.amazonaws.com/alb")
    recording = made(lambda: workload("one", exposure=built_in))
    ingress = recording.one("kubernetes:networking.k8s.io/v1:Ingress", "one")
    assert "pulumi.com/skipAwait" not in ingress.inputs["metadata"]["annotations"]
    (made_class,) = recording.all(ingress_class)
    assert made_class.inputs["spec"] == {"controller": "eks.amazonaws.com/alb"}
    assert made_class.inputs["metadata"]["name"] == ingress.inputs["spec"]["ingressClassName"] == "alb"
    assert any(urn.endswith("IngressClass::one") for urn in ingress.request.dependencies)
