"""A running cluster with clients."""

from __future__ import annotations

import base64
import json
import os
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from sandbox.contracts.cluster_host import (
    CallerIdentity,
    ClusterEndpoint,
    ClusterFacts,
    Grant,
    NodeFacts,
    UnknownPrincipalError,
)
from sandbox.kubernetes.cluster_host import KubernetesClusterHost
from sandbox.kubernetes.ports import ExternalServices

ARN = "arn:aws:eks:us-east-1:123456789012:cluster/demo"
ADMIN = "arn:aws:iam::123456789012:role/deployer"
POLICY = "arn:aws:eks::aws:cluster-access-policy/"


@dataclass
class Principals:
    """Principals of URLs `https://sts/<arn>#<session>` with their grants."""

    grants_by_principal: dict[str, list[Grant]] = field(default_factory=dict)

    def identity(self, presigned_sts_url: str, *, cluster_name: str) -> CallerIdentity:
        if not presigned_sts_url.startswith("https://sts/"):
            raise UnknownPrincipalError("not a presigned STS request")
        principal, _, session = presigned_sts_url.removeprefix("https://sts/").partition("#")
        return CallerIdentity(principal=principal, session=session)

    def grants(self, cluster_arn: str, principal_arn: str) -> list[Grant]:
        return self.grants_by_principal.get(principal_arn, [])


def token(principal: str) -> str:
    return "k8s-aws-v1." + base64.urlsafe_b64encode(
        f"https://sts/{principal}".encode()
    ).decode().rstrip("=")


def node(
    name: str,
    zone: str = "us-east-1a",
    architecture: str = "amd64",
    instance_type: str = "m6i.large",
) -> NodeFacts:
    return NodeFacts(
        name=name,
        instance_id=f"i-{abs(hash(name)):017x}"[:19],
        instance_type=instance_type,
        architecture=architecture,
        zone=zone,
        capacity_type="ON_DEMAND",
        version="1.33",
        private_ip="10.0.0.10",
    )


@dataclass
class Demo:
    """A running cluster and its clients."""

    clusters: KubernetesClusterHost
    principals: Principals
    endpoint: ClusterEndpoint
    directory: Path

    def api(self, principal: str = ADMIN) -> client.ApiClient:
        authority = self.directory / "test-ca.pem"
        authority.write_text(self.endpoint.ca_pem)
        configuration = client.Configuration(host=self.endpoint.url)
        configuration.ssl_ca_cert = str(authority)
        configuration.api_key = {"authorization": f"Bearer {token(principal)}"}
        return client.ApiClient(configuration)

    def request(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> tuple[int, Any]:
        """Send a request that the typed client would refuse."""
        request = urllib.request.Request(
            self.endpoint.url + path,
            json.dumps(body).encode() if body is not None else None,
            method=method,
            headers={"Authorization": f"Bearer {token(ADMIN)}", "Content-Type": content_type},
        )
        trust = ssl.create_default_context(cadata=self.endpoint.ca_pem)
        try:
            with urllib.request.urlopen(request, context=trust) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.load(refusal)

    def kubeconfig(self, principal: str = ADMIN) -> Path:
        path = self.directory / "kubeconfig"
        cluster = {
            "server": self.endpoint.url,
            "certificate-authority-data": base64.b64encode(self.endpoint.ca_pem.encode()).decode(),
        }
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "demo", "cluster": cluster}],
            "users": [{"name": "me", "user": {"token": token(principal)}}],
            "contexts": [{"name": "demo", "context": {"cluster": "demo", "user": "me"}}],
            "current-context": "demo",
        }
        path.write_text(json.dumps(content))
        return path


@pytest.fixture
def external() -> ExternalServices:
    """Return the services outside the cluster; modules override it to run pods."""
    return ExternalServices()


@pytest.fixture
def demo(tmp_path: Path, external: ExternalServices) -> Iterator[Demo]:
    principals = Principals(
        {ADMIN: [Grant(username=ADMIN, policy_arn=POLICY + "AmazonEKSClusterAdminPolicy")]}
    )
    clusters = KubernetesClusterHost(tmp_path / "kubernetes", principals, external)
    clusters.start()
    endpoint = clusters.create(
        ClusterFacts(arn=ARN, name="demo", region="us-east-1", version="1.33")
    )
    clusters.set_nodes(ARN, "workers", [node("node-a", "us-east-1a"), node("node-b", "us-east-1b")])
    yield Demo(clusters, principals, endpoint, tmp_path)
    clusters.stop()


Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def kubectl(demo: Demo) -> Kubectl:
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not on PATH")
    config = demo.kubeconfig()

    def run(
        *arguments: str, stdin: Any = None, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        text = stdin if isinstance(stdin, str) or stdin is None else json.dumps(stdin)
        process = subprocess.run(
            [
                program,
                "--kubeconfig",
                str(config),
                "--cache-dir",
                str(demo.directory / "cache"),
                *arguments,
            ],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env={**os.environ, **environment},
        )
        if check and process.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {process.stderr}")
        return process

    return run


@pytest.fixture
def apps(demo: Demo) -> client.AppsV1Api:
    return client.AppsV1Api(demo.api())


@pytest.fixture
def core(demo: Demo) -> client.CoreV1Api:
    return client.CoreV1Api(demo.api())
