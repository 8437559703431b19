"""A cluster whose API server is another one: here an emulated cluster stands in for it."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client as official
from kubernetes import watch as official_watch

from sandbox.contracts.cluster_host import ClusterFacts
from sandbox.kubernetes.cluster_host import KubernetesClusterHost
from sandbox.kubernetes.ports import ExternalServices
from sandbox.kubernetes.upstream import cluster as upstream_cluster
from sandbox.kubernetes.upstream import services
from sandbox.runtime import cluster_backends
from tests.sandbox.kubernetes.conftest import ADMIN, ARN, Demo, Principals, token
from tests.sandbox.kubernetes.objects import eventually

client: Any = official
watch: Any = official_watch
EKS = ARN.replace("demo", "forwarded")
URN = "urn:pulumi:dev::platform::aws:eks/cluster:Cluster::cluster"


def forwarded(
    directory: Path, kubeconfig: Path, principals: Principals
) -> tuple[KubernetesClusterHost, Demo]:
    """Return a host whose cluster has the API server of a kubeconfig."""
    backends = cluster_backends.StackBackends(directory)
    backends.choose(
        "platform/dev", cluster_backends.parse(f"kubeconfig:{kubeconfig}", "platform/dev")
    )
    backends.assign(URN, EKS)
    host = KubernetesClusterHost(directory, principals, ExternalServices())
    host.start()
    facts = ClusterFacts(arn=EKS, name="forwarded", region="us-east-1", version="1.33")
    return host, Demo(host, principals, host.create(facts), directory)


@pytest.fixture
def through(demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Demo]:
    """Return the clients of a cluster that forwards to `demo`."""
    monkeypatch.setattr(upstream_cluster, "_PATIENCE", 0.0)
    host, endpoint = forwarded(tmp_path / "forwarded", demo.kubeconfig(), demo.principals)
    yield endpoint
    host.stop()


def namespace(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}}


def names(demo: Demo) -> set[str]:
    listed = client.CoreV1Api(demo.api()).list_namespace().items
    return {item.metadata.name for item in listed}


def test_objects_and_watches_of_the_endpoint_are_those_of_the_other_server(
    demo: Demo, through: Demo
) -> None:
    core = client.CoreV1Api(through.api())
    core.create_namespace(namespace("guestbook"))
    assert "guestbook" in names(demo)
    client.CoreV1Api(demo.api()).create_namespaced_config_map("guestbook", namespace("settings"))
    stream = watch.Watch().stream(core.list_namespaced_config_map, "guestbook", timeout_seconds=30)
    assert next(iter(stream))["object"].metadata.name == "settings"


def test_caller_without_access_entry_is_unauthorized(through: Demo) -> None:
    with pytest.raises(client.ApiException) as refused:
        client.CoreV1Api(through.api("arn:aws:iam::123456789012:role/other")).list_namespace()
    assert refused.value.status == 401


def test_impersonation_is_refused(through: Demo) -> None:
    api = through.api()
    api.default_headers["Impersonate-User"] = "somebody"
    with pytest.raises(client.ApiException, match="does not emulate impersonation"):
        client.CoreV1Api(api).list_namespace()


def test_deleted_cluster_takes_the_objects_that_were_created_through_it(
    demo: Demo, through: Demo, tmp_path: Path
) -> None:
    client.CoreV1Api(demo.api()).create_namespace(namespace("foreign"))
    core = client.CoreV1Api(through.api())
    core.create_namespace(namespace("guestbook"))
    core.create_namespaced_config_map("guestbook", namespace("settings"))
    core.create_namespaced_config_map("foreign", namespace("created-here"))
    core.create_namespaced_config_map("foreign", namespace("deleted-here"))
    core.delete_namespaced_config_map("deleted-here", "foreign")
    client.CoreV1Api(demo.api()).create_namespaced_config_map("foreign", namespace("deleted-here"))
    client.NetworkingV1Api(through.api()).create_ingress_class(
        {"metadata": {"name": "alb"}, "spec": {"controller": "eks.amazonaws.com/alb"}}
    )
    through.clusters.delete(EKS)
    backends = cluster_backends.StackBackends(tmp_path / "forwarded")
    eventually(lambda: not backends.deleting("platform/dev"))
    assert "guestbook" not in names(demo)
    assert client.NetworkingV1Api(demo.api()).list_ingress_class().items == []
    remaining = client.CoreV1Api(demo.api()).list_namespaced_config_map("foreign").items
    assert [item.metadata.name for item in remaining] == ["deleted-here"]


def test_abandoned_cluster_has_no_objects_and_loses_its_load_balancers_only(
    demo: Demo, through: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []
    load_balancers = through.clusters.external.load_balancers
    monkeypatch.setattr(load_balancers, "remove", lambda spec: removed.append(spec.name))
    core = client.CoreV1Api(through.api())
    core.create_namespace(namespace("guestbook"))
    spec = {"type": "LoadBalancer", "ports": [{"port": 80}]}
    spec["loadBalancerClass"] = "eks.amazonaws.com/nlb"
    core.create_namespaced_service("guestbook", {"metadata": {"name": "web"}, "spec": spec})
    ours = client.CoreV1Api(demo.api())
    read = ours.read_namespaced_service
    eventually(lambda: services.FINALIZER in (read("web", "guestbook").metadata.finalizers or ()))
    backends = cluster_backends.StackBackends(tmp_path / "forwarded")
    backends.abandon("platform/dev")
    with pytest.raises(client.ApiException) as missing:
        core.delete_namespaced_service("web", "guestbook")
    assert missing.value.status == 404
    through.clusters.delete(EKS)
    eventually(lambda: not backends.deleting("platform/dev"))
    assert removed == ["web"]
    assert read("web", "guestbook").metadata.deletion_timestamp is None


def test_service_keeps_the_load_balancer_of_the_cluster_unless_its_class_is_of_eks(
    through: Demo,
) -> None:
    core = client.CoreV1Api(through.api())
    core.create_namespace(namespace("guestbook"))
    spec = {"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"app": "web"}}
    classes = {"own": {}, "eks": {"loadBalancerClass": "eks.amazonaws.com/nlb"}}
    for name, selected in classes.items():
        core.create_namespaced_service(
            "guestbook", {"metadata": {"name": name}, "spec": {**spec, **selected}}
        )

    def finalizers(name: str) -> list[str]:
        service = core.read_namespaced_service(name, "guestbook")
        return service.metadata.finalizers or []

    eventually(lambda: services.FINALIZER in finalizers("eks"))
    assert services.FINALIZER not in finalizers("own")
    core.delete_namespaced_service("eks", "guestbook")
    eventually(lambda: len(core.list_namespaced_service("guestbook").items) == 1)


def test_silent_server_is_reported_by_the_endpoint(tmp_path: Path, demo: Demo) -> None:
    path = demo.kubeconfig()
    content = json.loads(path.read_text())
    content["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    other = tmp_path / "silent"
    other.write_text(json.dumps(content))
    host, endpoint = forwarded(tmp_path / "forwarded", other, demo.principals)
    try:
        status, body = endpoint.request("GET", "/api/v1/namespaces")
        assert (status, body["reason"]) == (503, "ServiceUnavailable")
        assert f"context demo of {other} (https://127.0.0.1:1) does not answer" in body["message"]
    finally:
        host.stop()


class _Echo(BaseHTTPRequestHandler):
    """Upgrades each connection, and returns what it receives."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", self.headers["Upgrade"])
        self.end_headers()
        self.wfile.write(b"hello ")
        self.wfile.write(self.rfile.readline())
        self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def test_upgraded_connection_is_forwarded_in_both_directions(tmp_path: Path, demo: Demo) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.handle_request, daemon=True)
    thread.start()
    path = tmp_path / "echo"
    content = json.loads(demo.kubeconfig().read_text())
    content["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{server.server_port}"}
    path.write_text(json.dumps(content))
    host, endpoint = forwarded(tmp_path / "forwarded", path, demo.principals)
    try:
        trust = ssl.create_default_context(cadata=endpoint.endpoint.ca_pem)
        port = int(endpoint.endpoint.url.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), 30) as plain,
            trust.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            head = f"Host: x\r\nAuthorization: Bearer {token(ADMIN)}\r\nUpgrade: spdy/3.1\r\n"
            connection.sendall(
                f"GET /api/v1/namespaces/a/pods/b/exec HTTP/1.1\r\n{head}\r\n".encode()
            )
            connection.sendall(b"world\n")
            received = b""
            while part := connection.recv(4096):
                received += part
        assert b" 101 " in received.split(b"\r\n")[0]
        assert received.endswith(b"hello world\n")
    finally:
        host.stop()
        server.server_close()
        thread.join()
