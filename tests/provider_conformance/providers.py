"""The emulated cluster of the comparison, and both providers attached to it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2
from kubernetes import client as kubernetes_client
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2_grpc
from pulumi.runtime.proto import provider_pb2 as pb

from sandbox.contracts.cluster_host import ClusterFacts, Grant
from sandbox.kubernetes.cluster_host import KubernetesClusterHost
from sandbox.kubernetes.ports import ExternalServices
from sandbox.providers.kubernetes.provider import provider
from sandbox.providers.property_values import encode
from tests.provider_conformance.cases import CASES
from tests.provider_conformance.session import Observation, Session
from tests.sandbox.kubernetes.conftest import ADMIN, ARN, POLICY, Demo, Principals, node
from tests.sandbox.providers.engine_client import Client, Served

Answers = dict[str, list[Observation]]


@contextmanager
def cluster(directory: Path) -> Iterator[Demo]:
    """Serve an emulated cluster of two nodes, whose pods are ready at once."""
    principals = Principals(
        {ADMIN: [Grant(username=ADMIN, policy_arn=f"{POLICY}AmazonEKSClusterAdminPolicy")]}
    )
    clusters = KubernetesClusterHost(directory / "kubernetes", principals, ExternalServices())
    clusters.start()
    facts = ClusterFacts(arn=ARN, name="demo", region="us-east-1", version="1.35")
    endpoint = clusters.create(facts)
    clusters.set_nodes(ARN, "workers", [node("node-a", "us-east-1a"), node("node-b", "us-east-1b")])
    try:
        yield Demo(clusters, principals, endpoint, directory)
    finally:
        clusters.stop()


@contextmanager
def sandbox_provider(demo: Demo) -> Iterator[Client]:
    """Serve the sandbox's provider."""
    with Served({"kubernetes": provider()}) as served:
        yield served.attach("kubernetes", {"kubeconfig": demo.kubeconfig().read_text()})


class _Engine(engine_pb2_grpc.EngineServicer):
    def Log(self, request: Any, context: Any) -> empty_pb2.Empty:  # noqa: N802 - gRPC's name
        return empty_pb2.Empty()


@contextmanager
def _engine() -> Iterator[str]:
    """Serve the log, without which Pulumi's provider crashes."""
    server = grpc.server(ThreadPoolExecutor(4))
    engine_pb2_grpc.add_EngineServicer_to_server(_Engine(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None)


@contextmanager
def pulumi_provider(demo: Demo, program: Path) -> Iterator[Client]:
    """Run Pulumi's provider, which prints its port."""
    with (
        _engine() as engine,
        tempfile.TemporaryDirectory() as home,
        subprocess.Popen(
            [program, engine],
            env={"PATH": os.environ["PATH"], "HOME": home},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        port = int(process.stdout.readline())
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        client = Client(provider_pb2_grpc.ResourceProviderStub(channel), channel)
        try:
            config = {"kubeconfig": demo.kubeconfig().read_text()}
            variables = {f"kubernetes:config:{key}": value for key, value in config.items()}
            client.call(
                "Configure",
                pb.ConfigureRequest(
                    args=encode(config),
                    variables=variables,
                    acceptSecrets=True,
                    acceptResources=True,
                ),
            )
            yield client
        finally:
            channel.close()
            process.kill()


def run_all(client: Client, demo: Demo, prefix: str) -> Answers:
    """Return the observations of each case, in a namespace of its own."""
    core: Any = kubernetes_client.CoreV1Api(demo.api())  # its types refuse mappings
    answers = Answers()
    for number, (name, case) in enumerate(CASES.items()):
        namespace = f"{prefix}-{number}"
        core.create_namespace({"metadata": {"name": namespace}})
        answers[name] = case(Session(client, namespace))
        core.delete_namespace(namespace)
    return answers
