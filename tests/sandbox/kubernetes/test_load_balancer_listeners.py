"""Listeners of Services and Ingresses, as the program's workload declares them, over TLS."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.containers.process_runtime import ProcessRuntime
from sandbox.containers.service_proxy import LocalListener, LocalServiceProxy, local_listeners
from sandbox.contracts.cluster_host import ClusterFacts, Grant
from sandbox.contracts.service_proxy import Route
from sandbox.kubernetes.cluster_host import KubernetesClusterHost
from sandbox.kubernetes.controllers.load_balancer_listeners import (
    ingress_listeners,
    ingress_routes,
    is_tls_port,
)
from sandbox.kubernetes.ports import ExternalServices
from sandbox.runtime.certificate_authority import CertificateAuthority
from tests.sandbox.conftest import Images
from tests.sandbox.kubernetes.conftest import ADMIN, ARN, POLICY, Demo, Kubectl, Principals, node
from tests.sandbox.kubernetes.test_pods import deployment, wait

pytestmark = pytest.mark.server

CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/one"
NAME = "guestbook.example.com"
ALB = "alb.ingress.kubernetes.io/"
NLB = "service.beta.kubernetes.io/aws-load-balancer-"


def service(name: str = "web", **annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": {
            "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 443, "targetPort": 8080}],
        },
    }


def ingress(rules: list[dict[str, Any]], **annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "web", "namespace": "default", "annotations": annotations},
        "spec": {"ingressClassName": "alb", "rules": rules},
    }


def path(text: str, name: str, kind: str = "Prefix") -> dict[str, Any]:
    backend = {"service": {"name": name, "port": {"name": "http"}}}
    return {"path": text, "pathType": kind, "backend": backend}


def test_routes_are_exact_paths_then_longer_prefixes() -> None:
    paths = [path("/", "web"), path("/api/*", "api", "ImplementationSpecific")]
    paths += [path("/api/v2", "api"), path("/health", "api", "Exact"), path("/x", "missing")]
    rules = [{"host": NAME.upper(), "http": {"paths": paths}}]
    routes = list(ingress_routes(ingress(rules), [service("web"), service("api")]))
    assert routes == [
        Route(service="api", port=443, host=NAME, path="/health", exact=True),
        Route(service="api", port=443, host=NAME, path="/api/v2"),
        Route(service="api", port=443, host=NAME, path="/api/"),
        Route(service="web", port=443, host=NAME, path="/"),
    ]


def test_listeners_follow_annotations_and_the_certificate() -> None:
    listed = '[{"HTTP":80},{"HTTPS":8443}]'
    assert ingress_listeners(ingress([], **{f"{ALB}listen-ports": listed})) == {
        80: "HTTP",
        8443: "HTTPS",
    }
    assert ingress_listeners(ingress([])) == {80: "HTTP"}
    assert ingress_listeners(ingress([], **{f"{ALB}certificate-arn": CERTIFICATE})) == {
        443: "HTTPS"
    }
    port = {"name": "http", "port": 443}
    certificate = {f"{NLB}ssl-cert": CERTIFICATE}
    assert not is_tls_port({}, port)
    assert is_tls_port(certificate, port)
    assert is_tls_port({**certificate, f"{NLB}ssl-ports": "80, http"}, port)
    assert not is_tls_port({**certificate, f"{NLB}ssl-ports": "80"}, port)


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path / "tls")


@pytest.fixture
def demo(
    process_runtime: ProcessRuntime, authority: CertificateAuthority, tmp_path: Path
) -> Iterator[Demo]:
    """A cluster with EKS Auto Mode, which has the controller of Ingresses built in."""
    proxy = LocalServiceProxy(tmp_path / "proxy", authority=authority)
    external = ExternalServices(
        runtime=process_runtime, service_proxy=proxy, pod_directory=tmp_path / "volumes"
    )
    principals = Principals(
        {ADMIN: [Grant(username=ADMIN, policy_arn=POLICY + "AmazonEKSClusterAdminPolicy")]}
    )
    clusters = KubernetesClusterHost(tmp_path / "kubernetes", principals, external)
    clusters.start()
    endpoint = clusters.create(
        ClusterFacts(arn=ARN, name="demo", region="us-east-1", version="1.33", auto_mode=True)
    )
    clusters.set_nodes(ARN, "workers", [node("node-a")])
    yield Demo(clusters, principals, endpoint, tmp_path)
    clusters.stop()
    proxy.stop()


def test_service_and_ingress_with_a_certificate_answer_over_verified_tls(
    kubectl: Kubectl, process_images: Images, authority: CertificateAuthority, tmp_path: Path
) -> None:
    pods = deployment(process_images("one", RELEASE="1"))
    network = service("web", **{f"{NLB}ssl-cert": CERTIFICATE, f"{NLB}ssl-ports": "443"})
    network["spec"] |= {"type": "LoadBalancer", "loadBalancerClass": "eks.amazonaws.com/nlb"}
    ingress_class = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": "alb"},
        "spec": {"controller": "eks.amazonaws.com/alb"},
    }
    application = ingress(
        [{"host": NAME, "http": {"paths": [path("/", "web")]}}],
        **{
            f"{ALB}certificate-arn": CERTIFICATE,
            f"{ALB}listen-ports": '[{"HTTP":80},{"HTTPS":443}]',
            f"{ALB}ssl-redirect": "443",
        },
    )
    for document in (pods, network, ingress_class, application):
        kubectl("apply", "-f", "-", stdin=document)
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")

    def listeners() -> dict[str, LocalListener]:
        return local_listeners(tmp_path / "proxy")

    # The listeners of two load balancers, and those of the Ingress by the host of its rule.
    wait(lambda: len(listeners()) == 5)
    trust = ssl.create_default_context(cafile=str(authority.certificate))
    for key, local in listeners().items():
        if local.scheme == "http":
            plain = http.client.HTTPConnection("localhost", local.port, timeout=10)
            plain.request("GET", "/page")
            secure = listeners()[key.replace(":80", ":443")]
            location = f"https://localhost:{secure.port}/page"
            assert plain.getresponse().headers["Location"] == location
        else:
            connection = http.client.HTTPSConnection(
                "localhost", local.port, timeout=10, context=trust
            )
            connection.request("GET", "/")
            assert connection.getresponse().read().decode().split()[0] == "1"
