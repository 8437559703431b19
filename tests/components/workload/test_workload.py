"""Workload component: pods, autoscaling, security and exposure."""

from components.workload.ingress import TLS_POLICY
from settings.sections import Exposure
from tests.components.factories import record, workload

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
INGRESS = "kubernetes:networking.k8s.io/v1:Ingress"
INGRESS_CLASS = "kubernetes:networking.k8s.io/v1:IngressClass"
SERVICE = "kubernetes:core/v1:Service"


def exposure(kind: str, **changes: object) -> Exposure:
    return Exposure.model_validate({"kind": kind, "allowed_cidrs": ["203.0.113.0/24"], **changes})


def test_pods_require_nodes_of_the_image_architecture() -> None:
    recording = record(lambda: workload("one", architecture="arm64"))
    pod = recording.one(DEPLOYMENT, "one").inputs["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"kubernetes.io/arch": "arm64"}


def test_deployment_has_replicas_only_without_autoscaler() -> None:
    autoscaler = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
    scaled = record(lambda: workload("one"))
    assert "replicas" not in scaled.one(DEPLOYMENT, "one").inputs["spec"]
    assert len(scaled.all(autoscaler)) == 1
    fixed = record(lambda: workload("one", minimum=2, maximum=2))
    assert fixed.one(DEPLOYMENT, "one").inputs["spec"]["replicas"] == 2
    assert fixed.all(autoscaler) == []


def test_deployment_ignores_changes_of_image_and_release_annotations() -> None:
    plain = record(lambda: workload("one")).one(DEPLOYMENT, "one")
    assert list(plain.request.ignoreChanges) == [
        "spec.template.metadata.annotations",
        "spec.template.spec.containers[0].image",
    ]
    migrated = record(lambda: workload("one", migration=("migrate",))).one(DEPLOYMENT, "one")
    assert "spec.template.spec.initContainers[0].image" in migrated.request.ignoreChanges


def test_pods_meet_the_restricted_pod_security_level() -> None:
    recording = record(lambda: workload("one", migration=("migrate",)))
    labels = recording.one("kubernetes:core/v1:Namespace", "one").inputs["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = recording.one(DEPLOYMENT, "one").inputs["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*pod["containers"], *pod["initContainers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }


def test_service_receives_sigterm_after_load_balancers_deregister_it() -> None:
    recording = record(lambda: workload("one", migration=("migrate",)))
    pod = recording.one(DEPLOYMENT, "one").inputs["spec"]["template"]["spec"]
    assert pod["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert "lifecycle" not in pod["initContainers"][0]


def test_pods_of_each_release_are_spread_over_zones_and_nodes() -> None:
    recording = record(lambda: workload("one"))
    pod = recording.one(DEPLOYMENT, "one").inputs["spec"]["template"]["spec"]
    constraints = pod["topologySpreadConstraints"]
    assert [constraint["topologyKey"] for constraint in constraints] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]
    assert all(constraint["matchLabelKeys"] == ["pod-template-hash"] for constraint in constraints)


def test_load_balancer_admits_allowed_networks_and_the_nat_addresses_that_verify_a_release() -> (
    None
):
    """CodeBuild outside the VPC has addresses of AWS, which no list of networks contains."""
    recording = record(
        lambda: workload("one", exposure=exposure("load-balancer"), nat_cidrs=["198.51.100.7/32"])
    )
    spec = recording.one(SERVICE, "one").inputs["spec"]
    assert spec["loadBalancerSourceRanges"] == ["203.0.113.0/24", "198.51.100.7/32"]


def test_load_balancer_with_certificate_refuses_tls_1_0_and_1_1() -> None:
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    settings = exposure("load-balancer", certificate_arn=certificate_arn, host="www.example.com")
    recording = record(lambda: workload("one", exposure=settings))
    annotations = recording.one(SERVICE, "one").inputs["metadata"]["annotations"]
    key = "service.beta.kubernetes.io/aws-load-balancer-ssl-negotiation-policy"
    assert annotations[key] == TLS_POLICY == "ELBSecurityPolicy-TLS13-1-2-2021-06"


def test_ingress_serves_its_host_with_tls() -> None:
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    settings = exposure(
        "ingress", certificate_arn=certificate_arn, host="www.example.com", ingress_class="alb"
    )
    recording = record(lambda: workload("one", exposure=settings))
    ingress = recording.one(INGRESS, "one")
    annotations = ingress.inputs["metadata"]["annotations"]
    assert annotations["alb.ingress.kubernetes.io/certificate-arn"] == certificate_arn
    assert annotations["alb.ingress.kubernetes.io/ssl-policy"] == TLS_POLICY
    assert ingress.request.deletedWith == ""
    assert recording.one(SERVICE, "one").inputs["spec"]["type"] == "ClusterIP"


def test_service_behind_an_ingress_trusts_the_load_balancers_headers() -> None:
    def trusted(kind: str) -> list[str]:
        host = {"host": "www.example.com", "ingress_class": "alb"} if kind == "ingress" else {}
        recording = record(lambda: workload("one", exposure=exposure(kind, **host)))
        pod = recording.one(DEPLOYMENT, "one").inputs["spec"]["template"]["spec"]
        variables = {item["name"]: item.get("value") for item in pod["containers"][0]["env"]}
        return [variables[name] for name in ("APP_TRUSTED_PROXIES",) if name in variables]

    assert trusted("ingress") == ["1"]
    assert trusted("load-balancer") == trusted("internal") == []


def test_container_listens_on_the_port_of_its_probes_and_service() -> None:
    recording = record(lambda: workload("one", port=9000))
    pod = recording.one(DEPLOYMENT, "one").inputs["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert {"name": "APP_PORT", "value": "9000"} in container["env"]
    assert container["ports"] == [{"name": "http", "containerPort": 9000}]


def test_ingress_without_built_in_controller_has_no_class_and_is_not_awaited() -> None:
    settings = exposure("ingress", host="www.example.com", ingress_class="alb")
    recording = record(lambda: workload("one", exposure=settings))
    annotations = recording.one(INGRESS, "one").inputs["metadata"]["annotations"]
    assert annotations["pulumi.com/skipAwait"] == "true"
    assert recording.all(INGRESS_CLASS) == []


def test_ingress_with_built_in_controller_has_a_class_and_is_awaited() -> None:
    settings = exposure("ingress", host="www.example.com", ingress_class="alb")
    controller = "eks.amazonaws.com/alb"
    recording = record(lambda: workload("one", exposure=settings, ingress_controller=controller))
    ingress = recording.one(INGRESS, "one")
    assert "pulumi.com/skipAwait" not in ingress.inputs["metadata"]["annotations"]
    (ingress_class,) = recording.all(INGRESS_CLASS)
    assert ingress_class.inputs["spec"] == {"controller": controller}
    assert ingress_class.inputs["metadata"]["name"] == "alb"
    assert ingress.inputs["spec"]["ingressClassName"] == "alb"
    assert any(urn.endswith("IngressClass::one") for urn in ingress.request.dependencies)
