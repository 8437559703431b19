"""The emulated API server without its controllers, and the real one with etcd only."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.contracts.cluster_host import CallerIdentity, ClusterFacts, Grant, PrincipalLookup
from sandbox.kubernetes.cluster_host import KubernetesClusterHost
from sandbox.kubernetes.control_plane import ControlPlane
from sandbox.runtime import kubernetes_build
from tests.kubernetes_conformance.answers import Answer, normalize
from tests.kubernetes_conformance.case import JSON, Call, Case

_ARN = "arn:aws:eks:us-east-1:123456789012:cluster/conformance"
_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"


@dataclass(frozen=True)
class Server:
    """An API server; `run` executes a case in a namespace of its own."""

    url: str
    ca_pem: str
    token: str

    def run(self, number: int, case: Case) -> list[Answer]:
        """Return the normalized answers of a case."""
        namespace = f"case-{number}"
        connection = http.client.HTTPSConnection(
            urlsplit(self.url).netloc,
            context=ssl.create_default_context(cadata=self.ca_pem),
            timeout=60,
        )
        try:
            for path, name in (
                ("/api/v1/namespaces", namespace),
                (f"/api/v1/namespaces/{namespace}/serviceaccounts", "default"),
            ):
                self._send(
                    connection, Call(method="POST", path=path, body={"metadata": {"name": name}})
                )
            return [
                normalize(*self._send(connection, _in(namespace, call)), namespace)
                for call in case.calls
            ]
        finally:
            connection.close()

    def _send(
        self, connection: http.client.HTTPSConnection, call: Call
    ) -> tuple[int, bytes, list[str]]:
        headers = {
            "Authorization": f"Bearer {self.token}",
            "User-Agent": "conformance/1.0",
            "Accept": call.accept or JSON,
        }
        body = None
        if call.body is not None:
            headers["Content-Type"] = call.content_type
            body = json.dumps(call.body).encode()
        connection.request(call.method, call.path.replace(" ", "%20"), body, headers)
        response = connection.getresponse()
        warnings = [
            value.split('"', 1)[1].rsplit('"', 1)[0].replace('\\"', '"')
            for name, value in response.getheaders()
            if name == "Warning"
        ]
        content = response.read()
        if response.will_close:
            connection.close()
        return response.status, content, warnings


def _in(namespace: str, call: Call) -> Call:
    def fill(text: str) -> str:
        return text.replace("{ns}", namespace)

    body = None if call.body is None else json.loads(fill(json.dumps(call.body)))
    return Call(
        method=call.method,
        path=fill(call.path),
        body=body,
        content_type=call.content_type,
        accept=call.accept,
    )


class _Administrator(PrincipalLookup):
    def identity(self, presigned_sts_url: str, *, cluster_name: str) -> CallerIdentity:
        return CallerIdentity(principal="admin")

    def grants(self, cluster_arn: str, principal_arn: str) -> list[Grant]:
        return [Grant(username="admin", policy_arn=_POLICY)]


def minor_version() -> str:
    """Return the Kubernetes minor version of the corpus, such as 1.35."""
    return kubernetes_build.version().removeprefix("v").rpartition(".")[0]


@contextmanager
def emulated(directory: Path) -> Iterator[Server]:
    """Serve an emulated cluster whose controllers are stopped."""
    clusters = KubernetesClusterHost(directory, _Administrator())
    clusters.start()
    facts = ClusterFacts(arn=_ARN, name="conformance", region="us-east-1", version=minor_version())
    endpoint = clusters.create(facts)
    cluster = clusters.cluster(_ARN)
    assert cluster is not None
    cluster.controllers.stop(keep_pods=True)
    token = base64.urlsafe_b64encode(b"https://sts/admin").decode().rstrip("=")
    yield Server(endpoint.url, endpoint.ca_pem, f"k8s-aws-v1.{token}")
    clusters.stop()


@contextmanager
def real(directory: Path) -> Iterator[Server]:
    """Serve the real API server of `make kubernetes`."""
    plane = ControlPlane(directory)
    plane.start()
    try:
        yield Server(plane.url, plane.ca_pem, plane.token)
    finally:
        plane.stop()


def run_all(server: Server, cases: dict[str, Case]) -> dict[str, list[Answer]]:
    """Return the answers of all cases by name."""
    return {name: server.run(number, case) for number, (name, case) in enumerate(cases.items())}
